"""The database's time jumps: nothing is given up for it, and nothing waits until the old time comes again."""

import uuid
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from jobs.clock import Clock
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane, Message, MessageBody, Refusal, Tenant, TenantUsage, TimeWatch, now, utcnow
from portal.reasons import GIVE_UP
from portal.services import limits
from portal.services.accounts import tenants
from portal.services.delivery import claims, outcomes
from portal.services.drivers import lifecycle, quota
from portal.services.limits import Cause
from portal.services.operations import heartbeat, metrics, time_watch
from portal.services.routing import daily_limit, lanes, refusals
from portal.transport.base import Receipt
from tests.chaos.steps import give_driver
from tests.support.backlog import backlog
from tests.support.moved_time import MovedTime
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import accept, again, drain, execute, lane_id

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
JUMPS = pytest.mark.parametrize("jump", [2 * HOUR, 10 * DAY, 400 * DAY, -2 * HOUR, -10 * DAY, -400 * DAY], ids=str)


@pytest.fixture(autouse=True)
def _moved(moved_time: MovedTime) -> None:
    """Each connection of these tests tells the moved time."""


class Clocks:
    """A clock process that ticks; `restart` is another process, `reboot` another start of its machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._clock, self._second, self._patch = Clock(), 0, monkeypatch
        self.tick()

    def tick(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            self._clock.tick(self._second)
            self._second += 60

    def restart(self) -> None:
        self._clock, self._second = Clock(), 0
        time_watch._last.clear()

    def reboot(self) -> None:
        self.restart()
        self._patch.setattr(time_watch, "_BOOT", str(uuid.uuid4()))


@pytest.fixture
def clock(moved_time: MovedTime, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def left(moment: datetime | None) -> timedelta:
    """How long it is until then, by the database's time."""
    assert moment is not None
    db.session.rollback()
    at = db.session.scalar(select(now()))
    assert at is not None
    return moment - at


def about(length: timedelta, wanted: timedelta) -> bool:
    return abs(length - wanted) < MINUTE


@JUMPS
def test_what_waits_is_not_given_up_and_has_the_rest_of_its_time(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime, jump: timedelta
) -> None:
    message = accept(tenant)
    moved_time.elapse(5 * HOUR)
    clock.tick()
    moved_time.jump(jump)
    clock.tick(2)
    assert again(message).state == "queued" and about(left(again(message).expires_at), GIVE_UP - 5 * HOUR)
    moved_time.elapse(GIVE_UP - 5 * HOUR - 2 * MINUTE)
    clock.tick()
    assert again(message).state == "queued"
    moved_time.elapse(4 * MINUTE)
    clock.tick()
    assert (again(message).state, again(message).reason) == ("failed", "expired")


@JUMPS
def test_a_drain_that_comes_before_any_clock_sends_it(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime, smtp: SMTPSink, jump: timedelta
) -> None:
    first = accept(tenant)
    moved_time.jump(jump)
    if jump > timedelta():
        drain()
        assert again(first).state == "sent"
    else:
        clock.tick()
        drain()
        assert again(first).state == "sent"


def test_what_is_too_old_is_given_up_by_whoever_finds_it(tenant: Tenant, clock: Clocks, smtp: SMTPSink) -> None:
    message = accept(tenant)
    execute(update(Message).values(expires_at=now(-1)))
    drain()
    assert again(message).reason == "expired" and not smtp.received


@JUMPS
def test_what_is_to_wait_waits_as_long_as_before(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime, jump: timedelta
) -> None:
    message = accept(tenant)
    execute(
        update(Message).values(state="deferred", due_at=now(600)),
        update(Lane).where(Lane.route == "relay").values(not_before=now(300), reason="rate_limited"),
    )
    with transaction():
        refusals.note(message.route, tenant.id, message.id, "rate_limited")
        db.session.execute(update(Refusal).values(not_before=now(300)))
    moved_time.jump(jump)
    clock.tick(2)
    lane = db.session.scalar(select(Lane.not_before).where(Lane.route == "relay"))
    waits = [(again(message).due_at, 10 * MINUTE), (lane, 5 * MINUTE)]
    if jump < timedelta():  # set forward, it is of another day
        waits.append((db.session.scalar(select(Refusal.not_before)), 5 * MINUTE))
    for until, usual in waits:
        assert left(until) <= usual
        assert jump > timedelta() or about(left(until), usual)


