"""Claims: which waiting messages a drain takes, and how they come back when it can't send them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

from sqlalchemy import insert, select, update

from portal.extensions import db
from portal.models import Lane, LogEntry, Message, now, utcnow
from portal.models.message import WAITING
from portal.services import lanes, outcomes
from portal.services.lanes import Lease
from portal.services.outcomes import Attempt
from portal.services.transaction import after_commit, transaction

BATCH = 20
_EXPIRE_BATCH = 500

log = logging.getLogger(__name__)


def claim(lease: Lease) -> list[Attempt]:
    """Take up to BATCH due messages of the lane's route, in turn over the tenants. Raises LeaseLost.

    Extends the lease. The attempt's number is the fence: whoever claims a message later has a higher one.
    """
    db.session.expunge_all()  # what the last batch loaded is history
    with transaction() as session:
        shares = _shares(lease)
        if not shares:
            return []
        lanes.extend(lease, turn=shares[-1][0])
        ids = [message_id for tenant_id, share in shares for message_id in _due(lease.route, tenant_id, share)]
        claimed = session.execute(
            update(Message)
            .where(Message.id.in_(ids), Message.state.in_(WAITING))
            .values(state="sending", lane_id=lease.lane_id, attempt=Message.attempt + 1, dot_at=None)
            .returning(Message.id, Message.tenant_id, Message.attempt)
            .execution_options(synchronize_session=False)
        ).all()
    place = {message_id: number for number, message_id in enumerate(ids)}
    return [Attempt(lease, *row) for row in sorted(claimed, key=lambda row: place[row.id])]


def _shares(lease: Lease) -> list[tuple[int, int]]:
    """The next tenants that have due mail on the route, after the one served last, each with its share of the batch.

    One index look-up per tenant, so that a thousand waiting messages of one tenant cost another one nothing.
    """
    start = db.session.scalar(select(Lane.turn).where(Lane.id == lease.lane_id)) or 0
    tenants: list[int] = []
    turn, wrapped = start, False
    while len(tenants) < BATCH:
        row = db.session.execute(
            select(Message.tenant_id)
            .where(Message.route == lease.route, Message.state.in_(WAITING), Message.tenant_id > turn)
            .order_by(Message.tenant_id)
            .limit(1)
        ).one_or_none()
        if row is None:
            if wrapped:
                break
            turn, wrapped = 0, True
            continue
        turn = row.tenant_id
        if wrapped and turn > start:
            break
        if _due(lease.route, turn, 1):
            tenants.append(turn)
    share = -(-BATCH // len(tenants)) if tenants else 0
    return [(tenant_id, share) for tenant_id in tenants]


def _due(route: str, tenant_id: int, limit: int) -> list[int]:
    """Ids of the tenant's due messages, the oldest due first; those that another lane is claiming are passed over."""
    return list(
        db.session.scalars(
            select(Message.id)
            .where(
                Message.route == route,
                Message.state.in_(WAITING),
                Message.tenant_id == tenant_id,
                Message.due_at <= now(),
            )
            .order_by(Message.due_at, Message.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    )


def give_back(lease: Lease, attempts: Iterable[Attempt]) -> None:
    """Return claimed messages that were not begun. Raises LeaseLost."""
    ids = [attempt.message_id for attempt in attempts]
    if not ids:
        return
    with transaction() as session:
        lanes.extend(lease)
        session.execute(
            update(Message)
            .where(Message.id.in_(ids), Message.lane_id == lease.lane_id, Message.state == "sending")
            .values(state="queued", lane_id=None)
            .execution_options(synchronize_session=False)
        )


def reclaim_expired() -> int:
    """End the leases that ran out and return their lanes' messages; the clock's work. Returns how many lanes."""
    dead = db.session.execute(
        select(Lane.id, Lane.route, Lane.lease_token).where(Lane.lease_token.is_not(None), Lane.leased_until <= now())
    ).all()
    return sum(_reclaim(Lease(lane.id, lane.route, lane.lease_token)) for lane in dead)


def _reclaim(lease: Lease) -> bool:
    with transaction() as session:
        ended = session.execute(
            update(Lane)
            .where(Lane.id == lease.lane_id, Lane.lease_token == lease.token, Lane.leased_until <= now())
            .values(lease_token=None, leased_until=None)
        )
        if ended.rowcount != 1:  # type: ignore[attr-defined]
            return False  # another clock was faster, or its drain came back in time
        messages = session.scalars(
            select(Message)
            .where(Message.lane_id == lease.lane_id, Message.state == "sending")
            .order_by(Message.id)
            .execution_options(populate_existing=True)
        ).all()
        for message in messages:
            outcomes.returned(message, lease)
        after_commit(partial(lanes.wake, lease.route))
    log.warning("lane %s died; %s messages returned", lease.lane_id, len(messages))
    return True


def expire() -> int:
    """Give up what has waited too long without being claimed; the clock's work. Returns how many messages."""
    with transaction() as session:
        old = session.execute(
            update(Message)
            .where(
                Message.id.in_(
                    select(Message.id)
                    .where(Message.state.in_(WAITING), Message.expires_at <= now())
                    .limit(_EXPIRE_BATCH)
                ),
                Message.state.in_(WAITING),
            )
            .values(state="failed", reason="expired", finished_at=utcnow())
            .returning(Message.id, Message.tenant_id)
            .execution_options(synchronize_session=False)
        ).all()
        if old:
            session.execute(
                insert(LogEntry),
                [{"tenant_id": m.tenant_id, "message_id": m.id, "event": "failed", "reason": "expired"} for m in old],
            )
    return len(old)
