"""Claims: which waiting messages a drain takes, and how they come back when it can't send them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from functools import cache, partial
from itertools import takewhile
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    update,
)

from portal.db import prepared
from portal.db.prepared import Statement
from portal.db.transaction import after_commit, transaction
from portal.extensions import db
from portal.models import Lane, Message, Refusal, now, statement_time
from portal.models.message import IS_WAITING, WAITING, State
from portal.models.route import Route
from portal.models.time_watch import IS_FOLLOWED
from portal.reasons import Reason
from portal.services import message_state
from portal.services.delivery import outcomes, suspects
from portal.services.delivery.outcomes import Attempt
from portal.services.message_state import MESSAGE, Change, change
from portal.services.routing import daily_limit, lanes, reroute
from portal.services.routing.lanes import Lease

BATCH = 50
FEW = 10  # where the server is far away
_EXPIRE_BATCH = 500
_EXPIRE_SECONDS = 0.5

log = logging.getLogger(__name__)


# Written once here and run for each batch: the statements behind a claim.
_TURN = Statement(
    select(Lane.turn).where(
        Lane.id == bindparam("lane"), or_(Lane.not_before.is_(None), Lane.not_before <= statement_time())
    )
)


def claim(lease: Lease, most: int = BATCH) -> list[Attempt]:
    """Take up to `most` due messages of the lane's route, in turn over the tenants. Raises LeaseLost.

    Extends the lease. The attempt's number is the fence: whoever claims a message later has a higher one.
    """
    lane = _TURN.row(lane=lease.lane_id)
    if lane is None:
        return []  # another lane of the route has found that it must wait
    tenants = _next_tenants(lease.route, lane.turn, most)
    if not tenants:
        return []
    with prepared.transaction():
        lanes.keep(lease, tenants[-1])
        share = -(-most // len(tenants))
        due = [row for tenant_id in tenants for row in _due(lease.route, tenant_id, share)][:most]
        together = list(takewhile(lambda row: not row.releases, due))
        if len(together) < len(due):  # whoever comes behind them has not had its turn
            lanes.keep(lease, (together[-1] if together else due[0]).tenant_id)
        ids = [row.id for row in together or suspects.next_of(lease.route)]
        over: Sequence[Any] = ()
        if ids and daily_limit.is_counting(lease.route):
            ids, over = daily_limit.within(ids)
        claimed = {row.id: row for row in _taken(lease, ids)}
    rows = [claimed[message_id] for message_id in ids if message_id in claimed]
    attempts = [Attempt(lease, row.id, row.tenant_id, row.attempt, row.public_id) for row in rows]
    message_state.tell([_change(attempt, State.SENDING) for attempt in attempts])
    if over:
        _held_over_limit(over)
    return attempts


def _held_over_limit(over: Sequence[Any]) -> None:
    """Those behind them are above the limit, too: the clock holds them, many at a time."""
    with transaction():
        for tenant_id in sorted({row.tenant_id for row in over}):
            reroute.look_again(tenant_id)
        message_state.write(over, State.HELD, None, Reason.PLAN_DAILY_LIMIT)


def _change(attempt: Attempt, state: State) -> Change:
    lease = attempt.lease
    return Change(
        attempt.message_id, attempt.tenant_id, attempt.public_id, state, None, None, lease.route, attempt.number,
        lease.lane_id,
    )  # fmt: skip


def _next_tenants(route: Route, turn: int, most: int) -> list[int]:
    """The tenants that have due mail on the route, beginning after the one served last."""
    after = _tenants_after(route, turn, most)
    before = [tenant_id for tenant_id in _tenants_after(route, 0, most) if tenant_id <= turn] if turn else []
    return (after + before)[:most]


def is_due(route: Route) -> bool:
    """Whether a drain would find anything to claim on the route."""
    return bool(_tenants_after(route, 0, 1))


def is_due_for_another(route: Route, tenant_id: int, recipient: str) -> bool:
    """Whether mail of another tenant is due on the route; on a tenant's own route, mail to another recipient."""
    if route.driver_id is None:
        return any(other != tenant_id for other in _tenants_after(route, 0, 2))
    return bool(_DUE_TO_ANOTHER.rows(on_route=route, recipient=recipient.lower()))


_DUE_TO_ANOTHER = Statement(
    select(Message.id)
    .where(
        Message.route == bindparam("on_route"),
        IS_WAITING,
        Message.due_at <= statement_time(),
        func.lower(Message.to_address) != bindparam("recipient"),
    )
    .limit(1)
)