@JUMPS
def test_a_drain_at_work_keeps_its_lane_and_a_dead_one_loses_it_in_time(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime, jump: timedelta
) -> None:
    message = accept(tenant)
    lease = lanes.take(lane_id("relay"))
    assert lease is not None and len(claims.claim(lease)) == 1
    moved_time.jump(jump)
    clock.tick(2)
    assert again(message).state == "sending"
    lanes_end = left(db.session.scalar(select(Lane.leased_until).where(Lane.id == lease.lane_id)))
    assert timedelta() < lanes_end <= timedelta(seconds=lanes.LEASE_SECONDS)
    moved_time.elapse(MINUTE)
    clock.tick()
    assert again(message).state == "queued"
    assert about(left(again(message).expires_at), GIVE_UP - MINUTE)


@JUMPS
def test_a_mail_at_its_dot_when_the_time_jumps_is_sent_once(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime, jump: timedelta
) -> None:
    message = accept(tenant)
    lease = lanes.take(lane_id("relay"))
    assert lease is not None
    (attempt,) = claims.claim(lease)
    outcomes.mark_dot(attempt, {}, 30)
    moved_time.jump(jump)
    outcomes.sent(attempt, Receipt(250, "2.0.0 accepted"), "acme@acme.example")
    with transaction():
        lanes.extend(lease)
    clock.tick(2)
    assert (again(message).state, again(message).ambiguous) == ("sent", 0)


def test_without_a_clock_process_a_dead_lane_is_taken_back_by_the_next_one(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime
) -> None:
    lease = lanes.take(lane_id("relay"))
    assert lease is not None
    moved_time.elapse(HOUR)
    assert claims.reclaim_expired() == 0
    clock.tick()
    with pytest.raises(lanes.LeaseLost), transaction():
        lanes.extend(lease)


@JUMPS
def test_held_mail_has_its_time_when_it_is_released(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime, jump: timedelta
) -> None:
    message = accept(tenant)
    moved_time.elapse(HOUR)
    clock.tick()
    tenants.upsert("acme", state="suspended")
    clock.tick(3)
    assert again(message).state == "held"
    moved_time.elapse(30 * HOUR)
    clock.tick()
    moved_time.jump(jump)
    clock.tick(2)
    moved_time.elapse(30 * HOUR)
    clock.tick()
    tenants.upsert("acme", state="active")
    clock.tick(3)
    assert again(message).state == "queued" and about(left(again(message).expires_at), GIVE_UP - HOUR)
    assert left(again(message).due_at) <= timedelta()


def test_a_time_that_the_platform_has_named_stays(tenant: Tenant, clock: Clocks, moved_time: MovedTime) -> None:
    soon, late = utcnow() + HOUR, utcnow() + 20 * DAY
    first, second = accept(tenant, send_at=soon), accept(tenant, send_at=late)
    moved_time.jump(10 * DAY)
    clock.tick(2)
    assert again(first).due_at == soon and about(left(again(first).expires_at), GIVE_UP)
    assert again(second).due_at == late and about(again(second).expires_at - late, GIVE_UP)
    moved_time.jump(-10 * DAY)
    clock.tick(2)
    assert again(second).due_at == late and about(again(second).expires_at - late, GIVE_UP)
    assert left(again(first).due_at) <= timedelta()  # its time had come


def test_what_was_accepted_since_the_jump_keeps_its_time(tenant: Tenant, clock: Clocks, moved_time: MovedTime) -> None:
    for jump in (10 * DAY, -10 * DAY):
        moved_time.jump(jump)
        message = accept(tenant)
        clock.tick(2)
        assert about(left(again(message).expires_at), GIVE_UP) and left(again(message).due_at) <= timedelta()


def test_less_than_half_a_minute_is_an_adjustment(tenant: Tenant, clock: Clocks, moved_time: MovedTime) -> None:
    message = accept(tenant)
    for seconds in (20, -20):
        before = again(message).expires_at
        moved_time.jump(timedelta(seconds=seconds))
        clock.tick(2)
        assert again(message).expires_at == before
    assert heartbeat.time_jumps() == 0


