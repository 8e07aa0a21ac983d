"""The database's time, followed from tick to tick: when it jumps, what waits moves along (docs/decisions/0019).

All that waits is bound to the database's time. If somebody sets that forward by days, nothing has waited for days; if
it is set back, nothing has to wait until the old time comes again. The clock process compares it with its own machine's
clock that nobody sets, and what differs is the jump. Until a jump is judged and all mail has moved, IS_FOLLOWED is
false, and nothing is given up or taken back from its lane.
"""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Update, and_, case, exists, func, literal, or_, select, update

from portal.db.bulk_insert import insert_rows
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import (
    DriverTest,
    Lane,
    MailCount,
    Message,
    Refusal,
    RefusedSignIn,
    Tenant,
    TenantUsage,
    TimeWatch,
    now,
)
from portal.models.base import UTCDateTime, shifted
from portal.models.message import IS_HELD, IS_WAITING
from portal.models.time_watch import JUMP_SECONDS
from portal.reasons import GIVE_UP
from portal.services.message_state import ON_THE_WAY
from portal.services.operations import heartbeat
from portal.services.routing import lanes

_KEPT_SECONDS = 5.0  # the row is written so often; on SQLite each write waits for the disk
_IDS = 1000  # messages looked at in one transaction
_SECONDS = 0.5  # the clock has other work; the rest is moved at its next tick
_BREATH = 0.01  # seconds between two batches, in which others write
_NEAR = timedelta(seconds=5)
_LONGEST_LEASE = timedelta(minutes=5)  # more than a drain takes, however slow its server is
_ROW = 1
_GIVE_UP = GIVE_UP.total_seconds()
_ON_THE_WAY = (IS_WAITING, IS_HELD, Message.lane_id.is_not(None))

# On the day after the time was set forward nothing is old because of it: somebody may be about to set it right.
_IS_NEW_DAY = exists().where(TimeWatch.jump > 3600, TimeWatch.jumped_at > now(-86400))

# What nobody has to wait for longer because the time was set back: small tables, in one go.
_WAITS = (
    Lane.not_before, Refusal.at, Refusal.since, Refusal.not_before, MailCount.at, RefusedSignIn.at,
    RefusedSignIn.next_at, DriverTest.created_at, DriverTest.finished_at, Tenant.moving_since,
)  # fmt: skip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Look:
    """The database's time, and this machine's at the same moment: which start of it, and the seconds since."""

    at: datetime
    boot: str
    uptime: float


# What this process saw last, by database, and which jump was the last one then.
_last: dict[str, tuple[_Look, datetime | None]] = {}


def follow() -> None:
    """Look at the time and, if it has jumped, move what waits; the clock's first work of each tick."""
    looked, row = _look()
    if row is None:
        _begin(looked)
        return
    if row.move_until is not None:
        _move_some(row)  # the next look comes after that
        return
    jumped_at = row.jumped_at
    gap = (looked.at - row.seen_at).total_seconds()
    if abs(gap) > JUMP_SECONDS:
        before = _comparable(row, looked)
        jump = gap if before is None else (looked.at - before.at).total_seconds() - (looked.uptime - before.uptime)
        if abs(jump) > JUMP_SECONDS:
            _jumped(row, looked, jump, is_known=before is not None)
            jumped_at = looked.at
        else:
            _write(row, looked)
    elif not 0 <= gap < _KEPT_SECONDS:
        _write(row, looked)
    _last[str(db.engine.url)] = looked, jumped_at


def may_delete() -> bool:
    """Whether what is old by the database's time is old."""
    return not db.session.scalar(select(_IS_NEW_DAY))


def _look() -> tuple[_Look, TimeWatch | None]:
    before = _uptime()
    at = db.session.scalar(select(now()))
    after = _uptime()
    assert at is not None
    row = db.session.get(TimeWatch, _ROW, populate_existing=True)
    return _Look(at, _BOOT, (before + after) / 2), row


def _comparable(row: TimeWatch, looked: _Look) -> _Look | None:
    """An earlier look from this start of this machine; None where there is none, as after its restart."""
    if row.boot == looked.boot and row.uptime <= looked.uptime:
        return _Look(row.seen_at, row.boot, row.uptime)
    own, jumped_at = _last.get(str(db.engine.url), (None, None))
    return own if jumped_at == row.jumped_at else None


def _begin(looked: _Look) -> None:
    first = {"id": _ROW, "seen_at": looked.at, "boot": looked.boot, "uptime": looked.uptime}
    with transaction():
        insert_rows(TimeWatch.__table__, [first], unless_there=("id",))  # type: ignore[arg-type]
    _last[str(db.engine.url)] = looked, None


def _write(row: TimeWatch, looked: _Look, **values: Any) -> bool:
    """Write the look down. Within a transaction or not; False if another clock process was faster."""
    seen = {"seen_at": looked.at, "boot": looked.boot, "uptime": looked.uptime}
    with transaction() as session:
        done = session.execute(
            update(TimeWatch)
            .where(TimeWatch.id == _ROW, TimeWatch.seen_at == row.seen_at, TimeWatch.move_until.is_(None))
            .values(**seen, **values)
            .execution_options(synchronize_session=False)
        )
    return bool(done.rowcount)  # type: ignore[attr-defined]


