"""Lanes and their leases: who may send on a route now, by the database's clock."""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import delete, exists, or_, select, update

from portal import queue
from portal.config import settings
from portal.extensions import db
from portal.models import Lane, Message, now
from portal.models.lane import INTERACTIVE, RELAY
from portal.models.message import WAITING
from portal.services.transaction import after_commit, transaction

LEASE_SECONDS = 30
# Waits of a route whose session can't be opened, by how often in a row that happened, in seconds.
BACKOFF = (5, 15, 60, 300, 900, 1800)


@dataclass(frozen=True)
class Lease:
    """The right to send on a lane; whatever is written under it names the token."""

    lane_id: int
    route: str
    token: str


class LeaseLost(Exception):
    """Another drain may have taken over: stop at once, change nothing."""


def ensure() -> None:
    """Bring the platform's lanes in line with PORTAL_RELAY_LANES. Safe to run in several processes at once."""
    wanted = {(RELAY, number) for number in range(settings().relay_lanes)} | {(INTERACTIVE, 0)}
    with transaction() as session:
        platform = select(Lane).where(Lane.route.in_((RELAY, INTERACTIVE))).with_for_update()
        present = {(lane.route, lane.number): lane for lane in session.scalars(platform)}
        for route, number in sorted(wanted - present.keys()):
            session.add(Lane(route=route, number=number))
        for key in present.keys() - wanted:
            # A leased lane is left to its drain; the next start removes it.
            session.execute(delete(Lane).where(Lane.id == present[key].id, Lane.lease_token.is_(None)))
        after_commit(forget)


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
            .returning(Lane.route)
        ).scalar_one_or_none()
    return Lease(lane_id, taken, token) if taken is not None else None


def extend(lease: Lease, seconds: float = LEASE_SECONDS, **values: object) -> None:
    """Keep the lane for `seconds` from now. Within a transaction; raises LeaseLost (which rolls it back)."""
    changed = db.session.execute(
        update(Lane)
        .where(Lane.id == lease.lane_id, Lane.lease_token == lease.token, Lane.leased_until > now())
        .values(leased_until=now(seconds), **values)
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise LeaseLost


def release(lease: Lease) -> None:
    """Give the lane back, unless it is another's by now."""
    with transaction() as session:
        session.execute(
            update(Lane)
            .where(Lane.id == lease.lane_id, Lane.lease_token == lease.token)
            .values(lease_token=None, leased_until=None)
        )


def back_off(route: str, reason: str, seconds: int | None = None) -> int:
    """Have all lanes of a route wait, longer with each failure in a row. Within a transaction; returns the seconds."""
    failures = db.session.scalar(select(Lane.failures).where(Lane.route == route).limit(1)) or 0
    wait = seconds or BACKOFF[min(failures, len(BACKOFF) - 1)]
    db.session.execute(
        update(Lane).where(Lane.route == route).values(not_before=now(wait), reason=reason, failures=failures + 1)
    )
    return wait


def recovered(route: str) -> None:
    """A session was opened: the next failure starts with the short wait again."""
    failing = db.session.scalar(select(exists().where(Lane.route == route, Lane.failures > 0)))
    if failing:
        with transaction() as session:
            session.execute(update(Lane).where(Lane.route == route).values(failures=0, reason=None, not_before=None))


def has_due_mail(route: str) -> bool:
    query = select(exists().where(Message.route == route, Message.state.in_(WAITING), Message.due_at <= now()))
    return bool(db.session.scalar(query))


# Lanes change only at a start, so a web process needn't ask for each message that it accepts.
_known: dict[str, tuple[float, list[int]]] = {}
_KNOWN_SECONDS = 10


def forget() -> None:
    """Ask the database anew which lanes there are."""
    _known.clear()


def wake(route: str) -> None:
    """Wake one of the route's lanes: the others join at the clock's next tick if there is that much to do."""
    database = str(db.engine.url)
    until, ids = _known.get(database + route, (0.0, []))
    if time.monotonic() >= until or not ids:
        ids = list(db.session.scalars(select(Lane.id).where(Lane.route == route)))
        _known[database + route] = (time.monotonic() + _KNOWN_SECONDS, ids)
    if ids:  # none before the first tick of a clock, which then wakes them
        queue.wake(random.choice(ids), queue_of(route))


def wake_due() -> int:
    """Wake every free lane that has due mail; the clock's every-second work. Returns how many."""
    free = select(Lane.id, Lane.route).where(
        Lane.lease_token.is_(None), or_(Lane.not_before.is_(None), Lane.not_before <= now())
    )
    lanes = db.session.execute(free).all()
    due = {route for route in {lane.route for lane in lanes} if has_due_mail(route)}
    woken = [lane for lane in lanes if lane.route in due]
    for lane in woken:
        if not queue.wake(lane.id, queue_of(lane.route)):
            break  # no use in asking an absent Redis once per lane
    return len(woken)


def queue_of(route: str) -> str:
    return queue.INTERACTIVE if route == INTERACTIVE else queue.MAIL