def test_a_jump_is_said_and_counted_and_written_down(
    clock: Clocks, moved_time: MovedTime, caplog: pytest.LogCaptureFixture
) -> None:
    moved_time.jump(10 * DAY)
    clock.tick(3)
    assert "jumped by +864000 s" in caplog.text and caplog.text.count("jumped") == 1
    assert b"absender_time_jumps_total 1.0" in metrics.text()
    row = db.session.get(TimeWatch, 1, populate_existing=True)
    assert row is not None and row.jump is not None and abs(row.jump - 864_000) < 2


def test_of_several_clocks_one_moves_it(tenant: Tenant, clock: Clocks, moved_time: MovedTime) -> None:
    message = accept(tenant)
    moved_time.jump(10 * DAY)
    looked, row = time_watch._look()
    db.session.commit()
    assert row is not None
    seen = TimeWatch(seen_at=row.seen_at, boot=row.boot, uptime=row.uptime)
    clock.tick()
    time_watch._jumped(seen, looked, 864_000, is_known=True)  # it had looked at the same moment
    clock.restart()
    clock.tick(2)
    assert about(left(again(message).expires_at), GIVE_UP) and heartbeat.time_jumps() == 1


def test_a_clock_knows_a_jump_though_another_machines_has_looked_last(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime
) -> None:
    message = accept(tenant)
    lease = lanes.take(lane_id("relay"))
    assert lease is not None and len(claims.claim(lease)) == 1
    execute(update(TimeWatch).values(boot="another machine", uptime=1))
    moved_time.jump(10 * DAY)
    clock.tick()
    assert again(message).state == "sending" and heartbeat.time_jumps() == 1


def test_mail_that_is_released_by_a_process_of_the_old_time_loses_nothing(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime
) -> None:
    """Each process reads the time every few seconds: one has held the mail by the time that was."""
    message = accept(tenant)
    moved_time.jump(-10 * DAY)
    clock.tick(2)
    tenants.upsert("acme", state="suspended")
    clock.tick(3)
    ahead = utcnow() + 10 * DAY
    execute(update(Message).values(held_at=ahead), update(Tenant).values(moving_since=ahead, state="active"))
    clock.tick(3)
    assert again(message).state == "queued" and about(left(again(message).expires_at), GIVE_UP)
    assert left(again(message).due_at) <= timedelta()


def test_a_dead_lane_is_found_soon_though_the_clocks_machine_stood_still_for_hours(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime
) -> None:
    """Which looks like a jump to a single clock process."""
    lease = lanes.take(lane_id("relay"))
    assert lease is not None
    moved_time.jump(10 * HOUR)
    execute(update(Lane).where(Lane.id == lease.lane_id).values(leased_until=now(-60)))
    clock.tick(2)
    assert left(db.session.scalar(select(Lane.leased_until).where(Lane.id == lease.lane_id))) < 6 * MINUTE


def test_one_jump_after_the_other(tenant: Tenant, clock: Clocks, moved_time: MovedTime) -> None:
    message = accept(tenant)
    for jump in (10 * DAY, -10 * DAY, -3 * HOUR, 3 * HOUR):
        moved_time.jump(jump)
        clock.tick()
    clock.tick(2)
    assert about(left(again(message).expires_at), GIVE_UP) and heartbeat.time_jumps() == 4


