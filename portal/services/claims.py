"""Claims: which waiting messages a drain takes, and how they come back when it can't send them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

from sqlalchemy import ColumnElement, ScalarSelect, and_, case, exists, insert, literal, or_, select, update

from portal.extensions import db
from portal.models import Lane, LogEntry, Message, now, statement_time, utcnow
from portal.models.message import IS_WAITING
from portal.services import lanes, outcomes
from portal.services.lanes import Lease
from portal.services.outcomes import Attempt
from portal.services.transaction import after_commit, transaction

BATCH = 20
_EXPIRE_BATCH = 500

log = logging.getLogger(__name__)


def claim(lease: Lease, most: int = BATCH) -> list[Attempt]:
    """Take up to `most` due messages of the lane's route, in turn over the tenants. Raises LeaseLost.

    Extends the lease. The attempt's number is the fence: whoever claims a message later has a higher one.
    """
    db.session.expunge_all()  # what the last batch loaded is history
    turn = db.session.scalar(
        select(Lane.turn).where(
            Lane.id == lease.lane_id, or_(Lane.not_before.is_(None), Lane.not_before <= statement_time())
        )
    )
    if turn is None:
        return []  # another lane of the route has found that it must wait
    tenants = _next_tenants(lease.route, turn, most)
    if not tenants:
        return []
    with transaction() as session:
        lanes.extend(lease, turn=tenants[-1])
        share = -(-most // len(tenants))
        ids = [message_id for tenant_id in tenants for message_id in _due(lease.route, tenant_id, share)][:most]
        claimed = session.execute(
            update(Message)
            .where(Message.id.in_(ids), IS_WAITING)
            .values(state="sending", lane_id=lease.lane_id, attempt=Message.attempt + 1, dot_at=None)
            .returning(Message.id, Message.tenant_id, Message.attempt)
            .execution_options(synchronize_session=False)
        ).all()
    place = {message_id: number for number, message_id in enumerate(ids)}
    return [Attempt(lease, *row) for row in sorted(claimed, key=lambda row: place[row.id])]


def _next_tenants(route: str, turn: int, most: int) -> list[int]:
    """The tenants that have due mail on the route, beginning after the one served last."""
    after = _tenants_after(route, turn, most)
    before = [tenant_id for tenant_id in _tenants_after(route, 0, most) if tenant_id <= turn] if turn else []
    return (after + before)[:most]


def _tenants_after(route: str, tenant_id: int, most: int) -> list[int]:
    """A walk over the index from tenant to tenant (a "loose index scan"), so that a tenant's thousand waiting messages
    cost no more than one, and tenants whose mail is not due yet cost one look-up each."""
    waiting = and_(Message.route == route, IS_WAITING)

    def first_after(bound: ColumnElement[int]) -> ScalarSelect[int]:
        query = select(Message.tenant_id).where(waiting, Message.tenant_id > bound)
        return query.order_by(Message.tenant_id).limit(1).scalar_subquery()

    walk = select(first_after(literal(tenant_id)).label("tenant_id")).cte("walk", recursive=True)
    walk = walk.union_all(select(first_after(walk.c.tenant_id).label("tenant_id")).where(walk.c.tenant_id.is_not(None)))
    due = exists().where(waiting, Message.tenant_id == walk.c.tenant_id, Message.due_at <= statement_time())
    query = select(walk.c.tenant_id).where(walk.c.tenant_id.is_not(None), due).limit(most)
    return list(db.session.scalars(query))


def _due(route: str, tenant_id: int, limit: int) -> list[int]:
    """Ids of the tenant's due messages, the oldest due first; those that another lane is claiming are passed over."""
    return list(
        db.session.scalars(
            select(Message.id)
            .where(
                Message.route == route,
                IS_WAITING,
                Message.tenant_id == tenant_id,
                Message.due_at <= statement_time(),
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
                    select(Message.id).where(IS_WAITING, Message.expires_at <= statement_time()).limit(_EXPIRE_BATCH)
                ),
                IS_WAITING,
            )
            # What may have arrived once did not simply fail.
            .values(
                state=case((Message.ambiguous > 0, "unconfirmed"), else_="failed"),
                reason="expired",
                finished_at=utcnow(),
            )
            .returning(Message.id, Message.tenant_id, Message.state)
            .execution_options(synchronize_session=False)
        ).all()
        if old:
            session.execute(
                insert(LogEntry),
                [{"tenant_id": m.tenant_id, "message_id": m.id, "event": m.state, "reason": "expired"} for m in old],
            )
    return len(old)
