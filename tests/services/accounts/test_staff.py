"""Staff: the platform's own people, by launch or by the operator's command, who belong to no tenant."""

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import AuditEntry, Tenant, User
from portal.services.accounts import launches, staff, tenants
from portal.services.errors import LaunchRefused
from portal.transport.mime.addresses import InvalidAddress

ADDRESS = "sam@marketplace.example"


def launched(**claims: str) -> launches.Launch:
    return launches.accept(launches.make_token(role="support", **({"email": ADDRESS, "sub": "s1"} | claims)))


def run(app: Flask, *words: str) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["staff", *words])
    return result.exit_code, result.output


def test_a_launch_as_support_needs_no_tenant_and_makes_none(ctx: Flask) -> None:
    launch = launched(locale="de", name="Sam", parent="https://office.marketplace.example")
    assert (launch.user.tenant_id, launch.user.role, launch.user.email) == (None, "support", ADDRESS)
    assert (launch.tenant, launch.locale, launch.parent) == (None, "de", "https://office.marketplace.example")
    assert db.session.scalars(select(Tenant)).all() == []


def test_a_tenant_that_it_names_is_neither_made_nor_changed(ctx: Flask) -> None:
    tenants.upsert("acme", name="Acme", plan="basic")
    assert launched(tenant="acme", tenant_name="Renamed", plan="enterprise").tenant is None
    assert launched(tenant="other").tenant is None
    assert [(tenant.name, tenant.plan) for tenant in db.session.scalars(select(Tenant))] == [("Acme", "basic")]
    assert len(db.session.scalars(select(AuditEntry)).all()) == 1


def test_the_same_subject_is_the_same_person(ctx: Flask) -> None:
    first, again = launched(), launched(email="samuel@marketplace.example", name="Samuel")
    assert first.user.id == again.user.id
    assert [(user.email, user.name) for user in staff.everybody()] == [("samuel@marketplace.example", "Samuel")]
    assert launched(sub="s2").user.id != first.user.id


def test_a_tenants_person_of_that_subject_stays_a_merchant(ctx: Flask) -> None:
    merchant = launches.accept(launches.make_token("acme", sub="s1")).user
    assert launched().user.id != merchant.id
    assert (merchant.role, merchant.tenant_id is None) == ("admin", False)


def test_the_database_refuses_a_second_row_of_one_subject(ctx: Flask) -> None:
    launched()
    with pytest.raises(IntegrityError), transaction() as session:
        session.add(User(subject="s1", email="x@y.example", role="support"))


def test_whoever_was_added_by_address_is_the_one_that_the_platform_launches(ctx: Flask) -> None:
    added, new = staff.add("Sam@Marketplace.example", "Sam")
    assert new and launched().user.id == added.id
    again, new = staff.add(ADDRESS, "Samuel")
    assert (again.id, new, again.name) == (added.id, False, "Samuel")


def test_the_operators_commands(app: Flask) -> None:
    assert run(app, "add", ADDRESS, "--name", "Sam") == (0, f"Added Sam <{ADDRESS}>\n")
    assert run(app, "add", ADDRESS) == (0, f"Updated Sam <{ADDRESS}>\n")
    assert run(app, "list") == (0, f"Sam <{ADDRESS}>\n")
    assert run(app, "remove", ADDRESS.upper())[0] == 0
    assert run(app, "list") == (0, "")
    for words in (("remove", ADDRESS), ("add", "nobody"), ("add", "")):
        code, output = run(app, *words)
        assert code == 1 and output.startswith("Error: "), words


def test_the_operator_gets_a_link_that_opens_the_portal_as_support(app: Flask) -> None:
    made = app.test_cli_runner().invoke(args=["launch-link", "--role", "support", "--email", ADDRESS])
    assert made.exit_code == 0
    link = made.output.strip().removeprefix("http://localhost:8000")
    page = app.test_client().get(link, follow_redirects=True)
    assert page.status_code == 200 and "Find the shop" in page.text
    assert app.test_cli_runner().invoke(args=["launch-link"]).exit_code == 2


@pytest.mark.parametrize("address", ["", "sam", "sam@", "a@b.example\r\nBcc: x@y.example"])
def test_what_is_no_address_is_not_added(ctx: Flask, address: str) -> None:
    with pytest.raises(InvalidAddress):
        staff.add(address)


def test_a_launch_signed_before_the_removal_lets_nobody_in(ctx: Flask) -> None:
    launches.accept(launches.make_token(role="support", email=ADDRESS, sub="sam"))
    before = launches.make_token(role="support", email=ADDRESS, sub="sam")
    assert staff.remove(ADDRESS) == 1
    with pytest.raises(LaunchRefused, match="removed"):
        launches.accept(before)
    assert launches.accept(launches.make_token(role="support", email=ADDRESS, sub="sam")).tenant is None


def test_another_subject_with_the_same_address_is_the_same_person(ctx: Flask) -> None:
    for subject in ("sam", "sam-2"):
        launches.accept(launches.make_token(role="support", email=ADDRESS, sub=subject))
    assert [person.subject for person in staff.everybody()] == ["sam-2"]
