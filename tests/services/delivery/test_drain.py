"""The drain: sends under the sender in force, writes down what became of each mail, and waits when it must."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from portal.extensions import db
from portal.models import Lane, Message, Tenant, now, utcnow
from portal.services.delivery import claims
from portal.services.delivery import drain as delivery
from portal.services.outbox import message_log
from tests.services.conftest import RelayTo
from tests.support.scripted_server import ScriptedServer
from tests.support.smtp_sink import Received, SMTPSink
from tests.support.steps import accept, again, drain, events, execute, make_due


def test_a_refused_recipient_fails_the_message_alone(tenant: Tenant, relay_to: RelayTo) -> None:
    with ScriptedServer({"RCPT": ["550 5.1.1 no such user", "250 ok"]}) as server:
        relay_to(server)
        first, second = accept(tenant), accept(tenant)
        drain()
    assert (again(first).state, again(first).reason) == ("failed", "unknown_recipient")
    assert again(second).state == "sent"
    assert "no such user" in (message_log.entries(first)[-1].text or "")


def test_a_temporary_refusal_is_tried_again_by_the_schedule(tenant: Tenant, relay_to: RelayTo) -> None:
    with ScriptedServer({"RCPT": "450 4.2.0 greylisted, try later"}) as server:
        relay_to(server)
        message = accept(tenant)
        for minutes in (1, 5, 15):
            drain()
            row = again(message)
            assert row.state == "deferred"
            wait = row.due_at - utcnow()
            assert timedelta(minutes=minutes) - timedelta(seconds=50) < wait <= timedelta(minutes=minutes)
            make_due()
    assert events(message) == ["queued", "deferred", "deferred", "deferred"]


@pytest.mark.parametrize(
    ("named", "seconds"), [("300 seconds", 300), ("00:04:59", 299), ("0 seconds", 5), ("3 days", 8 * 3600)]
)
def test_a_server_that_names_a_time_is_asked_then(tenant: Tenant, relay_to: RelayTo, named: str, seconds: int) -> None:
    with ScriptedServer({"RCPT": f"450 4.2.0 greylisted, try again in {named}"}) as server:
        relay_to(server)
        message = accept(tenant)
        drain()
    entry = message_log.entries(again(message))[-1]
    assert entry.until is not None
    # By the entry's own times, so that a slow machine's own seconds don't count.
    assert abs((entry.until - entry.at).total_seconds() - seconds) < 2


def test_a_message_is_given_up_two_days_after_its_acceptance(tenant: Tenant, smtp: SMTPSink) -> None:
    message = accept(tenant)
    execute(update(Message).values(expires_at=now(-1)))
    drain()
    assert (again(message).state, again(message).reason) == ("failed", "expired")
    assert smtp.received == []


def test_the_clock_gives_up_what_no_drain_reaches(tenant: Tenant) -> None:
    message = accept(tenant)
    execute(update(Message).values(expires_at=now(-1)))
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
        until = message_log.entries(again(message))[-1].until
        assert until is not None
        waits.append(round((until - utcnow()).total_seconds()))
        make_due()
    assert waits == sorted(waits) and waits[0] < waits[-1]
    assert again(message).retries == 0, "the message's own schedule is not used up"


def test_a_server_that_ends_a_connection_after_some_mails_costs_no_delay(tenant: Tenant, relay_to: RelayTo) -> None:
    with ScriptedServer({"MAIL": ["250 ok", "421 4.7.0 too many messages on this connection", "250 ok"]}) as server:
        relay_to(server)
        first, second = accept(tenant), accept(tenant)
        assert drain() == 2
    assert server.connections == 2
    assert events(second) == ["queued", "sent"] and again(first).state == "sent"


def test_the_servers_refusal_of_a_tenants_address_stops_no_other_tenant(tenant: Tenant, relay_to: RelayTo) -> None:
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


def test_a_relay_that_refuses_everything_for_an_unknown_reason_loses_little(tenant: Tenant, relay_to: RelayTo) -> None:
    messages = [accept(tenant) for _ in range(10)]
    with ScriptedServer({"RCPT": "554 5.0.0 transaction failed"}) as server:
        relay_to(server)
        for _ in range(3):
            drain()
            make_due()
    states = [again(message).state for message in messages]
    assert states.count("failed") == 2, "two in a row may be two bad recipients; the third is the relay"


def test_merely_opening_a_connection_does_not_end_a_back_off(tenant: Tenant, relay_to: RelayTo) -> None:
    accept(tenant)
    with ScriptedServer({"MAIL": "421 4.7.0 too many messages, slow down"}) as server:
        relay_to(server)
        for _ in range(3):
            drain()
            make_due()
    assert db.session.scalars(select(Lane.failures).where(Lane.route == "relay")).first() == 3


def test_a_drain_ends_after_the_mail_at_hand(tenant: Tenant, smtp: SMTPSink, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        accept(tenant)
    monkeypatch.setattr(delivery, "stopping", threading.Event())

    def stop(mail: Received) -> None:
        delivery.stopping.set()

    smtp.on_data = stop
    assert drain() == 1
    waiting = db.session.scalar(select(func.count()).select_from(Message).where(Message.state == "queued"))
    assert waiting == 4, "what it had claimed waits for the next one"
