"""A session's person, looked up: loaded for what changes something, as plain values for what reads."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import DriverTest, Tenant, User, utcnow
from portal.services.accounts import launches, people, tenants, users
from portal.services.accounts.users import Person, Shop
from portal.services.outbox import accept as outbox


def glance(user: User) -> tuple[Person, Shop]:
    assert user.tenant_id is not None
    found = users.glance(user.id, user.tenant_id, user.session_version)
    assert found is not None
    return found[:2]


def driver_test(tenant: Tenant, user: User) -> DriverTest:
    message = outbox.record_test(tenant, to=user.email, subject="Test")
    return DriverTest(
        tenant_id=tenant.id, user_id=user.id, message_id=message.id, fingerprint="", host="smtp.shop.example",
        port=465, encryption="tls", username="shop", secret="x", from_address="shop@acme.example", state="running",
    )  # fmt: skip


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


def launched(email: str, sub: str, role: str = "admin", **claims: float) -> User:
    return launches.accept(launches.make_token("acme", email=email, sub=sub, role=role, **claims)).user


def everybody(tenant: Tenant) -> list[tuple[str, str, str]]:
    return [(person.subject, person.email, person.role) for person in people.everybody(tenant)]


def test_another_subject_with_the_same_address_is_the_same_person(tenant: Tenant, user: User) -> None:
    first = launched("Jo@münchen.example", "17")
    again = launched("jo@XN--MNCHEN-3YA.example", "18", "viewer")
    assert again.id == first.id
    assert (again.subject, again.role) == ("18", "viewer")
    assert len(everybody(tenant)) == 2


def test_two_who_get_one_address_become_one_person(tenant: Tenant, user: User) -> None:
    jo, holder = launched("jo@shop.example", "17"), launched("office@shop.example", "18")
    with transaction() as session:
        session.add(driver_test(tenant, holder))
    moved = launched("Office@shop.example", "17", "viewer")
    assert moved.id == jo.id and everybody(tenant)[1:] == [("17", "Office@shop.example", "viewer")]
    assert db.session.scalars(select(DriverTest.user_id)).all() == [jo.id]
    assert users.find(holder.id, tenant.id, holder.session_version) is None


def test_the_database_refuses_a_second_row_of_one_address(tenant: Tenant, user: User) -> None:
    with pytest.raises(IntegrityError), transaction() as session:
        session.add(User(tenant_id=tenant.id, subject="x", email=user.email.upper(), role="viewer"))


def test_the_role_that_the_platform_says_holds_in_running_sessions_and_over_an_admins(
    tenant: Tenant, user: User
) -> None:
    jo = launched("jo@shop.example", "17", "viewer")
    people.set_role(tenant, user, jo.id, "admin")
    assert glance(jo)[0].role == "admin"
    launched("jo@shop.example", "17", "viewer")
    assert glance(jo)[0].role == "viewer"


def test_a_launch_signed_earlier_does_not_bring_its_role_back(tenant: Tenant, user: User) -> None:
    at = time.time()
    launched("jo@shop.example", "17", "viewer", iat=at - 10, exp=at + 40)
    late = launched("old@shop.example", "17", "admin", iat=at - 30, exp=at + 20)
    assert everybody(tenant)[1:] == [("17", "jo@shop.example", "viewer")] and late.role == "viewer"


def test_a_launch_signed_earlier_takes_no_address_from_whoever_has_it_since(tenant: Tenant, user: User) -> None:
    at = time.time()
    first = launched("jo@shop.example", "17")
    second = launched("office@shop.example", "18")
    came_in = launched("office@shop.example", "17", "viewer", iat=at - 30, exp=at + 20)
    assert came_in.id == first.id
    assert everybody(tenant)[1:] == [
        ("17", "jo@shop.example", "admin"), ("18", second.email, "admin"),
    ]  # fmt: skip


def test_an_ended_session_is_nobodys_and_the_others_go_on(tenant: Tenant, user: User) -> None:
    for _ in range(2):
        users.end_session("one", utcnow() + timedelta(hours=1))
    assert users.find(user.id, tenant.id, user.session_version, "one") is None
    assert users.glance(user.id, tenant.id, user.session_version, "one") is None
    assert users.find(user.id, tenant.id, user.session_version, "other")
    assert users.glance(user.id, tenant.id, user.session_version, "other")


def test_a_suspended_tenant_has_nobody(tenant: Tenant, user: User) -> None:
    with transaction():
        tenant.state = "suspended"
    assert users.find(user.id, tenant.id, user.session_version) is None
    assert users.glance(user.id, tenant.id, user.session_version) is None
