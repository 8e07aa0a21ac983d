"""Lanes and their leases: who may send on a route now, by the database's clock."""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, Float, bindparam, delete, exists, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from portal import job_queue
from portal.config import settings
from portal.db.prepared import Statement
from portal.db.transaction import after_commit, read, transaction
from portal.extensions import db
from portal.models import Driver, Lane, Message, now, statement_time, utcnow
from portal.models import route as routes
from portal.models.message import IS_WAITING
from portal.models.route import INTERACTIVE, RELAY, Route
from portal.models.time_watch import IS_FOLLOWED
from portal.reasons import Reason

LEASE_SECONDS = 40
INTERACTIVE_LANES = 4  # so many mails that people wait for are on their way at a time
# Seconds that a route waits after it failed, by how often in a row it did.
BACKOFF = (5, 15, 60, 300)
# A provider's day is long; asking again every few minutes would only annoy it (Gmail blocks for up to 24 h).
_QUOTA_SECONDS = 3600


# While the time is in doubt no lease ends by it: a jump must not end a drain at work. Who has the token still has the
# lane, for nobody takes a lane back meanwhile (claims.reclaim_expired).
_LASTS = or_(Lane.leased_until > now(), ~IS_FOLLOWED)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lease:
    """The right to send on a lane; whatever is written under it names the token."""

    lane_id: int
    route: Route
    token: str
    failures: int = 0  # of the route in a row, when the lane was taken


@dataclass(frozen=True)
class Wait:
    """A route sends nothing before `until`: its pace or a back-off. `reason` keys why."""

    until: datetime
    reason: str


class LeaseLost(Exception):
    """Another drain may have taken over: stop at once, change nothing."""


def ensure() -> None:
    """Bring the platform's lanes in line with PORTAL_RELAY_LANES. Safe to run in several processes at once."""
    relay = {(RELAY, number) for number in range(settings().relay_lanes)}
    wanted = relay | {(INTERACTIVE, number) for number in range(INTERACTIVE_LANES)}
    with transaction() as session:
        platform = select(Lane).where(Lane.route.in_((RELAY, INTERACTIVE))).order_by(Lane.id).with_for_update()
        present = {(lane.route, lane.number): lane for lane in session.scalars(platform)}
        for route, number in sorted(wanted - present.keys()):
            session.add(Lane(route=route, number=number))
        _drop_orphans()
        for key in present.keys() - wanted:
            # A leased lane is left to its drain; the next start removes it.
            session.execute(delete(Lane).where(Lane.id == present[key].id, Lane.lease_token.is_(None)))
        after_commit(forget)


def _drop_orphans() -> None:
    """Remove the lanes of drivers that are gone, once nothing is on its way over them."""
    gone = ~exists().where(Lane.route == routes.of_driver(Driver.id))
    db.session.execute(
        delete(Lane)
        .where(routes.is_drivers(Lane.route), Lane.lease_token.is_(None), gone)
        .execution_options(synchronize_session=False)
    )


def take(lane_id: int) -> Lease | None:
    """Lease the lane for LEASE_SECONDS, or None: leased by another, backing off, or gone."""
    token = secrets.token_hex(16)
    with transaction() as session:
        taken = session.execute(
            update(Lane)
            .where(
                Lane.id == lane_id,
                Lane.lease_token.is_(None),
                or_(Lane.not_before.is_(None), Lane.not_before <= now()),
            )
            .values(lease_token=token, leased_until=now(LEASE_SECONDS))
            .returning(Lane.route, Lane.failures)
        ).one_or_none()
    return Lease(lane_id, taken.route, token, taken.failures) if taken is not None else None


