"""Waiting mail follows its tenant's sender, and what is withdrawn meanwhile stays withdrawn."""

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, func, select, text, update

from portal.extensions import db
from portal.models import AuditEntry, Driver, Lane, LogEntry, Message, Tenant, User, now, utcnow
from portal.models.message import WAITING, State
from portal.models.route import RELAY
from portal.services.accounts import people, tenants
from portal.services.delivery import claims
from portal.services.delivery.prepare import prepare
from portal.services.drivers import lifecycle
from portal.services.drivers.settings import DriverSettings
from portal.services.message_state import MESSAGE, change
from portal.services.outbox import message_log
from portal.services.routing import lanes, reroute
from portal.services.routing import sender as senders
from portal.services.routing.sender import Sender
from portal.services.senders import identities, verification
from portal.services.senders.settings_page import driver_status, sender_settings
from tests.support.backlog import backlog
from tests.support.driver_steps import accept, drain_driver, saved, states
from tests.support.mail_service import MailService
from tests.support.smtp_sink import SMTPSink
from tests.support.statements import recorded
from tests.support.steps import accept as accept_to
from tests.support.steps import accept_many, again, drain, events, execute, lane_id, make_due


def test_saving_a_driver_takes_waiting_mail_along(
    tenant: Tenant, user: User, service: MailService, wanted: DriverSettings
) -> None:
    accept(tenant)
    driver = saved(tenant, user, wanted)
    service.sink.clear()
    drain_driver(driver)
    assert len(service.sink.received) == 1


def test_a_downgrade_deletes_nothing_and_an_upgrade_brings_it_back(
    tenant: Tenant, user: User, driver: Driver, smtp: SMTPSink, service: MailService
) -> None:
    lifecycle.pause(tenant, user)
    accept(tenant)
    tenants.upsert("acme", plan="basic")
    shown = sender_settings(tenant)
    assert (shown.mode, shown.chosen_mode, shown.driver_allowed) == ("platform", "driver", False)
    drain()
    assert len(smtp.received) == 1
    tenants.upsert("acme", plan="enterprise")
    lifecycle.resume(tenant, user)
    accept(tenant)
    drain_driver(driver)
    assert len(service.sink.received) == 1


def test_choosing_another_sender_frees_held_mail(tenant: Tenant, user: User, driver: Driver, smtp: SMTPSink) -> None:
    lifecycle.pause(tenant, user)
    accept(tenant)
    identities.use_default(tenant, user)
    drain()
    assert len(smtp.received) == 1 and driver_status(tenant) is not None
    lifecycle.use(tenant, user)
    assert sender_settings(tenant).chosen_mode == "driver"


@pytest.mark.skipif(not os.environ.get("PORTAL_TEST_DATABASE_URL"), reason="SQLite has one writer at a time")
def test_what_is_withdrawn_while_released_stays_so(app: Flask, tenant: Tenant, user: User, driver: Driver) -> None:
    accept(tenant)
    lifecycle.pause(tenant, user)

    def resume() -> None:
        with app.app_context():
            lifecycle.resume(db.session.get_one(Tenant, tenant.id))

    with db.engine.connect() as withdrawal:
        withdrawal.execute(change([State.HELD], State.CANCELLED))
        release = threading.Thread(target=resume)
        release.start()
        for _ in range(1000):
            if db.session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                break
        withdrawal.commit()
        release.join(20)
    assert states() == {"cancelled": 1}


@pytest.mark.skipif(not os.environ.get("PORTAL_TEST_DATABASE_URL"), reason="SQLite has one writer at a time")
def test_what_is_accepted_while_somebody_resumes_is_not_left_on_hold(
    app: Flask, tenant: Tenant, user: User, driver: Driver
) -> None:
    lifecycle.pause(tenant, user)

    def hand_in() -> None:
        with app.app_context():
            accept(db.session.get_one(Tenant, tenant.id))

    with db.engine.connect() as resuming:
        resuming.execute(select(Tenant.id).where(Tenant.id == tenant.id).with_for_update())
        resuming.execute(update(Driver).values(state="active"))
        accepting = threading.Thread(target=hand_in)
        accepting.start()
        for _ in range(1000):
            if db.session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                break
        resuming.commit()
        accepting.join(20)
    assert states() == {"queued": 1}


def test_a_click_does_the_same_work_whatever_waits(tenant: Tenant, user: User, driver: Driver) -> None:
    backlog(tenant, driver.route, 2_000)
    few = [work(act, tenant, user) for act in CLICKS]
    finish()
    backlog(tenant, driver.route, 18_000)
    many = [work(act, tenant, user) for act in CLICKS]
    assert few == many
    assert max(rows for _, rows in many) <= reroute.AT_ONCE


