"""Waiting mail follows its tenant's sender: to another route, into the hold, or out of it."""

from __future__ import annotations

from functools import partial

from sqlalchemy import ColumnElement, and_, bindparam, exists, insert, literal, or_, select, update

from portal.db.transaction import after_commit
from portal.extensions import db
from portal.models import LogEntry, Message, Tenant, utcnow
from portal.models.message import WAITING, State
from portal.models.route import INTERACTIVE, Route
from portal.reasons import EARLIER, Reason
from portal.services import message_state
from portal.services.message_state import CHANGED, MESSAGE, change
from portal.services.routing import lanes
from portal.services.routing import sender as senders

_BATCH = 1000
# What the log says of a message that goes by the default sender in place of a driver that can't send: event and reason.
_STANDS_IN = ("sender_changed", Reason.DRIVER_STOPPED)
_TOLD = exists().where(
    LogEntry.message_id == Message.id,
    LogEntry.event == _STANDS_IN[0],
    LogEntry.reason.in_((_STANDS_IN[1], *EARLIER)),
)


def reroute(tenant: Tenant) -> None:
    """Bring the tenant's waiting mail in line with the sender in force. Within a transaction that holds the tenant.

    Held time does not count towards giving up, and held mail goes on in its order; all but what is set aside, which
    waits for the operator and for no sender.
    """
    db.session.flush()
    sender = senders.resolve(tenant)
    ours = and_(Message.tenant_id == tenant.id, Message.route != INTERACTIVE)
    if sender.held_reason:
        _hold(ours, sender.route, sender.held_reason)
        return
    waiting = and_(ours, Message.state.in_(WAITING))
    if sender.stands_in:  # before what is held is let go, which is told the same below
        _log(and_(waiting, or_(Message.route != sender.route, ~_TOLD)), *_STANDS_IN)
    _release(ours, sender.route, stands_in=sender.stands_in)
    db.session.execute(
        update(Message)
        .where(waiting, Message.route != sender.route)
        .values(route=sender.route)
        .execution_options(synchronize_session=False)
    )
    after_commit(partial(lanes.wake, sender.route))


def _hold(waiting: ColumnElement[bool], route: Route, reason: str) -> None:
    held = change(WAITING, State.HELD, reason=reason, held_at=utcnow(), route=route).where(waiting).returning(*CHANGED)
    message_state.write(db.session.execute(held).all(), State.HELD, "held", reason)


def _release(ours: ColumnElement[bool], route: Route, *, stands_in: bool) -> None:
    held = and_(ours, Message.state == State.HELD, Message.reason.is_distinct_from(Reason.SET_ASIDE))
    some = select(*CHANGED, MESSAGE.c.expires_at, MESSAGE.c.held_at).where(held).limit(_BATCH).with_for_update()
    now = utcnow()
    # Whatever it waited for before, it is due now: the ids keep the order.
    released = change([State.HELD], State.QUEUED, reason=None, held_at=None, due_at=now, route=route)
    released = released.where(MESSAGE.c.id == bindparam("one")).values(expires_at=bindparam("later"))
    while rows := db.session.execute(some).all():
        given = [{"one": row.id, "later": row.expires_at + (now - (row.held_at or now))} for row in rows]
        db.session.execute(released, given)
        message_state.write(rows, State.QUEUED, *(_STANDS_IN if stands_in else ("resumed", None)))


def _log(which: ColumnElement[bool], event: str, reason: str | None) -> None:
    db.session.execute(
        insert(LogEntry).from_select(
            ["tenant_id", "message_id", "at", "event", "reason"],
            select(
                Message.tenant_id, Message.id, literal(utcnow(), LogEntry.at.type), literal(event), literal(reason)
            ).where(which),
        )
    )