def extend(lease: Lease, seconds: float = LEASE_SECONDS, **values: object) -> None:
    """Keep the lane for `seconds` from now. Within a transaction; raises LeaseLost (which rolls it back)."""
    changed = db.session.execute(
        update(Lane)
        .where(Lane.id == lease.lane_id, Lane.lease_token == lease.token, _LASTS)
        .values(leased_until=now(seconds), **values)
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise LeaseLost


# extend() as a statement, for what is written with each mail.
KEEP = (
    update(Lane)
    .where(Lane.id == bindparam("lane"), Lane.lease_token == bindparam("token"), _LASTS)
    .values(leased_until=now(bindparam("seconds", type_=Float)))
)
_KEEP_TURN = Statement(KEEP.values(turn=bindparam("new_turn")))


def keep(lease: Lease, turn: int) -> None:
    """Keep the lane; its next claim begins behind the tenant `turn`. In a prepared.transaction(). Raises LeaseLost."""
    if _KEEP_TURN.count(lane=lease.lane_id, token=lease.token, seconds=LEASE_SECONDS, new_turn=turn) != 1:
        raise LeaseLost


def release(lease: Lease) -> None:
    """Give the lane back, unless it is another's by now."""
    with transaction() as session:
        session.execute(
            update(Lane)
            .where(Lane.id == lease.lane_id, Lane.lease_token == lease.token)
            .values(lease_token=None, leased_until=None)
        )


def usual_wait(reason: str, failures: int) -> int:
    """Return the seconds to wait after so many failures before this one, where the server names none."""
    return _QUOTA_SECONDS if reason == Reason.QUOTA_DAILY else BACKOFF[min(failures, len(BACKOFF) - 1)]


def back_off(route: Route, reason: str, seconds: int | None = None, *, behind: int = 0) -> float:
    """Have all lanes of a route wait, longer with each round of failures. Within a transaction; returns the seconds.

    They go on behind the tenant `behind`, whose mail has failed. Lanes that fail together count once. Takes the rows'
    locks in order, so it comes before any other lane's write.
    """
    rows = db.session.execute(
        select(Lane.failures, Lane.not_before, now().label("at"))
        .where(Lane.route == route)
        .order_by(Lane.id)
        .with_for_update()
    ).all()
    already = max((row.not_before for row in rows if row.not_before and row.not_before > row.at), default=None)
    if already is not None:
        return float((already - rows[0].at).total_seconds())
    failures = max((row.failures for row in rows), default=0)
    wait = seconds or usual_wait(reason, failures)
    waiting = {"not_before": now(wait), "reason": reason, "failures": failures + 1, "turn": behind}
    db.session.execute(update(Lane).where(Lane.route == route).values(**waiting))
    return wait


def wait_until(lease: Lease, moment: datetime | None, reason: str | None) -> None:
    """Keep to the route's pace: the lane is not taken again before `moment`. Raises LeaseLost.

    Written down as so long from now: the database's time may have been set back since this process has read it.
    """
    wait = now((moment - utcnow()).total_seconds()) if moment is not None else None
    with transaction():
        extend(lease, not_before=wait, reason=reason)


def waits(routes: Collection[Route]) -> dict[Route, Wait]:
    """Which of these routes have to wait, and why."""
    if not routes:
        return {}
    waiting = select(Lane.route, Lane.not_before, Lane.reason).where(
        Lane.route.in_(routes), Lane.not_before > now(), Lane.reason.is_not(None)
    )
    found = db.session.execute(waiting.order_by(Lane.not_before)).all()
    return {row.route: Wait(row.not_before, row.reason) for row in found}  # of several lanes the one that waits longest


def recovered(route: Route) -> None:
    """A message got through: the next failure starts with the short wait again. Not while another lane says wait."""
    with transaction() as session:
        lanes = select(Lane.id).where(Lane.route == route).order_by(Lane.id).with_for_update()
        session.execute(lanes).all()
        session.execute(
            update(Lane)
            .where(Lane.route == route, or_(Lane.not_before.is_(None), Lane.not_before <= now()))
            .values(failures=0, reason=None, not_before=None)
        )


def has_due_mail(route: Route) -> bool:
    waiting = exists().where(Message.route == route, IS_WAITING, Message.due_at <= statement_time())
    query = select(waiting)
    return bool(db.session.scalar(query))


_ROUTE = Statement(select(Lane.route).where(Lane.id == bindparam("lane")))


def is_platforms(lane_id: int) -> bool:
    """Whether the lane is one of the platform's own, and no driver's. False while the database is away."""
    try:
        found = _ROUTE.row(lane=lane_id)
    except SQLAlchemyError:
        return False
    return found is not None and Route(found.route).driver_id is None


# Lanes change only at a start, so a web process needn't ask for each message that it accepts.
_known: dict[tuple[Engine, Route], tuple[float, list[int]]] = {}
_KNOWN_SECONDS = 10


def forget() -> None:
    """Ask the database anew which lanes there are."""
    _known.clear()


def wake(route: Route) -> None:
    """Wake one of the route's lanes: the others join at the clock's next tick if there is that much to do.

    Never fails: what is not woken here, the clock wakes.
    """
    asked = (db.engine, route)
    until, ids = _known.get(asked, (0.0, []))
    if time.monotonic() >= until or not ids:
        try:
            with read() as session:
                ids = list(session.scalars(select(Lane.id).where(Lane.route == route)))
        except SQLAlchemyError as error:
            log.warning("no lane of %s was woken: %s", route, type(error).__name__)
            db.session.rollback()
            return
        _known[asked] = (time.monotonic() + _KNOWN_SECONDS, ids)
    if ids:  # none before the first tick of a clock, which then wakes them
        job_queue.wake(random.choice(ids), queue_of(route))


def wake_due() -> int:
    """Wake every free lane that has due mail; the clock's every-second work. Returns how many."""
    free = select(Lane.id, Lane.route).where(
        Lane.lease_token.is_(None), or_(Lane.not_before.is_(None), Lane.not_before <= now())
    )
    lanes = db.session.execute(free).all()
    due = {route for route in {lane.route for lane in lanes} if has_due_mail(route)}
    woken = [lane for lane in lanes if lane.route in due]
    for lane in woken:
        if not job_queue.wake(lane.id, queue_of(lane.route)):
            break  # no use in asking an absent Redis once per lane
    return len(woken)


def queue_of(route: Route) -> str:
    return job_queue.INTERACTIVE if route == INTERACTIVE else job_queue.MAIL
