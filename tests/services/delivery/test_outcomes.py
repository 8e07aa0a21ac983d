"""Leases and the final dot: what nobody knows the fate of is sent once more with the same bytes, and never by two."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import current_app
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane, Message, Tenant, User, now, utcnow
from portal.services.delivery import claims, outcomes, prepare
from portal.services.delivery import drain as delivery
from portal.services.routing import lanes
from portal.services.routing.lanes import LeaseLost
from portal.services.senders import identities, verification
from portal.transport.base import Mail, Receipt, Reply
from portal.transport.smtp.connection import Connection
from tests.services.conftest import RelayTo
from tests.support.scripted_server import CLOSE, ScriptedServer
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import accept, again, drain, events, expire_leases, lane_id, link_of_last_mail, make_due


def test_a_lease_outlasts_a_slow_server(tenant: Tenant, relay_to: RelayTo, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[float] = []
    connect = Connection.open

    def measure(self: Connection) -> None:
        with current_app.app_context():  # type: ignore[attr-defined]
            until = db.session.scalars(select(Lane.leased_until).where(Lane.leased_until.is_not(None))).one()
        assert until is not None
        left.append((until - utcnow()).total_seconds())
        connect(self)

    monkeypatch.setattr(Connection, "open", measure)
    with ScriptedServer() as server:
        relay_to(server)
        accept(tenant)
        assert drain() == 1
    assert left[0] > 100


def test_an_unknown_fate_is_tried_once_more_with_the_same_bytes(tenant: Tenant, relay_to: RelayTo) -> None:
    with ScriptedServer({".": [CLOSE, "250 2.0.0 kept"]}) as server:
        relay_to(server)
        message = accept(tenant)
        drain()
        make_due()
        drain()
    assert server.mails[0] == server.mails[1]
    assert events(message) == ["queued", "ambiguous", "sent"]


def test_an_unknown_fate_twice_ends_as_unconfirmed(tenant: Tenant, relay_to: RelayTo) -> None:
    with ScriptedServer({".": CLOSE}) as server:
        relay_to(server)
        message = accept(tenant)
        for _ in range(4):
            drain()
            make_due()
    assert again(message).state == "unconfirmed"
    assert len(server.mails) == 2


def test_a_second_copy_under_a_sender_no_longer_allowed_is_sent_under_the_new_one(
    tenant: Tenant, user: User, smtp: SMTPSink, relay_to: RelayTo
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


def test_a_lane_that_died_at_the_dot_leaves_its_message_ambiguous(tenant: Tenant, smtp: SMTPSink) -> None:
    message = accept(tenant)
    lease = lanes.take(lane_id("relay"))
    assert lease is not None
    (attempt,) = claims.claim(lease)
    outgoing = prepare.prepare(attempt)
    assert outgoing is not None
    outcomes.mark_dot(attempt, outgoing.dot, 1)
    expire_leases()
    claims.reclaim_expired()
    assert again(message).state == "queued" and again(message).ambiguous == 1
    drain()
    assert smtp.received[0].content.replace(b"\r\n", b"\n") == outgoing.mail.content.replace(b"\r\n", b"\n")
    assert events(message) == ["queued", "ambiguous", "sent"]


def test_who_lost_the_lease_can_neither_mark_the_dot_nor_write_an_outcome(tenant: Tenant) -> None:
    message = accept(tenant)
    lease = lanes.take(lane_id("relay"))
    assert lease is not None
    (attempt,) = claims.claim(lease)
    outgoing = prepare.prepare(attempt)
    assert outgoing is not None
    expire_leases()
    with pytest.raises(LeaseLost):
        outcomes.mark_dot(attempt, outgoing.dot, 1)
    claims.reclaim_expired()
    with pytest.raises(LeaseLost):
        outcomes.sent(attempt, Receipt(250, "ok"), "x")
    assert again(message).dot_at is None and again(message).state == "queued"


def test_a_drain_that_was_taken_over_in_the_middle_of_a_mail_sends_no_dot(
    tenant: Tenant, relay_to: RelayTo, monkeypatch: pytest.MonkeyPatch
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


def test_a_defect_after_the_dot_leaves_the_fate_unknown(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    message = accept(tenant)
    send = Connection.send

    def send_and_fail(self: Connection, mail: Mail, before_handover: Callable[[], bool]) -> Receipt:
        send(self, mail, before_handover)
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(Connection, "send", send_and_fail)
    drain()
    monkeypatch.undo()
    make_due()
    drain()
    assert events(message)[:2] == ["queued", "ambiguous"]


def test_a_second_copy_has_the_same_bytes_after_a_refusal_in_between_too(tenant: Tenant, relay_to: RelayTo) -> None:
    with ScriptedServer({".": [CLOSE, "250 kept"], "RCPT": ["250 ok", "450 4.2.0 later", "250 ok"]}) as server:
        relay_to(server)
        message = accept(tenant)
        for _ in range(3):
            drain()
            make_due()
    assert events(message) == ["queued", "ambiguous", "deferred", "sent"]
    assert server.mails[0] == server.mails[1]


def test_an_ambiguous_message_that_expires_did_not_simply_fail(tenant: Tenant, relay_to: RelayTo) -> None:
    with ScriptedServer({".": CLOSE}) as server:
        relay_to(server)
        message = accept(tenant)
        drain()
    with transaction() as session:
        session.execute(update(Message).values(expires_at=now(-1)))
    claims.expire()
    assert (again(message).state, again(message).reason) == ("unconfirmed", "expired")


def test_a_database_briefly_away_makes_no_copy(tenant: Tenant, smtp: SMTPSink, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_no_transaction_is_open_while_a_server_takes_its_time(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(tenant)
    seen: list[bool] = []
    send = Connection.send

    def look(self: Any, *arguments: Any) -> Reply:
        seen.append(bool(db.session().in_transaction()))
        return send(self, *arguments)

    monkeypatch.setattr(Connection, "send", look)
    drain()
    assert seen == [False]
