"""A session's person, looked up: loaded for what changes something, as a copy for what reads."""

from __future__ import annotations

from sqlalchemy import inspect

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Tenant, User
from portal.services.accounts import launches, people, tenants, users

MOMENTS = {"created_at", "updated_at", "seen_at", "invited_at"}


def glance(user: User) -> tuple[User, Tenant]:
    found = users.glance(user.id, user.tenant_id, user.session_version)
    assert found is not None and found[1] is not None
    return found[0], found[1]


def values(row: User | Tenant) -> dict[str, object]:
    return {name: getattr(row, name) for name in inspect(type(row)).column_attrs.keys()}  # noqa: SIM118


def test_a_copy_holds_all_that_the_rows_do_but_their_times(tenant: Tenant, user: User) -> None:
    tenants.upsert("acme", frame_ancestors=["https://one.example"])
    loaded = users.get(user.id, tenant.id, user.session_version)
    assert loaded is not None
    for copy, original in zip(glance(user), loaded, strict=True):
        assert original is not None
        lacking = {name for name, value in values(original).items() if getattr(copy, name) != value}
        assert lacking <= MOMENTS and copy not in db.session


def test_a_copy_is_kept_until_a_row_changes(tenant: Tenant, user: User) -> None:
    before = glance(user)
    assert glance(user)[0] is before[0]
    with transaction():
        user.role = "viewer"
    assert glance(user)[0].role == "viewer"
    tenants.upsert("acme", name="Acme & Sons", frame_ancestors=["https://two.example"])
    shop = glance(user)[1]
    assert (shop.name, shop.frame_ancestors) == ("Acme & Sons", ["https://two.example"])


def test_a_copy_is_nobody_elses(tenant: Tenant, user: User) -> None:
    other = launches.accept(launches.make_token("other", email=user.email, tenant_name=tenant.name)).user
    assert glance(user)[1].id == tenant.id and glance(other)[1].id == other.tenant_id != tenant.id
    assert users.glance(user.id, other.tenant_id, user.session_version) is None


def test_an_ended_session_has_no_copy(tenant: Tenant, user: User) -> None:
    glance(user)
    ended = user.session_version
    people.sign_out(tenant, user, user.id)
    assert users.glance(user.id, tenant.id, ended) is None
