"""The drain: sends under the sender in force, writes down what became of each mail, and stops when it must."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, current_app
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from portal.extensions import db
from portal.models import Lane, Message, Tenant, User, now, utcnow
from portal.services import (
    claims,
    delivery,
    identities,
    lanes,
    mail_log,
    mails,
    outbox,
    outcomes,
    tenants,
    verification,
)
from portal.services.lanes import LeaseLost
from portal.services.transaction import transaction
from portal.transport.connection import Reply
from tests.conftest import POSTGRES
from tests.services.steps import drain, forget_the_limits, lane_id, link_of_last_mail
from tests.support.smtp_sink import Received, SMTPSink
from tests.support.statements import recorded
from tests.transport.scripted_server import CLOSE, ScriptedServer

ACCEPTED = {"kind": "order_update", "subject": "Your order", "text": "It is on its way.\n"}


def accept(tenant: Tenant, to: str = "jane@customer.example", **more: Any) -> Message:
    return outbox.accept(tenant, to=to, **(ACCEPTED | more))


def again(message: Message) -> Message:
    """The message as the database has it now."""
    db.session.rollback()
    row = db.session.get(Message, message.id, populate_existing=True)
    assert row is not None
    return row


def events(message: Message) -> list[str]:
    db.session.rollback()
    return [entry.event for entry in mail_log.entries(message)]


def make_due() -> None:
    """As if every waiting message's and every lane's time had come."""
    with transaction() as session:
        session.execute(update(Message).values(due_at=now(-1)))
        session.execute(update(Lane).values(not_before=None))


@pytest.fixture
def relay_to(ctx: Flask) -> Callable[[ScriptedServer], None]:
    """Point the relay at a scripted server."""

    def point(server: ScriptedServer) -> None:
        ctx.extensions["settings"].relay = f"smtp://127.0.0.1:{server.port}"

    return point


def test_a_message_goes_out_under_the_default_sender_and_says_so(tenant: Tenant, smtp: SMTPSink) -> None:
    message = again(accept(tenant, html="<p>It is on its way.</p>", reply_to="shop@acme.example"))
    assert drain() == 1
    mail = smtp.received[0]
    assert mail.mail_from == "notifications@marketplace.example"
    assert mail.message["From"] == "Marketplace <notifications@marketplace.example>"
    assert mail.message["Reply-To"] == "shop@acme.example"
    assert mail.message["Message-ID"] == message.message_id
    message = again(message)
    assert (message.state, message.sender) == ("sent", "Marketplace <notifications@marketplace.example>")
    last = mail_log.entries(message)[-1]
    assert (last.event, last.code, last.text) == ("sent", 250, "2.0.0 Kept")


def test_a_changed_sender_holds_for_mail_that_was_queued_before(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    message = accept(tenant)
    verification.start_verification(tenant, user, "hello@acme.example", "Acme Shop")
    verification.confirm(link_of_last_mail(smtp))
    smtp.clear()
    drain()
    mail = smtp.received[0]
    assert mail.message["From"] == "Acme Shop <hello@acme.example>"
    assert mail.mail_from == "notifications@marketplace.example", "bounces go to the relay's own domain"
    assert again(message).sender == "Acme Shop <hello@acme.example>"


def test_going_back_to_the_default_holds_for_queued_mail_too(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hello@acme.example", "Acme Shop")
    verification.confirm(link_of_last_mail(smtp))
    accept(tenant)
    identities.use_default(tenant, user)
    drain()
    assert smtp.received[-1].message["From"] == "Marketplace <notifications@marketplace.example>"


def test_a_refused_recipient_fails_the_message_alone(
    tenant: Tenant, relay_to: Callable[[ScriptedServer], None]
) -> None:
    with ScriptedServer({"RCPT": ["550 5.1.1 no such user", "250 ok"]}) as server:
        relay_to(server)
        first, second = accept(tenant), accept(tenant)
        drain()
    assert (again(first).state, again(first).reason) == ("failed", "unknown_recipient")
    assert again(second).state == "sent"
    assert "no such user" in (mail_log.entries(first)[-1].text or "")


def test_a_temporary_refusal_is_tried_again_by_the_schedule(
    tenant: Tenant, relay_to: Callable[[ScriptedServer], None]
) -> None:
    with ScriptedServer({"RCPT": "450 4.2.0 greylisted, try later"}) as server:
        relay_to(server)
        message = accept(tenant)
        for minutes in (1, 5, 15):
            drain()
            row = again(message)
            assert row.state == "deferred"
            wait = row.due_at - utcnow()
            assert timedelta(minutes=minutes) - timedelta(seconds=10) < wait <= timedelta(minutes=minutes)
            make_due()
    assert events(message) == ["queued", "deferred", "deferred", "deferred"]


def test_a_server_that_names_a_time_is_asked_again_then(
    tenant: Tenant, relay_to: Callable[[ScriptedServer], None]
) -> None:
    with ScriptedServer({"RCPT": "450 4.2.0 greylisted, try again in 300 seconds"}) as server:
        relay_to(server)
        message = accept(tenant)
        drain()
    wait = again(message).due_at - utcnow()
    assert timedelta(seconds=290) < wait <= timedelta(seconds=300)


def test_a_lease_outlasts_a_server_that_takes_its_time(
    tenant: Tenant, relay_to: Callable[[ScriptedServer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []
    connect = delivery.Connection.__enter__

    def measure(self: delivery.Connection) -> delivery.Connection:
        with current_app.app_context():  # type: ignore[attr-defined]
            until = db.session.scalars(select(Lane.leased_until).where(Lane.leased_until.is_not(None))).one()
        assert until is not None
        left.append((until - utcnow()).total_seconds())
        return connect(self)

    monkeypatch.setattr(delivery.Connection, "__enter__", measure)
    with ScriptedServer() as server:
        relay_to(server)
        accept(tenant)
        assert drain() == 1
    assert left[0] > 100


def test_a_message_is_given_up_two_days_after_its_acceptance(tenant: Tenant, smtp: SMTPSink) -> None:
    message = accept(tenant)
    with transaction() as session:
        session.execute(update(Message).values(expires_at=now(-1)))
    drain()
    assert (again(message).state, again(message).reason) == ("failed", "expired")
    assert smtp.received == []


def test_the_clock_gives_up_what_no_drain_reaches(tenant: Tenant, ctx: Flask) -> None:
    message = accept(tenant)
    with transaction() as session:
        session.execute(update(Message).values(expires_at=now(-1)))
    assert claims.expire() == 1
    assert again(message).state == "failed"
    assert events(message) == ["queued", "failed"]


def test_an_absent_relay_makes_its_route_wait_and_loses_nothing(tenant: Tenant, smtp: SMTPSink) -> None:
    messages = [accept(tenant) for _ in range(3)]
    smtp.stop()
    assert drain() == 0
    assert [again(m).state for m in messages].count("queued") == 2, "only the first one has met the closed door"
    waiting = db.session.scalars(select(Lane).where(Lane.route == "relay")).all()
    assert all(lane.not_before is not None and lane.failures == 1 for lane in waiting)
    assert drain() == 0, "backing off"
    smtp.start()
    make_due()
    assert drain() == 3
    assert all(lane.failures == 0 for lane in db.session.scalars(select(Lane)))


def test_the_waits_of_an_absent_relay_grow(tenant: Tenant, smtp: SMTPSink) -> None:
    smtp.stop()
    message = accept(tenant)
    waits = []
    for _ in range(3):
        drain()
        until = mail_log.entries(again(message))[-1].until
        assert until is not None
        waits.append(round((until - utcnow()).total_seconds()))
        make_due()
    assert waits == sorted(waits) and waits[0] < waits[-1]
    assert again(message).retries == 0, "the message's own schedule is not used up"


def test_a_server_that_ends_a_connection_after_some_mails_costs_no_delay(
    tenant: Tenant, relay_to: Callable[[ScriptedServer], None]
) -> None:
    with ScriptedServer({"MAIL": ["250 ok", "421 4.7.0 too many messages on this connection", "250 ok"]}) as server:
        relay_to(server)
        first, second = accept(tenant), accept(tenant)
        assert drain() == 2
    assert server.connections == 2
    assert events(second) == ["queued", "sent"] and again(first).state == "sent"


def test_an_unknown_fate_is_tried_once_more_with_the_same_bytes(
    tenant: Tenant, relay_to: Callable[[ScriptedServer], None]
) -> None:
    with ScriptedServer({".": [CLOSE, "250 2.0.0 kept"]}) as server:
        relay_to(server)
        message = accept(tenant)
        drain()
        make_due()
        drain()
    assert server.mails[0] == server.mails[1]
    assert events(message) == ["queued", "ambiguous", "sent"]


def test_an_unknown_fate_twice_ends_as_unconfirmed(tenant: Tenant, relay_to: Callable[[ScriptedServer], None]) -> None:
    with ScriptedServer({".": CLOSE}) as server:
        relay_to(server)
        message = accept(tenant)
        for _ in range(4):
            drain()
            make_due()
    assert again(message).state == "unconfirmed"
    assert len(server.mails) == 2


def test_a_second_copy_under_a_sender_no_longer_allowed_is_sent_under_the_new_one(
    tenant: Tenant, user: User, smtp: SMTPSink, relay_to: Callable[[ScriptedServer], None]
) -> None:
    identity = verification.start_verification(tenant, user, "hello@acme.example", "Acme Shop")
    verification.confirm(link_of_last_mail(smtp))
    with ScriptedServer({".": [CLOSE, "250 kept"]}) as server:
        relay_to(server)
        message = accept(tenant)
        drain()
        with transaction():
            identities.get(tenant, identity.id).state = "revoked"
        make_due()
        drain()
    assert b"From: Acme Shop <hello@acme.example>" in server.mails[0]
    assert b"From: Marketplace <notifications@marketplace.example>" in server.mails[1]
    assert "sender_changed" in events(message)


def test_a_lane_that_died_before_the_dot_returns_its_messages_untouched(tenant: Tenant, smtp: SMTPSink) -> None:
    messages = [accept(tenant) for _ in range(3)]
    lease = lanes.take(lane_id("relay"))
    assert lease is not None and len(claims.claim(lease)) == 3
    assert claims.reclaim_expired() == 0, "the lease still runs"
    expire_leases()
    assert claims.reclaim_expired() == 1
    assert [again(message).state for message in messages] == ["queued"] * 3
    assert drain() == 3 and len(smtp.received) == 3


def expire_leases() -> None:
    with transaction() as session:
        session.execute(update(Lane).where(Lane.lease_token.is_not(None)).values(leased_until=now(-1)))


def test_a_lane_that_died_at_the_dot_leaves_its_message_ambiguous(tenant: Tenant, smtp: SMTPSink) -> None:
    message = accept(tenant)
    lease = lanes.take(lane_id("relay"))
    assert lease is not None
    (attempt,) = claims.claim(lease)
    mail = mails.prepare(attempt)
    assert mail is not None
    outcomes.mark_dot(attempt, mail.dot, 1)
    expire_leases()
    claims.reclaim_expired()
    assert again(message).state == "queued" and again(message).ambiguous == 1
    drain()
    assert smtp.received[0].content.replace(b"\r\n", b"\n") == mail.content.replace(b"\r\n", b"\n")
    assert events(message) == ["queued", "ambiguous", "sent"]


def test_who_lost_the_lease_can_neither_mark_the_dot_nor_write_an_outcome(tenant: Tenant) -> None:
    message = accept(tenant)
    lease = lanes.take(lane_id("relay"))
    assert lease is not None
    (attempt,) = claims.claim(lease)
    mail = mails.prepare(attempt)
    assert mail is not None
    expire_leases()
    with pytest.raises(LeaseLost):
        outcomes.mark_dot(attempt, mail.dot, 1)
    claims.reclaim_expired()
    with pytest.raises(LeaseLost):
        outcomes.sent(attempt, Reply(250, "ok"), "x")
    assert again(message).dot_at is None and again(message).state == "queued"


def test_a_drain_that_was_taken_over_in_the_middle_of_a_mail_sends_no_dot(
    tenant: Tenant, relay_to: Callable[[ScriptedServer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    message = accept(tenant)
    mark_dot = outcomes.mark_dot

    def taken_over_first(*arguments: Any) -> None:
        with current_app.app_context():  # type: ignore[attr-defined]
            expire_leases()
            claims.reclaim_expired()
        mark_dot(*arguments)

    monkeypatch.setattr(outcomes, "mark_dot", taken_over_first)
    with ScriptedServer() as server:
        relay_to(server)
        assert drain() == 0
    assert server.mails == [] and len(server.unfinished) == 1
    assert again(message).state == "queued" and again(message).ambiguous == 0


def test_tenants_take_turns(tenant: Tenant, smtp: SMTPSink) -> None:
    other, _ = tenants.upsert("other", name="Other")
    for _ in range(claims.BATCH * 2):
        accept(tenant)
    accept(other, to="first@other.example")
    drain()
    recipients = [mail.rcpt_to[0] for mail in smtp.received]
    assert recipients.index("first@other.example") < claims.BATCH


def test_two_lanes_never_claim_the_same_message(tenant: Tenant) -> None:
    for _ in range(claims.BATCH + 5):
        accept(tenant)
    ids = list(db.session.scalars(select(Lane.id).where(Lane.route == "relay")))
    first, second = (lanes.take(lane) for lane in ids)
    assert first is not None and second is not None
    claimed = [a.message_id for a in claims.claim(first)] + [a.message_id for a in claims.claim(second)]
    assert len(claimed) == len(set(claimed)) == claims.BATCH + 5


def test_a_lane_is_taken_by_one_drain_at_a_time(ctx: Flask) -> None:
    assert lanes.take(lane_id("relay")) is not None
    assert lanes.take(lane_id("relay")) is None


def test_a_message_that_cannot_be_made_waits_and_stops_nobody(
    tenant: Tenant, smtp: SMTPSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, fine = accept(tenant, subject="broken"), accept(tenant)
    build = mails.build

    def build_or_fail(content: Any, **options: Any) -> bytes:
        if content.subject == "broken":
            raise RuntimeError("a defect of ours")
        return build(content, **options)

    monkeypatch.setattr(mails, "build", build_or_fail)
    assert drain() == 1
    assert (again(broken).state, again(broken).reason) == ("deferred", "local_error")
    assert again(fine).state == "sent"


def test_a_defect_after_the_dot_leaves_the_fate_unknown_not_lost(
    tenant: Tenant, smtp: SMTPSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = accept(tenant)
    send = delivery.Connection.send

    def send_and_fail(self: Any, envelope: Any, content: bytes, before_dot: Callable[[], bool]) -> Reply:
        send(self, envelope, content, before_dot)
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(delivery.Connection, "send", send_and_fail)
    drain()
    monkeypatch.undo()
    make_due()
    drain()
    assert events(message)[:2] == ["queued", "ambiguous"]


def test_interactive_mail_goes_by_its_own_lane(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    accept(tenant)
    verification.start_verification(tenant, user, "hello@acme.example", "")
    drain("interactive")
    assert [mail.rcpt_to for mail in smtp.received] == [("hello@acme.example",)]
    forget_the_limits()


def test_the_servers_refusal_of_a_tenants_address_does_not_stop_the_other_tenants(
    tenant: Tenant, relay_to: Callable[[ScriptedServer], None]
) -> None:
    with ScriptedServer({"MAIL": ["553 5.7.1 sender address not owned by user", "250 ok"]}) as server:
        relay_to(server)
        refused, fine = accept(tenant), accept(tenant)
        drain()
    assert again(refused).state == "deferred"
    assert again(fine).state == "sent"


def test_mail_that_the_sink_refuses_for_good_is_not_retried(tenant: Tenant, smtp: SMTPSink) -> None:
    def refuse(mail: Received) -> str | None:
        return "554 5.7.1 message rejected as spam"

    smtp.on_data = refuse
    message = accept(tenant)
    drain()
    assert again(message).state == "failed"
    assert drain() == 0


def test_a_relay_that_refuses_everything_for_an_unknown_reason_loses_little(
    tenant: Tenant, relay_to: Callable[[ScriptedServer], None]
) -> None:
    messages = [accept(tenant) for _ in range(10)]
    with ScriptedServer({"RCPT": "554 5.0.0 transaction failed"}) as server:
        relay_to(server)
        for _ in range(3):
            drain()
            make_due()
    states = [again(message).state for message in messages]
    assert states.count("failed") == 2, "two in a row may be two bad recipients; the third is the relay"


def test_lanes_that_fail_together_count_once(tenant: Tenant, ctx: Flask, smtp: SMTPSink) -> None:
    ids = list(db.session.scalars(select(Lane.id).where(Lane.route == "relay")))
    for _ in range(len(ids)):
        accept(tenant)
    leases = [lease for lane in ids if (lease := lanes.take(lane)) is not None]
    attempts = [attempt for lease in leases for attempt in claims.claim(lease, 1)]
    assert len(attempts) == len(ids)
    for attempt in attempts:
        outcomes.backed_off(attempt, "relay", "service_unavailable", Reply(0, "lost"))
    db.session.rollback()
    assert set(db.session.scalars(select(Lane.failures).where(Lane.route == "relay"))) == {1}


def test_a_lane_at_work_heeds_what_another_lane_has_found_out(tenant: Tenant) -> None:
    for _ in range(3):
        accept(tenant)
    first, second = (
        lanes.take(lane) for lane in db.session.scalars(select(Lane.id).where(Lane.route == "relay")).all()
    )
    assert first is not None and second is not None
    (attempt,) = claims.claim(first, 1)
    outcomes.backed_off(attempt, "relay", "quota_daily", Reply(450, "try again in 3600 seconds"))
    assert claims.claim(second) == []


def test_merely_opening_a_connection_does_not_end_a_back_off(
    tenant: Tenant, relay_to: Callable[[ScriptedServer], None]
) -> None:
    accept(tenant)
    with ScriptedServer({"MAIL": "421 4.7.0 too many messages, slow down"}) as server:
        relay_to(server)
        for _ in range(3):
            drain()
            make_due()
    assert db.session.scalars(select(Lane.failures).where(Lane.route == "relay")).first() == 3


def test_a_second_copy_has_the_same_bytes_after_a_refusal_in_between_too(
    tenant: Tenant, relay_to: Callable[[ScriptedServer], None]
) -> None:
    with ScriptedServer({".": [CLOSE, "250 kept"], "RCPT": ["250 ok", "450 4.2.0 later", "250 ok"]}) as server:
        relay_to(server)
        message = accept(tenant)
        for _ in range(3):
            drain()
            make_due()
    assert events(message) == ["queued", "ambiguous", "deferred", "sent"]
    assert server.mails[0] == server.mails[1]


def test_an_ambiguous_message_that_expires_did_not_simply_fail(
    tenant: Tenant, relay_to: Callable[[ScriptedServer], None]
) -> None:
    with ScriptedServer({".": CLOSE}) as server:
        relay_to(server)
        message = accept(tenant)
        drain()
    with transaction() as session:
        session.execute(update(Message).values(expires_at=now(-1)))
    claims.expire()
    assert (again(message).state, again(message).reason) == ("unconfirmed", "expired")


def test_a_database_that_is_away_for_a_moment_makes_no_second_copy(
    tenant: Tenant, smtp: SMTPSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = accept(tenant)
    sent = outcomes.sent
    failures = [OperationalError("COMMIT", {}, Exception("gone for a moment"))]

    def fail_once(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        sent(*arguments)

    monkeypatch.setattr(outcomes, "sent", fail_once)
    monkeypatch.setattr(delivery, "_WRITE_AGAIN", (0.01,))
    assert drain() == 1
    assert events(message) == ["queued", "sent"] and len(smtp.received) == 1


def test_no_transaction_is_open_while_a_server_takes_its_time(
    tenant: Tenant, smtp: SMTPSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(tenant)
    seen: list[bool] = []
    send = delivery.Connection.send

    def look(self: Any, *arguments: Any) -> Reply:
        seen.append(bool(db.session().in_transaction()))
        return send(self, *arguments)

    monkeypatch.setattr(delivery.Connection, "send", look)
    drain()
    assert seen == [False]


def test_a_drain_that_is_asked_to_stop_ends_after_the_mail_at_hand(
    tenant: Tenant, smtp: SMTPSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        accept(tenant)
    monkeypatch.setattr(delivery, "stopping", threading.Event())

    def stop(mail: Received) -> None:
        delivery.stopping.set()

    smtp.on_data = stop
    assert drain() == 1
    waiting = db.session.scalar(select(func.count()).select_from(Message).where(Message.state == "queued"))
    assert waiting == 4, "what it had claimed waits for the next one"


def test_ten_thousand_tenants_whose_mail_is_not_due_cost_a_claim_little(tenant: Tenant) -> None:
    """Counted in queries, because time is noisy here."""
    with transaction() as session:
        for number in range(200):
            row = Tenant(external_id=f"t{number}", name="T")
            session.add(row)
            session.flush()
            outbox.accept(row, to="a@b.example", **ACCEPTED)
        session.execute(update(Message).values(due_at=now(3600)))
    accept(tenant)
    lease = lanes.take(lane_id("relay"))
    assert lease is not None
    with recorded() as statements:
        assert len(claims.claim(lease)) == 1
    assert 4 <= len(statements) < 14


@pytest.mark.skipif(bool(POSTGRES), reason="PostgreSQL's planner goes by statistics, which an empty table has none of")
def test_what_is_due_is_found_by_the_partial_indexes(ctx: Flask) -> None:
    """SQLite uses a partial index only where it reads the very values that the index names."""
    with recorded() as statements:
        lanes.has_due_mail("relay")
        claims._tenants_after("relay", 0, 5)
        claims._due("relay", 1, 5)
        claims.expire()
    asked = [(query, values) for query, values in statements if "message" in query]
    with db.engine.connect() as connection:
        for query, values in asked:
            plan = str(connection.exec_driver_sql("EXPLAIN QUERY PLAN " + query, tuple(values)).all())
            assert "SCAN message" not in plan and "ix_message_" in plan, (query, plan)
    assert len(asked) == 4
