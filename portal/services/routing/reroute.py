"""Waiting mail follows its tenant's sender: to another route, into the hold, or out of it.

In batches, each a short transaction, so that nobody waits because a tenant has much: whoever changes the sender takes
the first few along and leaves the rest to the clock. What is still to do stands in the database (Tenant.moving_since),
so that a process that dies loses nothing. Nothing is sent meanwhile that should wait: the drain asks for the sender in
force before each mail.

No message's log grows by it, however often a driver is paused: the row says why it waits, the trail who did it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import and_, bindparam, func, or_, select, update
from sqlalchemy.exc import OperationalError

from portal.db.bounded_count import count_up_to
from portal.db.bulk_insert import insert_rows
from portal.db.transaction import after_commit, transaction
from portal.extensions import db
from portal.models import LogEntry, Message, Tenant, now, statement_time, utcnow
from portal.models.message import IS_OVER_LIMIT, IS_WAITING, WAITING, State
from portal.models.route import INTERACTIVE
from portal.models.tenant import TenantState
from portal.reasons import EARLIER, Reason
from portal.services import message_state
from portal.services.message_state import CHANGED, ENTRY, MESSAGE, change
from portal.services.routing import daily_limit, lanes
from portal.services.routing import sender as senders
from portal.services.routing.sender import Sender

BATCH = 200  # messages in one transaction: some 30 ms, in which nothing else writes on SQLite
AT_ONCE = 100  # those that a change of the sender takes along itself
NEXT = 500  # messages above a daily limit that are made ready at a time: what is sent in a second or two
_NO_TIME = timedelta()
_BREATH = 0.01  # seconds between two batches, in which others write
_SECONDS = 0.5  # the clock has other work; the rest follows at its next call
# Why a message is held that doesn't wait for its sender.
_FOR_ITSELF = (Reason.SET_ASIDE,)
_NOT_FOR_SENDER = (*_FOR_ITSELF, Reason.PLAN_DAILY_LIMIT)
# What the log says of a message that goes by the default sender in place of a driver that can't send: event and reason.
_STANDS_IN = ("sender_changed", Reason.DRIVER_STOPPED)
_COLUMNS = (*CHANGED, MESSAGE.c.state, MESSAGE.c.reason, MESSAGE.c.due_at, MESSAGE.c.expires_at, MESSAGE.c.held_at)

log = logging.getLogger(__name__)


class Unmoved(Exception):
    """The waiting mail of so many tenants could not follow their senders; the log says why."""


def reroute(tenant: Tenant) -> None:
    """Bring the tenant's waiting mail in line with the sender in force. Within a transaction that holds the tenant.

    Constant work, whatever waits: AT_ONCE messages now, the others by move_some(). Held time does not count towards
    giving up, and held mail goes on in its order; all but what waits for itself.
    """
    tenant.moving_since, tenant.moved_to = utcnow(), 0
    db.session.flush()
    _move(tenant, AT_ONCE)


def look_again(tenant_id: int) -> None:
    """Have the clock look whether the tenant's mail is in line with its sender. Before other locks of a transaction."""
    db.session.execute(
        update(Tenant)
        .where(Tenant.id == tenant_id, Tenant.moving_since.is_(None))
        .values(moving_since=utcnow(), moved_to=0)
        .execution_options(synchronize_session=False)
    )


def is_moving(tenant_id: int) -> bool:
    """Whether some of the tenant's waiting mail has still to follow its sender."""
    return db.session.scalar(select(Tenant.moving_since).where(Tenant.id == tenant_id)) is not None


def move_some() -> int:
    """Go on where reroute() stopped, then resume what is within the limit of a new day; the clock's every-second work.

    A batch of each tenant in turn, for half a second. Returns how many messages changed. One tenant that can't be
    served keeps no other from it; raises Unmoved afterwards, so that the clock counts it.
    """
    until = time.monotonic() + _SECONDS
    done, failed = 0, set[int]()
    for tenant_id, batch in _work(failed):
        try:
            done += batch(tenant_id)
        except OperationalError:
            raise  # the database is away
        except Exception:
            log.exception("the waiting mail of tenant %s could not follow its sender", tenant_id)
            db.session.rollback()
            failed.add(tenant_id)
        if time.monotonic() > until:
            break
    if failed:
        raise Unmoved(len(failed))
    return done


