"""Support: tenants and messages are found over all tenants, and each look is in the tenant's trail, once."""

from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import text

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import AuditEntry, SenderIdentity, Tenant, User, utcnow
from portal.services import audit
from portal.services.accounts import staff, support_search, tenants
from portal.services.outbox import accept as outbox
from portal.services.outbox.accept import Draft
from portal.transport.mime.addresses import Mailbox
from tests.services.test_audit import store_driver, trail
from tests.support.at_once import at_once
from tests.support.statements import recorded


@pytest.fixture
def sam(ctx: Flask) -> User:
    return staff.add("sam@marketplace.example", "Sam")[0]


def names(text: str) -> list[str]:
    return [tenant.name for tenant in support_search.find_tenants(text).rows]


def send(tenant: Tenant, to: str, subject: str = "Hi") -> str:
    return outbox.accept(tenant, kind="order_update", to=to, subject=subject, text="x").public_id


def looks(tenant: Tenant) -> list[AuditEntry]:
    return [entry for entry in trail(tenant) if entry.action == "support_viewed"]


def test_a_tenant_is_found_by_a_part_of_its_name_in_either_case(ctx: Flask) -> None:
    tenants.upsert("one", name="Bücher & Söhne")
    tenants.upsert("two", name="BÜCHERSTUBE")
    tenants.upsert("three", name="100 % Wolle")
    for asked in ("bücher", "BÜCHER", " Bücher "):
        assert set(names(asked)) == {"Bücher & Söhne", "BÜCHERSTUBE"}
    assert names("%") == names("0 %") == ["100 % Wolle"]
    assert names("") == names(" ") == names("nobody") == names("\x00") == []


def test_a_tenant_is_found_by_the_platforms_id_before_others_of_that_name(ctx: Flask) -> None:
    tenants.upsert("a", name="A shop called shop-7")
    tenants.upsert("shop-7", name="Zebra")
    assert names("shop-7") == ["Zebra", "A shop called shop-7"]
    assert names("shop") == ["A shop called shop-7"]


def test_a_tenant_is_found_by_its_whole_sender_address(tenant: Tenant, user: User) -> None:
    other = tenants.upsert("other", name="Other")[0]
    with transaction() as session:
        session.add(SenderIdentity(tenant_id=other.id, address="Hi@Other.example", address_key="hi@other.example"))
    store_driver(tenant, user, from_address="Shop@Acme.example")
    assert names("HI@other.example") == ["Other"]
    assert names("shop@acme.example") == ["Acme Shop"]
    assert names("i@other.example") == []


def test_more_tenants_than_fit_are_said_to_be_more(ctx: Flask) -> None:
    for number in range(support_search.MOST + 1):
        tenants.upsert(f"t{number}", name=f"Shop {number:02}")
    found = support_search.find_tenants("shop")
    assert [tenant.name for tenant in found.rows] == [f"Shop {number:02}" for number in range(support_search.MOST)]
    assert found.more and not support_search.find_tenants("shop 2").more


def test_messages_are_found_by_the_exact_recipient_over_all_tenants(tenant: Tenant, sam: User) -> None:
    other = tenants.upsert("other", name="Other")[0]
    first, second = send(tenant, "jo@customer.example"), send(other, "Jo@customer.example")
    send(tenant, "mojo@customer.example")
    found = support_search.find_messages(" JO@CUSTOMER.example", sam)
    assert [(hit.message.public_id, hit.tenant.name) for hit in found.rows] == [(second, "Other"), (first, "Acme Shop")]
    assert (
        support_search.find_messages("o@customer.example", sam).rows
        == support_search.find_messages("customer", sam).rows
        == []
    )


def test_a_message_is_found_by_its_number_and_by_its_message_id(tenant: Tenant, sam: User) -> None:
    message = outbox.accept(tenant, kind="order_update", to="jo@customer.example", subject="Hi", text="x")
    for asked in (message.public_id, message.public_id.upper(), message.message_id, message.message_id.strip("<>")):
        assert [hit.message.id for hit in support_search.find_messages(asked, sam).rows] == [message.id], asked
    assert support_search.find_messages("msg_" + "a" * 26, sam).rows == []