def _jumped(row: TimeWatch, looked: _Look, jump: float, *, is_known: bool) -> None:
    """Move leases and waits at once, and begin with the messages. Not `is_known`: only that it is as much or more.

    Time that nobody has followed may just have passed. Then mail is given more time, and no lease.
    """
    with transaction():
        first, last = _waiting()
        if not _write(row, looked, jump=jump, jumped_at=looked.at, moved_to=first, move_until=last):
            return
        if jump < 0 or is_known:
            _move_leases(looked.at, jump)
        if jump < 0:
            _move_waits(looked.at, jump)
    heartbeat.count_time_jump()
    if is_known:
        log.error("the database's time has jumped by %+.0f s; what waits moves along", jump)
    elif jump > 0:
        log.warning("nobody has followed the database's time for %.0f s; they don't count for what waits", jump)
    else:
        log.error("the database's time was set back by %.0f s or more, unseen; what waits moves along", -jump)
    begun = db.session.get(TimeWatch, _ROW, populate_existing=True)
    if begun is not None and begun.move_until is not None:
        _move_some(begun)


def _move_leases(at: datetime, jump: float) -> None:
    """Who works goes on; who is dead is found as soon as without the jump."""
    db.session.execute(select(Lane.id).order_by(Lane.id).with_for_update()).all()
    leased = update(Lane).where(Lane.lease_token.is_not(None))
    if jump > 0:
        # Not without end: what looks like a jump may be a machine that stood still.
        most = at + _LONGEST_LEASE
        moved = case(
            (Lane.leased_until < most - timedelta(seconds=jump), shifted(Lane.leased_until, jump)), else_=literal(most)
        )
        leased = leased.where(Lane.leased_until <= at).values(leased_until=moved)
    else:
        least = at + timedelta(seconds=lanes.LEASE_SECONDS)
        least_then = at + timedelta(seconds=lanes.LEASE_SECONDS - jump)
        moved = case((Lane.leased_until < least_then, literal(least)), else_=shifted(Lane.leased_until, jump))
        leased = leased.where(Lane.leased_until > least).values(leased_until=moved)
    db.session.execute(leased.execution_options(synchronize_session=False))


def _move_waits(at: datetime, jump: float) -> None:
    for column in _WAITS:
        moved = update(column.class_).where(column.is_not(None)).values({column: shifted(column, jump)})
        db.session.execute(moved.execution_options(synchronize_session=False))
    today = at.date()
    usage = update(TenantUsage).where(TenantUsage.day > today).values(day=today)
    db.session.execute(usage.execution_options(synchronize_session=False))


def _waiting() -> tuple[int | None, int | None]:
    """The id before the oldest message that may have to move, and the newest id; None and None where there is none."""
    found = [db.session.scalar(select(func.min(Message.id)).where(which)) for which in _ON_THE_WAY]
    oldest = min((number for number in found if number is not None), default=None)
    return (None, None) if oldest is None else (oldest - 1, db.session.scalar(select(func.max(Message.id))))


def _move_some(row: TimeWatch) -> None:
    """Move messages for half a second, in short transactions."""
    until = time.monotonic() + _SECONDS
    jump, at, moved_to, last = row.jump, row.jumped_at, row.moved_to, row.move_until
    assert jump is not None and at is not None and moved_to is not None and last is not None
    while (first := _next(moved_to, last)) is not None:
        upper = min(first + _IDS, last)
        with transaction() as session:
            if not _proceed(moved_to, moved_to=upper):
                return  # another clock process was faster
            which = (Message.id >= first, Message.id <= upper, Message.state.in_(ON_THE_WAY))
            session.execute(_moved(jump, at).where(*which).execution_options(synchronize_session=False))
        moved_to = upper
        if time.monotonic() > until:
            return
        time.sleep(_BREATH)
    with transaction():
        _proceed(moved_to, moved_to=None, move_until=None)


def _next(moved_to: int, last: int) -> int | None:
    query = select(Message.id).where(Message.id > moved_to, Message.id <= last, Message.state.in_(ON_THE_WAY))
    return db.session.scalar(query.order_by(Message.id).limit(1))


def _proceed(reached: int, **values: int | None) -> bool:
    """Within a transaction."""
    row = update(TimeWatch).where(TimeWatch.id == _ROW, TimeWatch.moved_to == reached).values(**values)
    done = db.session.execute(row.execution_options(synchronize_session=False))
    return bool(done.rowcount)  # type: ignore[attr-defined]


def _moved(jump: float, at: datetime) -> Update:
    """A message's times, `jump` seconds later. What the platform has named stays: a time not to be sent before.

    What was due in the time before is due still; only what would be due too late comes earlier.
    """
    before = at - timedelta(seconds=jump)
    is_scheduled = and_(Message.send_at > before, Message.due_at == Message.send_at)
    again = case((Message.send_at > at, shifted(Message.send_at, _GIVE_UP)), else_=literal(at + GIVE_UP, UTCDateTime()))
    expires = case((_is_of_before(Message.expires_at, at, GIVE_UP), shifted(Message.expires_at, jump)),
                   else_=Message.expires_at)  # fmt: skip
    held = case((_is_of_before(Message.held_at, at), shifted(Message.held_at, jump)), else_=Message.held_at)
    values = {"expires_at": case((is_scheduled, again), else_=expires), "held_at": held}
    if jump < 0:
        values["due_at"] = case((is_scheduled, Message.due_at), else_=shifted(Message.due_at, jump))
    return update(Message).values(values)


def _is_of_before(column: Any, at: datetime, ahead: timedelta = timedelta()) -> ColumnElement[bool]:
    """Whether this time was written before the jump: not in the seconds since then. `ahead`: so much was added."""
    return or_(column < at + ahead - _NEAR, column > now(ahead.total_seconds()))


def _uptime() -> float:
    """Seconds that this machine runs, sleep included: a clock that nobody sets."""
    return time.clock_gettime(_CLOCK)


def _boot() -> str:
    """Which start of this machine it is; elsewhere than on Linux, of this process."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:36]
    except OSError:
        return str(uuid.uuid4())


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT = _boot()
