"""Reads that end in time, and never write."""

import pytest
from sqlalchemy import inspect, select

from portal.db.transaction import read, transaction
from portal.extensions import db
from portal.models import Tenant


def test_a_read_holds_nothing_open_and_forgets_nothing(tenant: Tenant) -> None:
    with read() as session:
        found = session.scalars(select(Tenant)).one()
        assert session.in_transaction()
    assert not session.in_transaction() and not inspect(found).expired


def test_a_read_within_a_transaction_leaves_it_open(tenant: Tenant) -> None:
    with pytest.raises(ZeroDivisionError), transaction():
        tenant.name = "Changed"
        with read():
            pass
        raise ZeroDivisionError
    assert db.session.get_one(Tenant, tenant.id).name == "Acme Shop"


def test_a_change_within_a_read_is_a_defect(tenant: Tenant) -> None:
    with pytest.raises(RuntimeError), read():
        tenant.name = "Changed"
    db.session.rollback()
    assert db.session.get_one(Tenant, tenant.id).name == "Acme Shop"
