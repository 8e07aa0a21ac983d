"""A session's person, looked up: loaded for what changes something, as plain values for what reads."""

import pytest

from portal.db.transaction import transaction
from portal.models import Tenant, User
from portal.services.accounts import launches, people, tenants, users
from portal.services.accounts.users import Person, Shop


def glance(user: User) -> tuple[Person, Shop]:
    assert user.tenant_id is not None
    found = users.glance(user.id, user.tenant_id, user.session_version)
    assert found is not None
    return found[:2]


def test_a_glance_sees_what_the_rows_hold_now(tenant: Tenant, user: User) -> None:
    with transaction():
        user.role = "viewer"
    tenants.upsert("acme", name="Acme & Sons", frame_ancestors=["https://one.example"])
    loaded = users.find(user.id, tenant.id, user.session_version)
    assert loaded is not None
    for seen, row in zip(glance(user), loaded, strict=True):
        assert seen._asdict() == {name: getattr(row, name) for name in seen._fields}


def test_a_glance_can_change_nothing(user: User) -> None:
    with pytest.raises(AttributeError):
        glance(user)[0].role = "admin"  # type: ignore[misc]


def test_a_glance_is_nobody_elses(tenant: Tenant, user: User) -> None:
    other = launches.accept(launches.make_token("other", email=user.email, tenant_name=tenant.name)).user
    assert glance(user)[1].id == tenant.id and glance(other)[1].id == other.tenant_id != tenant.id
    assert users.glance(user.id, other.tenant_id, user.session_version) is None


def test_an_ended_session_has_no_glance(tenant: Tenant, user: User) -> None:
    glance(user)
    ended = user.session_version
    people.sign_out(tenant, user, user.id)
    assert users.glance(user.id, tenant.id, ended) is None