def _walk() -> Select[tuple[int]]:
    """A walk over the index from tenant to tenant (a "loose index scan"), so that a tenant's thousand waiting messages
    cost no more than one, and tenants whose mail is not due yet cost one look-up each."""
    waiting = and_(Message.route == bindparam("on_route"), IS_WAITING)

    def first_after(bound: ColumnElement[int]) -> ScalarSelect[int]:
        query = select(Message.tenant_id).where(waiting, Message.tenant_id > bound)
        return query.order_by(Message.tenant_id).limit(1).scalar_subquery()

    walk = select(first_after(bindparam("after", type_=Integer)).label("tenant_id")).cte("walk", recursive=True)
    walk = walk.union_all(select(first_after(walk.c.tenant_id).label("tenant_id")).where(walk.c.tenant_id.is_not(None)))
    of_tenant = and_(waiting, Message.tenant_id == walk.c.tenant_id)
    due = exists().where(of_tenant, Message.due_at <= statement_time(), suspects.MAY_BE_TRIED)
    has_to_wait = exists().where(
        Refusal.route == bindparam("on_route"),
        Refusal.tenant_id == walk.c.tenant_id,
        Refusal.not_before > statement_time(),
    )
    found = select(walk.c.tenant_id).where(walk.c.tenant_id.is_not(None), due, ~has_to_wait)
    return found.limit(bindparam("most", type_=Integer))


_TENANTS_AFTER = Statement(_walk())


def _tenants_after(route: Route, tenant_id: int, most: int) -> list[int]:
    return [row.tenant_id for row in _TENANTS_AFTER.rows(on_route=route, after=tenant_id, most=most)]


_DUE = Statement(
    select(Message.id, Message.tenant_id, Message.releases)
    .where(
        Message.route == bindparam("on_route"),
        IS_WAITING,
        Message.tenant_id == bindparam("tenant"),
        Message.due_at <= statement_time(),
        suspects.MAY_BE_TRIED,
    )
    .order_by(Message.due_at, Message.id)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
)


def _due(route: Route, tenant_id: int, limit: int) -> list[Any]:
    """The tenant's due messages, the oldest due first; those that another lane is claiming are passed over."""
    return _DUE.rows(on_route=route, tenant=tenant_id, most=limit)


@cache
def _take(count: int) -> Statement:
    return Statement(
        change(WAITING, State.SENDING, lane_id=bindparam("to_lane"), attempt=MESSAGE.c.attempt + 1, dot_at=None)
        .where(MESSAGE.c.id.in_([bindparam(f"id{number}") for number in range(count)]))
        .returning(MESSAGE.c.id, MESSAGE.c.tenant_id, MESSAGE.c.attempt, MESSAGE.c.public_id)
    )


def _taken(lease: Lease, ids: list[int]) -> list[Any]:
    """Claim these; whichever another lane has taken by now is missing from what comes back."""
    if not ids:
        return []
    return _take(len(ids)).rows(to_lane=lease.lane_id, **{f"id{number}": one for number, one in enumerate(ids)})


def give_back(lease: Lease, attempts: Iterable[Attempt]) -> None:
    """Return claimed messages that were not begun. Raises LeaseLost."""
    given_back = [_change(attempt, State.QUEUED) for attempt in attempts]
    if not given_back:
        return
    with transaction() as session:
        lanes.extend(lease)
        ours = MESSAGE.c.id.in_([one.message_id for one in given_back]), MESSAGE.c.lane_id == lease.lane_id
        session.execute(change([State.SENDING], State.QUEUED, lane_id=None).where(*ours))
        after_commit(partial(message_state.tell, given_back))


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
            .where(Lane.id == lease.lane_id, Lane.lease_token == lease.token, Lane.leased_until <= now(), IS_FOLLOWED)
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
    log.warning(
        "a lane died", extra={"fields": {"lane": lease.lane_id, "route": lease.route, "returned": len(messages)}}
    )
    return True


def expire() -> int:
    """Give up what has waited too long without being claimed; the clock's work. Returns how many messages.

    Not while the database's time is in doubt. For half a second: what is left is given up at the next call.
    """
    # What may have arrived once did not simply fail.
    until = time.monotonic() + _EXPIRE_SECONDS
    return _expire(State.UNCONFIRMED, Message.ambiguous > 0, until) + _expire(
        State.FAILED, Message.ambiguous == 0, until
    )


def _expire(state: State, which: ColumnElement[bool], until: float) -> int:
    old = select(Message.id).where(IS_WAITING, Message.expires_at <= statement_time(), which, IS_FOLLOWED)
    some = old.limit(_EXPIRE_BATCH).scalar_subquery()
    given_up = 0
    while ended := message_state.end(WAITING, state, Reason.EXPIRED, MESSAGE.c.id.in_(some)):
        given_up += ended
        if time.monotonic() > until:
            break
    return given_up