def test_processor_time_of_a_click_does_not_grow_with_what_waits(tenant: Tenant, user: User, driver: Driver) -> None:
    """Four times as much waits, so that even linear work would show."""

    def best() -> float:
        times = []
        for _ in range(5):
            began = time.process_time()
            lifecycle.pause(tenant, user)
            lifecycle.resume(tenant, user)
            times.append(time.process_time() - began)
        return min(times)

    backlog(tenant, driver.route, 2_500)
    once = best()
    finish()
    backlog(tenant, driver.route, 7_500)
    assert best() < 3 * once


def test_a_pause_is_one_entry_of_the_trail_and_none_of_the_messages_logs(
    tenant: Tenant, user: User, driver: Driver
) -> None:
    message = accept(tenant)
    backlog(tenant, driver.route, 3 * reroute.BATCH)
    before = entries()
    for act in CLICKS:
        act(tenant, user)
        finish()
    assert entries() == before
    lifecycle.pause(tenant, user)
    finish()
    trail = db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.id.desc()).limit(3)).all()
    assert trail == ["driver_paused", "driver_resumed", "driver_paused"]
    assert [(entry.event, entry.reason) for entry in message_log.entries(again(message))][-1] == (
        "held", "driver_paused",
    )  # fmt: skip


def test_waiting_mail_is_held_and_released_in_batches_in_its_order(tenant: Tenant, user: User, driver: Driver) -> None:
    ids = backlog(tenant, driver.route, 1_700)
    lifecycle.pause(tenant, user)
    assert states()["held"] == reroute.AT_ONCE
    finish()
    assert states() == {"held": 1_700}
    lifecycle.resume(tenant, user)
    assert states()["queued"] == reroute.AT_ONCE
    later = accept(tenant).id
    finish()
    assert states() == {"queued": 1_701} and due() == [*ids, later]


def test_resumed_before_all_of_it_is_held_everything_is_queued_in_its_order(
    tenant: Tenant, user: User, driver: Driver
) -> None:
    ids = backlog(tenant, driver.route, 1_700)
    for act in (*CLICKS, *CLICKS):
        act(tenant, user)
        batch()
    finish()
    assert states() == {"queued": 1_700} and due() == ids


def test_nothing_is_sent_from_the_pause_on_though_not_all_of_it_is_held_yet(
    tenant: Tenant, user: User, driver: Driver, service: MailService
) -> None:
    ids = backlog(tenant, driver.route, 3 * reroute.BATCH)
    lifecycle.pause(tenant, user)
    for _ in range(3):
        assert drain_driver(driver) == 0
        execute(update(Lane).values(not_before=None))
    assert states() == {"queued": len(ids) - reroute.AT_ONCE, "held": reroute.AT_ONCE}, "held one by one"
    finish()
    assert states() == {"held": len(ids)} and service.sink.received == []


def test_what_was_claimed_before_the_pause_is_held_with_the_rest(tenant: Tenant, user: User, driver: Driver) -> None:
    backlog(tenant, driver.route, 10)
    lease = lanes.take(lane_id(driver.route))
    assert lease is not None
    claimed = claims.claim(lease)
    lifecycle.pause(tenant, user)
    finish()
    assert states() == {"sending": 10}
    claims.give_back(lease, claimed)
    lanes.release(lease)
    drain_driver(driver)
    assert states() == {"held": 10}


