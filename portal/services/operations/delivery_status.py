"""The operator's view: what waits, what went out lately, lanes and drivers. Every look-up is answered by an index."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select

from portal.extensions import db
from portal.models import Driver, Lane, Message, Refusal, now, statement_time, utcnow
from portal.models.driver import DriverState
from portal.models.message import IS_DEFERRED, IS_HELD, IS_WAITING
from portal.models.route import INTERACTIVE, RELAY, Route
from portal.reasons import Reason
from portal.services.drivers import quota

WINDOW = timedelta(minutes=5)
KINDS = (RELAY, INTERACTIVE, "driver")
LANE_STATES = ("free", "leased", "waiting", "dead")
DRIVER_STATES = tuple(DriverState)
OUTCOMES = ("sent", "unconfirmed", "failed", "cancelled")
_TOGETHER = 500  # routes asked about at once


@dataclass
class Waiting:
    """One route's mail on its way; `oldest_due` is seconds that the oldest due message has waited beyond its time."""

    queued: int = 0
    deferred: int = 0
    held: int = 0
    set_aside: int = 0  # of these, what lanes died with, again and again: it waits for the operator
    sending: int = 0
    due: int = 0
    oldest_due: float = 0


@dataclass(frozen=True)
class LaneView:
    """One lane; state free, leased, waiting (pace or back-off), or dead (its lease ran out, no clock has ended it)."""

    id: int
    route: Route
    number: int
    state: str
    seconds: float | None  # that the lease or the wait still lasts, or that it is over
    reason: str | None
    failures: int


@dataclass(frozen=True)
class DriverView:
    id: int
    tenant_id: int
    state: str
    reason: str | None
    provider: str


@dataclass
class Overview:
    waiting: dict[Route, Waiting] = field(default_factory=dict)  # by route
    lanes: list[LaneView] = field(default_factory=list)
    drivers: list[DriverView] = field(default_factory=list)
    refused: dict[tuple[Route, str], int] = field(default_factory=dict)  # by route and reason: shops that wait alone

    @property
    def set_aside(self) -> int:
        return sum(row.set_aside for row in self.waiting.values())

    def waits_on_purpose(self) -> set[Route]:
        """Routes of drivers that a limit of their provider, or a back-off, keeps from sending now."""
        return {lane.route for lane in self.lanes if lane.state == "waiting" and lane.route.driver_id is not None}


def read() -> Overview:
    """The state of delivery now. Raises SQLAlchemyError."""
    return Overview(_waiting(), _lanes(), _drivers(), _refused())


def _waiting() -> dict[Route, Waiting]:
    found: dict[Route, Waiting] = defaultdict(Waiting)
    waiting = select(
        Message.route,
        func.count(),
        func.count().filter(Message.due_at <= statement_time()),
        func.min(Message.due_at),
        statement_time(),
    )
    for route, count, due, oldest, at in db.session.execute(waiting.where(IS_WAITING).group_by(Message.route)):
        row = found[route]
        row.queued, row.due, row.oldest_due = count, due, max((at - oldest).total_seconds(), 0.0)
    for route, count in _by_route(IS_DEFERRED).items():
        found[route].deferred = count
        found[route].queued = max(0, found[route].queued - count)  # the two were not counted at the same instant
    held = select(Message.reason, Message.route, func.count()).where(IS_HELD).group_by(Message.reason, Message.route)
    for reason, route, count in db.session.execute(held):
        found[route].held += count
        found[route].set_aside += count if reason == Reason.SET_ASIDE else 0
    for route, count in _by_route(Message.lane_id.is_not(None)).items():
        found[route].sending = count
    return dict(sorted(found.items()))


def _refused() -> dict[tuple[Route, str], int]:
    query = select(Refusal.route, Refusal.reason, func.count()).where(Refusal.not_before > now())
    return {(row[0], row[1]): row[2] for row in db.session.execute(query.group_by(Refusal.route, Refusal.reason))}


def _by_route(which: ColumnElement[bool]) -> dict[Route, int]:
    query = select(Message.route, func.count()).where(which).group_by(Message.route)
    return {row[0]: row[1] for row in db.session.execute(query)}


def _lanes() -> list[LaneView]:
    rows = db.session.execute(select(Lane, now()).order_by(Lane.route, Lane.number)).all()
    return [_lane_view(lane, at) for lane, at in rows]


def _lane_view(lane: Lane, at: datetime) -> LaneView:
    state, until = "free", None
    if lane.lease_token is not None and lane.leased_until is not None:
        until = lane.leased_until
        state = "leased" if until > at else "dead"
    elif lane.not_before is not None and lane.not_before > at:
        state, until = "waiting", lane.not_before
    seconds = (until - at).total_seconds() if until is not None else None
    return LaneView(lane.id, lane.route, lane.number, state, seconds, lane.reason, lane.failures)


def _drivers() -> list[DriverView]:
    return [
        DriverView(driver.id, driver.tenant_id, driver.state, driver.reason, quota.provider(driver).key)
        for driver in db.session.scalars(select(Driver).order_by(Driver.id))
    ]


def finished(drivers: list[DriverView]) -> Counter[tuple[str, str]]:
    """Messages that ended in the last WINDOW, by (outcome, provider); provider is relay, or a provider's key."""
    provider_of: dict[Route, str] = {RELAY: RELAY, INTERACTIVE: RELAY}
    provider_of |= {Route.of_driver(driver.id): driver.provider for driver in drivers}
    routes = list(provider_of)
    counts: Counter[tuple[str, str]] = Counter()
    since = utcnow() - WINDOW
    for start in range(0, len(routes), _TOGETHER):
        query = select(Message.route, Message.state, func.count()).where(
            Message.route.in_(routes[start : start + _TOGETHER]), Message.finished_at > since
        )
        for route, state, count in db.session.execute(query.group_by(Message.route, Message.state)):
            counts[state, provider_of[route]] += count
    return counts
