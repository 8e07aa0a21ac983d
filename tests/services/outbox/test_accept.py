"""Accepting: one transaction, whatever Redis does; and withdrawing what waits."""

from contextlib import suppress

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import LogEntry, Message, MessageBody, Tenant
from portal.services.accounts import tenants
from portal.services.delivery import claims
from portal.services.errors import NotCancellable, NotFound
from portal.services.outbox import accept as outbox
from portal.services.routing import lanes
from tests.support.at_once import at_once
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain, execute, lane_id
from tests.support.valkey import Valkey

ACCEPT = {"kind": "order_update", "to": "jane@customer.example", "subject": "Your order", "text": "Hello"}


def count(model: type) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_accepting_writes_message_body_and_first_entry(tenant: Tenant) -> None:
    message = outbox.accept(tenant, **ACCEPT)
    assert (message.state, message.route) == ("queued", "relay")
    assert message.message_id.endswith("@marketplace.example>")
    assert (count(Message), count(MessageBody), count(LogEntry)) == (1, 1, 1)


def test_a_failure_half_way_leaves_nothing_behind(tenant: Tenant) -> None:
    with pytest.raises(RuntimeError), transaction():
        outbox.accept(tenant, **ACCEPT)
        raise RuntimeError
    assert (count(Message), count(MessageBody), count(LogEntry)) == (0, 0, 0)


def test_without_redis_mail_is_accepted_all_the_same(tenant: Tenant, valkey: Valkey) -> None:
    with valkey.away():
        assert outbox.accept(tenant, **ACCEPT).state == "queued"


def test_accepting_wakes_a_lane_by_its_id_and_puts_no_address_into_redis(tenant: Tenant, valkey: Valkey) -> None:
    outbox.accept(tenant, **ACCEPT)
    assert valkey.command("LLEN", "rq:queue:mail") == b":1\r\n"
    job = valkey.command("LINDEX", "rq:queue:mail", "0").split(b"\r\n")[1].decode()
    assert b"customer.example" not in valkey.command("HGETALL", f"rq:job:{job}")


def test_a_burst_wakes_each_lane_once(tenant: Tenant, valkey: Valkey) -> None:
    for _ in range(30):
        outbox.accept(tenant, **ACCEPT)
    assert valkey.command("LLEN", "rq:queue:mail") in (b":1\r\n", b":2\r\n")


def in_state(message: Message, state: str, **values: object) -> Message:
    execute(update(Message).where(Message.id == message.id).values(state=state, **values))
    return message


def events(message: Message) -> list[tuple[str, str | None]]:
    entries = select(LogEntry.event, LogEntry.reason).where(LogEntry.message_id == message.id).order_by(LogEntry.id)
    return [(event, reason) for event, reason in db.session.execute(entries)]


@pytest.mark.parametrize("state", ["queued", "deferred", "held"])
def test_what_waits_can_be_cancelled_and_the_answer_stays_the_same(tenant: Tenant, state: str) -> None:
    message = in_state(outbox.accept(tenant, **ACCEPT), state)
    first, second = outbox.cancel(message.public_id), outbox.cancel(message.public_id)
    assert first == second and first.state == "cancelled"
    db.session.refresh(message)
    assert (message.state, message.reason) == ("cancelled", "withdrawn") and message.finished_at is not None
    assert events(message) == [("queued", None), ("cancelled", "withdrawn")]


@pytest.mark.parametrize("state", ["sending", "sent", "unconfirmed", "failed"])
def test_what_is_on_its_way_or_settled_cannot_be_cancelled(tenant: Tenant, state: str) -> None:
    message = in_state(outbox.accept(tenant, **ACCEPT), state)
    with pytest.raises(NotCancellable) as refused:
        outbox.cancel(message.public_id)
    assert refused.value.state == state and events(message) == [("queued", None)]


def test_a_cancelled_message_that_may_have_arrived_once_says_so(tenant: Tenant) -> None:
    message = in_state(outbox.accept(tenant, **ACCEPT), "queued", ambiguous=1)
    outbox.cancel(message.public_id)
    assert events(message)[-1] == ("cancelled", "withdrawn_late")


@pytest.mark.parametrize("public_id", ["msg_unknown", "msg_" + "a" * 26, "", "msg_\x00"])
def test_cancelling_what_is_not_there_is_not_found(ctx: object, public_id: str) -> None:
    with pytest.raises(NotFound):
        outbox.cancel(public_id)


def test_a_cancelled_message_is_not_sent(tenant: Tenant, smtp: SMTPSink) -> None:
    cancelled, kept = outbox.accept(tenant, **ACCEPT), outbox.accept(tenant, **ACCEPT)
    outbox.cancel(cancelled.public_id)
    drain()
    assert [mail.message["Message-ID"] for mail in smtp.received] == [kept.message_id]


def test_of_a_claim_and_a_cancellation_at_once_exactly_one_gets_the_message(app: Flask) -> None:
    """Twenty messages, cancelled one by one while a drain claims them: none is both, none is neither."""
    with app.app_context():
        tenant, _ = tenants.upsert("acme", name="Acme")
        ids = [outbox.accept(tenant, **ACCEPT).public_id for _ in range(20)]
        lease = lanes.take(lane_id("relay"))
        assert lease is not None
    claimed: list[int] = []
    cancelled: list[str] = []

    def claim() -> None:
        for _ in range(10):  # so that some are left, however late the other one begins
            claimed.extend(attempt.message_id for attempt in claims.claim(lease, 1))

    def cancel() -> None:
        for public_id in reversed(ids):
            with suppress(NotCancellable):
                cancelled.append(outbox.cancel(public_id).public_id)

    at_once(claim, cancel, app=app)
    with app.app_context():
        sending = db.session.scalars(select(Message.id).where(Message.state == "sending")).all()
        withdrawn = db.session.scalars(select(Message.public_id).where(Message.state == "cancelled")).all()
    assert sorted(sending) == sorted(claimed) and sorted(withdrawn) == sorted(cancelled)
    assert len(sending) + len(withdrawn) == 20 and cancelled