def test_a_hit_is_in_the_trail_of_its_tenant_and_of_no_other(tenant: Tenant, sam: User) -> None:
    other = tenants.upsert("other", name="Other")[0]
    send(tenant, "jo@customer.example"), send(tenant, "jo@customer.example")
    support_search.find_messages("jo@customer.example", sam)
    (look,) = looks(tenant)
    assert (look.who, look.role, look.user_id, look.subject) == (audit.shown(sam), "support", sam.id, "search")
    assert "customer" not in repr(vars(look))
    assert looks(other) == []


def test_polls_and_reloads_within_ten_minutes_are_one_look(tenant: Tenant, sam: User) -> None:
    kim = staff.add("kim@marketplace.example")[0]
    other = tenants.upsert("other", name="Other")[0]
    start = utcnow()
    with time_machine.travel(start, tick=False):
        for _ in range(5):
            support_search.note_looks(tenant, sam, ["log", "msg_x"])
        support_search.note_looks(tenant, kim, ["log"])
        support_search.note_looks(other, sam, ["log"])
    with time_machine.travel(start + support_search.ONE_LOOK - timedelta(seconds=1), tick=False):
        support_search.note_looks(tenant, sam, ["log"])
    assert [(entry.who[:3], entry.subject) for entry in looks(tenant)] == [
        ("Sam", "log"), ("Sam", "msg_x"), ("kim", "log"),
    ]  # fmt: skip
    with time_machine.travel(start + support_search.ONE_LOOK + timedelta(seconds=1), tick=False):
        support_search.note_looks(tenant, sam, ["log"])
    assert len(looks(tenant)) == 4 and len(looks(other)) == 1


def test_looks_at_the_same_moment_are_one(app: Flask) -> None:
    with app.app_context():
        tenant = tenants.upsert("acme", name="Acme")[0]
        sam = staff.add("sam@marketplace.example")[0]
        db.session.remove()
    at_once(*[lambda: support_search.note_looks(tenant, sam, ["settings"])] * 8, app=app)
    with app.app_context():
        assert [entry.subject for entry in looks(tenant)] == ["settings"]


@pytest.mark.parametrize("within", ["", " AND tenant_id = 1"])
def test_a_search_by_recipient_is_answered_by_its_index(tenant: Tenant, within: str) -> None:
    """Support's over all tenants, and a tenant's own, which needs no sorting either."""
    with transaction():
        all_to = [Mailbox("", f"{n}@b.example") for n in range(500)]
        outbox.write([Draft(tenant, "order_update", to, "Order", "Hello", None) for to in all_to])
    asked = f"SELECT * FROM message WHERE lower(to_address) = '7@b.example'{within} ORDER BY id DESC LIMIT 26"
    if db.engine.dialect.name == "sqlite":
        plan = repr(db.session.execute(text(f"EXPLAIN QUERY PLAN {asked}")).all())
        sorts = "B-TREE" in plan
    else:
        db.session.execute(text("ANALYZE message"))  # else it goes by the statistics of the tests before
        plan = repr(db.session.execute(text(f"EXPLAIN {asked}")).all())
        sorts = "Sort" in plan
    assert "ix_message_recipient" in plan
    assert sorts == (not within)


def test_whether_a_look_is_noted_is_answered_by_its_index(tenant: Tenant, sam: User) -> None:
    with recorded() as statements:
        support_search.note_looks(tenant, sam, ["log"])
    asked, values = next(found for found in statements if "FROM audit" in found[0])
    assert "action = 'support_viewed'" in asked  # as literally as in the partial index
    if db.engine.dialect.name == "sqlite":
        plan = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}", values).all()
        assert "ix_audit_look" in repr(plan)