def test_what_a_drain_holds_while_somebody_resumes_is_released(
    tenant: Tenant, user: User, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    backlog(tenant, driver.route, 1)
    lease = lanes.take(lane_id(driver.route))
    assert lease is not None
    (attempt,) = claims.claim(lease)
    lifecycle.pause(tenant, user)
    seen = senders.facts(tenant.id)
    lifecycle.resume(tenant, user)
    monkeypatch.setattr(senders, "facts", lambda _: seen)  # what it read just before
    assert prepare(attempt) is None
    assert states() == {"held": 1}
    finish()
    assert states() == {"queued": 1}


def test_what_a_killed_clock_left_behind_the_next_one_continues(tenant: Tenant, user: User, driver: Driver) -> None:
    backlog(tenant, driver.route, 4 * reroute.BATCH)
    lifecycle.pause(tenant, user)
    commits = 0

    def die(_session: object) -> None:
        nonlocal commits
        commits += 1
        if commits == 4:  # the second batch's; one before each ends what was read
            raise KeyboardInterrupt

    event.listen(db.session, "before_commit", die)
    try:
        with pytest.raises(KeyboardInterrupt):
            reroute.move_some()
    finally:
        event.remove(db.session, "before_commit", die)
        db.session.remove()
    assert 0 < states()["queued"] < 4 * reroute.BATCH - reroute.AT_ONCE
    finish()
    assert states() == {"held": 4 * reroute.BATCH}


def test_between_two_batches_others_write(app: Flask, tenant: Tenant, user: User, driver: Driver) -> None:
    other = tenants.upsert("rival", name="Rival")[0].id
    backlog(tenant, driver.route, 3 * reroute.BATCH)
    lifecycle.pause(tenant, user)
    accepted: list[int] = []

    def accept_for_the_other() -> None:
        with app.app_context():
            accepted.append(accept(db.session.get_one(Tenant, other)).id)

    def hand_in(_session: object) -> None:
        if threading.current_thread() is threading.main_thread():
            handing_in = threading.Thread(target=accept_for_the_other)
            handing_in.start()
            handing_in.join(10)

    event.listen(db.session, "after_commit", hand_in)
    try:
        finish()
    finally:
        event.remove(db.session, "after_commit", hand_in)
    assert len(accepted) >= 3
    assert states() == {"held": 3 * reroute.BATCH, "queued": len(accepted)}


def test_each_tenant_gets_its_turn_and_one_that_fails_keeps_no_other_waiting(
    tenant: Tenant, user: User, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, _ = tenants.upsert("rival", name="Rival", plan="pro")
    backlog(other, driver.route, 2 * reroute.BATCH)
    execute(update(Tenant).values(moving_since=utcnow(), moved_to=0))
    resolve = senders.resolve

    def refuse(of: Tenant) -> Sender:
        if of.id == tenant.id:
            raise ValueError("a defect")
        return resolve(of)

    monkeypatch.setattr(senders, "resolve", refuse)
    for _ in range(20):  # half a second may be short on a busy machine
        with pytest.raises(reroute.Unmoved):
            reroute.move_some()
    moved = select(func.count()).where(Message.tenant_id == other.id, Message.route == RELAY)
    assert db.session.scalar(moved) == 2 * reroute.BATCH
    assert reroute.is_moving(tenant.id) and not reroute.is_moving(other.id)


def test_removing_a_driver_takes_all_its_mail_along(tenant: Tenant, user: User, driver: Driver) -> None:
    backlog(tenant, driver.route, 700)
    lifecycle.pause(tenant, user)
    lifecycle.remove(tenant, user)
    finish()
    assert states() == {"queued": 700}
    assert set(db.session.scalars(select(Message.route).where(Message.state == "queued"))) == {RELAY}


def test_resuming_makes_due_what_the_account_put_off(tenant: Tenant, user: User, driver: Driver) -> None:
    backlog(tenant, driver.route, 300)
    execute(update(Message).values(state="deferred", due_at=now(3600)))
    lifecycle.resume(tenant, user)
    finish()
    assert len(due()) == 300


def test_what_is_held_for_itself_stays_so(tenant: Tenant, user: User, driver: Driver) -> None:
    backlog(tenant, driver.route, 2)
    execute(update(Message).values(state="held", reason="set_aside"))
    lifecycle.pause(tenant, user)
    lifecycle.resume(tenant, user)
    finish()
    assert states() == {"held": 2}


def test_what_is_withdrawn_meanwhile_is_not_held(tenant: Tenant, user: User, driver: Driver) -> None:
    accept(tenant)
    ended = db.session.scalars(select(Message.id).where(Message.state == State.QUEUED)).first()
    accept(tenant)
    db.session.execute(change(WAITING, State.CANCELLED).where(MESSAGE.c.id == ended))
    db.session.commit()
    lifecycle.pause(tenant, user)
    assert states() == {"cancelled": 1, "held": 1}


TENANTS = select(Tenant.id)
CLICKS = (lifecycle.pause, lifecycle.resume)


def work(act: Callable[[Tenant, User], object], tenant: Tenant, user: User) -> tuple[int, int]:
    """How many statements a click takes, and how many messages it changes."""
    before = states()
    with recorded() as statements:
        act(tenant, user)
    after = states()
    return len(statements), sum(abs(after.get(state, 0) - before.get(state, 0)) for state in {*before, *after}) // 2


def batch() -> None:
    """One tick that has time for one batch."""
    (moving,) = db.session.scalars(select(Tenant.id).where(Tenant.moving_since.is_not(None)))
    reroute._go_on(moving)


def finish() -> None:
    """The clock's ticks until nothing is left to do."""
    db.session.rollback()
    for _ in range(100):
        if not reroute.move_some() and not any(reroute.is_moving(tenant) for tenant in db.session.scalars(TENANTS)):
            return


def due() -> list[int]:
    """In the order in which a lane takes it."""
    db.session.rollback()
    waiting = select(Message.id).where(Message.state.in_(WAITING), Message.due_at <= now())
    waiting = waiting.where(Message.kind == "order_update")
    return list(db.session.scalars(waiting.order_by(Message.due_at, Message.id)))


def entries() -> int:
    return db.session.scalar(select(func.count()).select_from(LogEntry)) or 0


# Suspended shops: nothing is sent, no time runs out, and all goes on once the shop is active again.


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
