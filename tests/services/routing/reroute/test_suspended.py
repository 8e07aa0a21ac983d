"""A suspended shop sends nothing: no time runs out, and all goes on once the shop is active again."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from portal.extensions import db
from portal.models import Driver, Message, Tenant, User, now, utcnow
from portal.services.accounts import people, tenants
from portal.services.delivery import claims
from portal.services.drivers import lifecycle
from portal.services.routing import reroute
from portal.services.senders import verification
from tests.support.driver_steps import drain_driver
from tests.support.mail_service import MailService
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import accept as accept_to
from tests.support.steps import accept_many, again, drain, events, execute, make_due


def suspend() -> None:
    tenants.upsert("acme", state="suspended")


def activate() -> None:
    tenants.upsert("acme", state="active")


def counts_by_reason() -> dict[tuple[str, str | None], int]:
    db.session.rollback()
    query = select(Message.state, Message.reason, func.count()).group_by(Message.state, Message.reason)
    return {(state, reason): count for state, reason, count in db.session.execute(query)}


HELD = ("held", "tenant_suspended")


def test_what_waits_is_held_and_goes_on_in_its_order(tenant: Tenant, smtp: SMTPSink) -> None:
    messages = accept_many(tenant, 3)
    suspend()
    assert drain() == 0 and counts_by_reason() == {HELD: 3}
    accept_to(tenant, "late@customer.example")
    assert counts_by_reason() == {HELD: 4}
    activate()
    drain()
    assert [mail.rcpt_to[0][:4] for mail in smtp.received] == ["jane", "jane", "jane", "late"]
    assert events(messages[0]) == ["queued", "sent"]


def test_its_time_does_not_run_out_meanwhile(tenant: Tenant) -> None:
    message = accept_to(tenant)
    suspend()
    execute(update(Message).values(held_at=now(-72 * 3600), expires_at=now(-24 * 3600)))
    assert claims.expire() == 0
    activate()
    left = again(message).expires_at - utcnow()
    assert timedelta(hours=47) < left < timedelta(hours=49)


def test_a_backlog_is_held_and_released_in_batches(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reroute, "AT_ONCE", 4)
    accept_many(tenant, 10)
    suspend()
    assert counts_by_reason() == {HELD: 4, ("queued", None): 6}
    assert reroute.move_some() == 6 and counts_by_reason() == {HELD: 10}
    activate()
    assert counts_by_reason() == {HELD: 6, ("queued", None): 4}
    assert reroute.move_some() == 6 and counts_by_reason() == {("queued", None): 10}


def test_what_no_batch_has_reached_yet_is_held_by_the_drain(
    tenant: Tenant, smtp: SMTPSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reroute, "AT_ONCE", 1)
    accept_many(tenant, 5)
    suspend()
    assert drain() == 0 and smtp.received == [] and counts_by_reason() == {HELD: 5}


def test_the_others_go_on(ctx: Flask, tenant: Tenant, smtp: SMTPSink) -> None:
    other, _ = tenants.upsert("other", name="Other")
    suspend()
    accept_to(tenant)
    accept_to(other, "jo@customer.example")
    assert drain() == 1 and smtp.received[0].rcpt_to == ("jo@customer.example",)


def test_neither_verification_nor_invitations_are_sent(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hello@acme.example", "Acme")
    people.invite(tenant, user, "jo@partner.example", "viewer")
    suspend()
    drain("interactive")
    assert smtp.received == [] and counts_by_reason() == {HELD: 2}
    activate()
    drain("interactive")
    assert len(smtp.received) == 2


def test_one_that_the_drain_finds_first_is_held_too(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    people.invite(tenant, user, "jo@partner.example", "viewer")
    execute(update(Tenant).values(state="suspended"))
    drain("interactive")
    assert smtp.received == [] and counts_by_reason() == {HELD: 1}


def test_a_link_that_waited_for_too_long_is_not_sent_any_more(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    identity = verification.start_verification(tenant, user, "hello@acme.example", "Acme")
    suspend()
    execute(update(type(identity)).values(nonce_at=utcnow() - timedelta(hours=25)))
    activate()
    drain("interactive")
    assert smtp.received == [] and counts_by_reason() == {("cancelled", "no_longer_wanted"): 1}


def test_a_second_copy_of_unknown_fate_waits_as_well(tenant: Tenant, smtp: SMTPSink) -> None:
    accept_to(tenant)
    drain()
    dot = {"name": "", "address": "notifications@marketplace.example", "reverse_path": "x@marketplace.example",
           "route": "relay", "identity_id": None, "driver_id": None, "shown": "x"}  # fmt: skip
    execute(update(Message).values(state="queued", ambiguous=1, dot=dot, finished_at=None))
    execute(update(Tenant).values(state="suspended"))
    make_due()
    assert drain() == 0 and len(smtp.received) == 1 and counts_by_reason() == {HELD: 1}


def test_beside_a_paused_mail_service_each_waits_for_its_own(
    tenant: Tenant, user: User, driver: Driver, service: MailService
) -> None:
    accept_to(tenant)
    lifecycle.pause(tenant, user)
    suspend()
    accept_to(tenant)
    paused = ("held", "driver_paused")
    assert counts_by_reason() == {HELD: 2, ("sent", None): 1}  # the third is the driver's test
    activate()
    drain_driver(driver)
    assert counts_by_reason() == {paused: 2, ("sent", None): 1}
    lifecycle.resume(tenant, user)
    assert drain_driver(driver) == 2


def test_what_was_held_before_waits_for_the_new_reason_in_batches(
    tenant: Tenant, user: User, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reroute, "AT_ONCE", 2)
    monkeypatch.setattr(reroute, "BATCH", 2)
    lifecycle.pause(tenant, user)
    accept_many(tenant, 5)
    suspend()
    assert counts_by_reason() == {HELD: 2, ("held", "driver_paused"): 3, ("sent", None): 1}
    assert reroute.move_some() == 3
    assert counts_by_reason() == {HELD: 5, ("sent", None): 1}
    assert not reroute.is_moving(tenant.id)


def test_a_stopped_mail_services_mail_does_not_go_by_the_default_sender_either(
    tenant: Tenant, user: User, driver: Driver, smtp: SMTPSink
) -> None:
    lifecycle.set_held_mail(tenant, user, "default")
    suspend()
    lifecycle.pause(tenant, user)
    message = accept_to(tenant)
    assert drain() == 0 and events(message) == ["queued", "held"]
    activate()
    assert drain() == 1
    assert events(message) == ["queued", "held", "sender_changed", "sent"]
