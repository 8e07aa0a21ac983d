"""How fast a driver may send: its provider's messages a minute and a day, counted from what went out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select, update

from portal import providers
from portal.extensions import db
from portal.models import Driver, DriverTest, Message, utcnow
from portal.models.route import TEST
from portal.providers.base import Provider
from portal.reasons import Reason

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
WARNING_PERCENT = 90
_AHEAD = timedelta(minutes=1)


@dataclass(frozen=True)
class Usage:
    """What went through a driver in the rolling day. `limit` None: the provider names none, or we don't know it."""

    sent: int
    limit: int | None
    room_at: datetime | None  # when the next message fits in again; None: now

    @property
    def percent(self) -> int:
        return min(100, self.sent * 100 // self.limit) if self.limit else 0

    @property
    def is_near(self) -> bool:
        return self.limit is not None and self.percent >= WARNING_PERCENT


@dataclass(frozen=True)
class Allowance:
    """How many messages may go out now; and if none, from when on, and why (reason key)."""

    count: int
    at: datetime | None = None
    reason: str | None = None


def usage(driver: Driver) -> Usage:
    limit = daily_limit(driver)
    return Usage(_sent(driver, DAY), limit, _room_at(driver, DAY, limit) if limit else None)


def provider(driver: Driver) -> Provider:
    """Whose limits hold: the host decides, because it counts; where it is unknown, the choice made in the form."""
    known = providers.by_host(driver.host)
    return known if known != providers.OTHER else providers.by_key(driver.preset)


def daily_limit(driver: Driver) -> int | None:
    """Recipients in a rolling day, where the provider's page names a number that holds for this account."""
    return provider(driver).daily_limit(driver.username)


def allowance(driver: Driver, wanted: int) -> Allowance:
    """How many of `wanted` messages the provider's limits leave room for."""
    count = wanted
    for most, window, reason in (
        (daily_limit(driver), DAY, Reason.QUOTA_DAILY),
        (provider(driver).limits.per_minute, MINUTE, Reason.RATE_LIMITED),
    ):
        if most is None:
            continue
        room = most - _sent(driver, window)
        if room <= 0:
            return Allowance(0, _room_at(driver, window, most), reason)
        count = min(count, room)
    return Allowance(count)


def count_tests(driver: Driver) -> None:
    """The provider counts the test mails that it accepted: so do we, as mail of the driver. Within a transaction."""
    passed = (
        DriverTest.tenant_id == driver.tenant_id,
        DriverTest.state == "passed",
        DriverTest.host == driver.host,
        DriverTest.username == driver.username,
    )
    first = db.session.scalar(select(func.min(DriverTest.finished_at)).where(*passed))
    if first is None:
        return
    # A new account's day began with its first test.
    driver.account_since = min(driver.account_since, first - timedelta(seconds=1))
    db.session.execute(
        update(Message)
        .where(Message.id.in_(select(DriverTest.message_id).where(*passed)), Message.route == TEST)
        .values(route=driver.route)
        .execution_options(synchronize_session=False)
    )


def _sent(driver: Driver, window: timedelta) -> int:
    return db.session.scalar(select(func.count()).where(*_within(driver, window))) or 0


def _room_at(driver: Driver, window: timedelta, most: int) -> datetime | None:
    """When the oldest of the last `most` messages leaves the window."""
    oldest = db.session.scalar(
        select(Message.finished_at)
        .where(*_within(driver, window))
        .order_by(Message.finished_at.desc())
        .offset(most - 1)
        .limit(1)
    )
    return oldest + window if oldest else None


def _within(driver: Driver, window: timedelta) -> tuple[ColumnElement[bool], ...]:
    at = utcnow()
    since = max(driver.account_since, at - window)
    # A mail whose fate is unknown may have been counted by the provider.
    return (
        Message.route == driver.route,
        Message.finished_at > since,
        Message.finished_at
        < at + _AHEAD,  # what lies beyond is of a time that was set back, and would hold mail for long
        Message.state.in_(("sent", "unconfirmed")),
    )