def test_a_clock_that_is_killed_while_it_moves_mail_leaves_the_rest_to_the_next(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = backlog(tenant, lanes.RELAY, 60)
    monkeypatch.setattr(time_watch, "_IDS", 10)
    monkeypatch.setattr(time_watch, "_SECONDS", 0)
    moved_time.jump(10 * DAY)
    clock.tick(2)
    assert db.session.scalar(select(TimeWatch.moved_to)) is not None
    assert claims.expire() == 0  # some of it would be too old by now
    clock.restart()
    moved_time.jump(-10 * DAY)  # somebody has found the mistake
    clock.tick(30)
    for number in (ids[0], ids[30], ids[-1]):
        row = db.session.get(Message, number, populate_existing=True)
        assert row is not None and about(left(row.expires_at), GIVE_UP)


def test_a_clock_that_was_away_for_a_while_counts_that_time(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime
) -> None:
    message = accept(tenant)
    moved_time.elapse(10 * HOUR)
    clock.restart()
    clock.tick(2)
    assert about(left(again(message).expires_at), GIVE_UP - 10 * HOUR) and heartbeat.time_jumps() == 0


@JUMPS
def test_a_jump_while_no_clock_ran_is_found_by_the_next(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime, jump: timedelta
) -> None:
    message = accept(tenant)
    moved_time.elapse(10 * HOUR)
    moved_time.jump(jump)
    clock.restart()
    clock.tick(2)
    assert about(left(again(message).expires_at), GIVE_UP - 10 * HOUR)


def test_after_the_machine_has_started_anew_time_that_nobody_saw_is_not_counted(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime, caplog: pytest.LogCaptureFixture
) -> None:
    message = accept(tenant)
    lease = lanes.take(lane_id("relay"))
    assert lease is not None and len(claims.claim(lease)) == 1
    moved_time.elapse(5 * DAY)
    clock.reboot()
    clock.tick(2)
    assert again(message).state == "queued" and about(left(again(message).expires_at), GIVE_UP)
    assert "nobody has followed" in caplog.text and left(again(message).due_at) <= timedelta()


def test_a_time_that_was_set_back_while_the_machine_was_off_holds_nothing(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime
) -> None:
    message = accept(tenant)
    moved_time.elapse(HOUR)
    moved_time.jump(-10 * DAY)
    clock.reboot()
    clock.tick(2)
    assert again(message).state == "queued" and left(again(message).due_at) <= timedelta()
    assert about(left(again(message).expires_at), GIVE_UP)


def test_a_merchants_pace_and_peoples_limits_are_not_held_by_a_time_that_was(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime
) -> None:
    give_driver("acme", 587)
    driver = lifecycle.find(tenant)
    assert driver is not None
    driver.preset, driver.host, driver.username = "gmx", "mail.gmx.net", "acme@gmx.net"
    db.session.commit()
    message = accept(tenant)
    execute(update(Message).values(state="sent", route=driver.route, finished_at=now(), expires_at=now()))
    with transaction():
        limits.count(Cause.VERIFICATION, "jane@shop.example", tenant)
    assert quota.usage(driver).sent == 1
    moved_time.jump(-10 * DAY)
    assert quota.usage(driver).sent == 0
    assert limits.next_possible(Cause.VERIFICATION, "jane@shop.example", tenant) is None
    clock.tick(2)
    next_at = limits.next_possible(Cause.VERIFICATION, "jane@shop.example", tenant)
    assert next_at is not None and left(next_at) <= MINUTE  # as before the jump
    assert again(message).state == "sent"


def test_a_day_that_has_not_come_yet_is_no_days_limit(tenant: Tenant, clock: Clocks, moved_time: MovedTime) -> None:
    execute(TenantUsage.__table__.insert().values(tenant_id=tenant.id, day=daily_limit.today(), mails=7))
    moved_time.jump(-10 * DAY)
    clock.tick(2)
    assert db.session.scalar(select(TenantUsage.day)) == daily_limit.today()


def test_nothing_is_deleted_as_old_on_the_day_after_the_time_was_set_forward(
    tenant: Tenant, clock: Clocks, moved_time: MovedTime
) -> None:
    message = accept(tenant)
    execute(update(Message).values(state="sent", finished_at=now()))
    moved_time.jump(400 * DAY)
    clock.tick(3)
    assert db.session.scalar(select(Message.id)) == message.id and db.session.scalar(select(MessageBody.message_id))
    moved_time.elapse(25 * HOUR)
    clock.tick(3)
    assert db.session.scalar(select(Message.id)) is None


def test_what_is_given_up_is_given_up_at_once_however_much_it_is(
    tenant: Tenant, clock: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_EXPIRE_SECONDS", 60)
    backlog(tenant, lanes.RELAY, 1200)
    execute(update(Message).values(expires_at=now(-1)))
    clock.tick()
    assert set(db.session.scalars(select(Message.state))) == {"failed"}