def _work(failed: set[int]) -> Iterator[tuple[int, Any]]:
    """Whose turn it is, and what is to be done: those whose sender has changed first, the longest waiting in front."""
    moving = select(Tenant.id).where(Tenant.moving_since.is_not(None)).order_by(Tenant.moving_since)
    while ids := [one for one in db.session.scalars(moving).all() if one not in failed]:
        yield from ((tenant_id, _go_on) for tenant_id in ids)
    yield from ((tenant_id, _resume) for tenant_id in daily_limit.resumable())


def _go_on(tenant_id: int) -> int:
    time.sleep(_BREATH)
    with transaction():
        tenant = _lock(tenant_id)
        return _move(tenant, BATCH) if tenant.moving_since is not None else 0


def _lock(tenant_id: int) -> Tenant:
    return db.session.get_one(Tenant, tenant_id, with_for_update=True, populate_existing=True)


def _move(tenant: Tenant, most: int) -> int:
    """One batch; the last one says that the tenant's mail is in line. Returns how many messages changed."""
    assert tenant.moving_since is not None
    sender = senders.resolve(tenant)
    _move_interactive(tenant, most)
    if sender.held_reason:
        rows = _to_hold(tenant, sender.held_reason, most)
        done = _hold(rows, sender, tenant.moving_since)
        if len(rows) < most:  # nothing is left to be held: what was held before waits for the same now
            rows = _hold_for(tenant, sender.held_reason, most)
            done += len(rows)
    else:
        rows = _to_follow(tenant, most)
        done = _follow(rows, sender, tenant.moving_since)
        tenant.moved_to = rows[-1].id if rows else tenant.moved_to
        after_commit(partial(lanes.wake, sender.route))
    if len(rows) < most:
        tenant.moving_since = None
    return done


def _to_hold(tenant: Tenant, reason: str, most: int) -> list[Any]:
    """The newest first: whoever resumes before all of it is held finds the oldest in front."""
    which = [MESSAGE.c.route != INTERACTIVE]
    if reason == Reason.PLAN_DAILY_LIMIT:
        which.append(or_(MESSAGE.c.counted_on.is_(None), MESSAGE.c.counted_on < daily_limit.today()))
    rows = [row for state in WAITING for row in _some(tenant, state, most, *which, order=MESSAGE.c.id.desc())]
    return sorted(rows, key=lambda row: -row.id)[:most]


def _to_follow(tenant: Tenant, most: int) -> list[Any]:
    """The oldest first, from where the batch before ended."""
    which = (MESSAGE.c.route != INTERACTIVE, MESSAGE.c.id > tenant.moved_to)
    rows = [row for state in (*WAITING, State.HELD) for row in _some(tenant, state, most, *which, order=MESSAGE.c.id)]
    return sorted(rows, key=lambda row: row.id)[:most]


def _some(tenant: Tenant, state: State, most: int, *which: Any, order: Any) -> list[Any]:
    """By the index of the log's filter by state, so that what has ended isn't looked at."""
    found = select(*_COLUMNS).where(MESSAGE.c.tenant_id == tenant.id, MESSAGE.c.state == state, *which)
    return list(db.session.execute(found.order_by(order).limit(most).with_for_update()))


def _hold_for(tenant: Tenant, reason: str, most: int) -> list[Any]:
    """Have what is held for another reason wait for this one; from where the batch before ended."""
    other = func.coalesce(MESSAGE.c.reason, "").not_in((*_NOT_FOR_SENDER, reason))
    which = MESSAGE.c.route != INTERACTIVE, other, MESSAGE.c.id > tenant.moved_to
    rows = _some(tenant, State.HELD, most, *which, order=MESSAGE.c.id)
    db.session.execute(update(MESSAGE).where(_among(rows)).values(reason=reason))
    tenant.moved_to = rows[-1].id if rows else tenant.moved_to
    return rows


def _move_interactive(tenant: Tenant, most: int) -> None:
    """Mail that people wait for goes by no sender of the tenant's, and waits only while it is suspended."""
    at, ours = tenant.moving_since, MESSAGE.c.route == INTERACTIVE
    if tenant.state == TenantState.SUSPENDED:
        rows = [row for state in WAITING for row in _some(tenant, state, most, ours, order=MESSAGE.c.id)]
        held = change(WAITING, State.HELD, reason=Reason.TENANT_SUSPENDED, held_at=at)
        db.session.execute(held.where(_among(rows)))
        message_state.write(rows, State.HELD, None, Reason.TENANT_SUSPENDED)
        return
    suspended = MESSAGE.c.reason == Reason.TENANT_SUSPENDED
    rows = _some(tenant, State.HELD, most, ours, suspended, order=MESSAGE.c.id)
    _release(rows, senders.platform_sender(INTERACTIVE), at or utcnow())
    if rows:
        after_commit(partial(lanes.wake, INTERACTIVE))


