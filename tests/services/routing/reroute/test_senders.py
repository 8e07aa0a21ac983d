"""Waiting mail follows its tenant's sender, and what is withdrawn meanwhile stays withdrawn."""

import os
import threading
import time
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import event, func, select, text, update

from portal.extensions import db
from portal.models import AuditEntry, Driver, Lane, LogEntry, Message, Tenant, User, now, utcnow
from portal.models.message import WAITING, State
from portal.models.route import RELAY
from portal.services import message_state
from portal.services.accounts import tenants
from portal.services.delivery import claims
from portal.services.delivery.prepare import prepare
from portal.services.drivers import lifecycle
from portal.services.drivers.settings import DriverSettings
from portal.services.message_state import MESSAGE, change
from portal.services.outbox import message_log
from portal.services.routing import lanes, reroute
from portal.services.routing import sender as senders
from portal.services.routing.sender import Sender
from portal.services.senders import identities
from portal.services.senders.settings_page import driver_status, sender_settings
from tests.support.backlog import backlog
from tests.support.driver_steps import accept, drain_driver, saved, states
from tests.support.mail_service import MailService
from tests.support.smtp_sink import SMTPSink
from tests.support.statements import recorded
from tests.support.steps import again, drain, execute, lane_id


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


def test_between_two_batches_others_write(
    app: Flask, tenant: Tenant, user: User, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tenants.upsert("rival", name="Rival")[0].id
    backlog(tenant, driver.route, 3 * reroute.BATCH)
    lifecycle.pause(tenant, user)
    accepted: list[int] = []

    def accept_for_the_other() -> None:
        with app.app_context():
            accepted.append(accept(db.session.get_one(Tenant, other)).id)

    def hand_in(_changes: object) -> None:
        if threading.current_thread() is threading.main_thread():
            handing_in = threading.Thread(target=accept_for_the_other)
            handing_in.start()
            handing_in.join(10)

    monkeypatch.setattr(message_state, "subscribers", [hand_in])
    finish()
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