def _hold(rows: Sequence[Any], sender: Sender, since: datetime) -> int:
    held = change(WAITING, State.HELD, reason=sender.held_reason, held_at=since, route=sender.route)
    db.session.execute(held.where(_among(rows)))
    return message_state.write(rows, State.HELD, None, sender.held_reason)


def _follow(rows: Sequence[Any], sender: Sender, since: datetime) -> int:
    held = [row for row in rows if row.state == State.HELD and _waits_for_sender(row.reason, sender)]
    waiting = [row for row in rows if row.state != State.HELD]
    if sender.stands_in:
        _tell_stand_in([*held, *waiting])
    elsewhere = [row for row in waiting if row.route != sender.route]
    db.session.execute(update(MESSAGE).where(_among(elsewhere)).values(route=sender.route))
    if sender.driver_id is not None:
        # What waited for the account, and not for its recipient, need not wait any longer.
        later = [row for row in waiting if row.state == State.DEFERRED and row.due_at > since]
        db.session.execute(update(MESSAGE).where(_among(later)).values(due_at=since))
    return _release(held, sender, since) + len(elsewhere)


def _among(rows: Sequence[Any]) -> Any:
    return MESSAGE.c.id.in_([row.id for row in rows])


def _waits_for_sender(reason: str | None, sender: Sender) -> bool:
    """What is above a plan's limit waits for another day, unless it goes by a route that has none now."""
    above = reason == Reason.PLAN_DAILY_LIMIT and daily_limit.is_counting(sender.route)
    return not above and reason not in _FOR_ITSELF


def _release(held: Sequence[Any], sender: Sender, since: datetime) -> int:
    """Whatever it waited for before, all of it is due at one time, and its ids keep the order."""
    at = db.session.scalar(select(now())) or utcnow()  # a process may tell the time of before a jump
    due_at = min(since, at)
    released = change([State.HELD], State.QUEUED, reason=None, held_at=None, due_at=due_at, route=sender.route)
    released = released.where(MESSAGE.c.id == bindparam("one")).values(expires_at=bindparam("later"))
    if held:
        given = [{"one": row.id, "later": row.expires_at + max(_NO_TIME, at - (row.held_at or at))} for row in held]
        db.session.execute(released, given)
    return message_state.write(held, State.QUEUED, None, None)


def _tell_stand_in(rows: Sequence[Any]) -> None:
    """Say it in each message's log, once in its life."""
    about_it = and_(LogEntry.event == _STANDS_IN[0], LogEntry.reason.in_((_STANDS_IN[1], *EARLIER)))
    told = select(LogEntry.message_id).where(LogEntry.message_id.in_([row.id for row in rows]), about_it)
    known = set(db.session.scalars(told))
    new = [row for row in rows if row.id not in known]
    if new:
        at = {"at": utcnow(), "event": _STANDS_IN[0], "reason": _STANDS_IN[1]}
        insert_rows(ENTRY, [{"tenant_id": row.tenant_id, "message_id": row.id, **at} for row in new])


def _resume(tenant_id: int) -> int:
    """Let the oldest go of what was above the limit, as much as is sent next: never more than there is room for."""
    if senders.resolve(db.session.get_one(Tenant, tenant_id, populate_existing=True)).held_reason:
        return 0
    time.sleep(_BREATH)
    with transaction():
        tenant = _lock(tenant_id)
        sender = senders.resolve(tenant)
        most = NEXT if sender.held_reason is None else 0
        if daily_limit.is_counting(sender.route):
            room = daily_limit.room(tenant.id, tenant.plan)
            most = min(most, most if room is None else room) - _ready(tenant, sender, most)
        if most <= 0:
            return 0
        over = select(*_COLUMNS).where(IS_OVER_LIMIT, MESSAGE.c.tenant_id == tenant.id)
        rows = db.session.execute(over.order_by(MESSAGE.c.id).limit(most).with_for_update()).all()
        after_commit(partial(lanes.wake, sender.route))
        return _release(rows, sender, utcnow())


def _ready(tenant: Tenant, sender: Sender, most: int) -> int:
    """How many of the tenant's messages may be claimed now; counted up to `most`."""
    due = select(Message.id).where(
        Message.route == sender.route, IS_WAITING, Message.tenant_id == tenant.id, Message.due_at <= statement_time()
    )
    return count_up_to(most, due)
