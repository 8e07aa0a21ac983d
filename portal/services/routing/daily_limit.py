"""A plan's daily limit: how many messages the platform's relay sends for a tenant on one day (UTC).

A message counts once a day, when it is claimed, however often it is tried. Verification, sign-in, notices and driver
tests go by other routes and don't count, nor does what a merchant's own mail service sends. Counting and claiming are
one transaction that holds the tenant's row of usage, so that several lanes together stay within the limit.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Date, Integer, and_, bindparam, func, select, text, update

from portal.db.bounded_count import count_up_to
from portal.db.prepared import Statement
from portal.extensions import db
from portal.models import Message, Tenant, TenantUsage, now, utcnow
from portal.models.message import IS_OVER_LIMIT, WAITING, State
from portal.models.route import RELAY, Route
from portal.reasons import Reason
from portal.services import entitlements
from portal.services.message_state import CHANGED, MESSAGE, change

MOST_COUNTED = 1000  # beyond it pages say "more than", and counting stops


@dataclass(frozen=True)
class DailyLimit:
    """A tenant's limit and its use; `waiting` messages are above it, counted up to MOST_COUNTED and one more."""

    limit: int | None  # None: the plan names none
    used: int
    waiting: int
    until: datetime  # when the next day begins (UTC)


class Within(NamedTuple):
    """Which messages a claim may take, and those that are now held instead (rows of CHANGED)."""

    ids: list[int]
    held: list[Any]


def today() -> date:
    return utcnow().date()


def status(tenant: Tenant) -> DailyLimit:
    """The tenant's limit as it is now, for its pages and the API."""
    over = select(Message.id).where(IS_OVER_LIMIT, Message.tenant_id == tenant.id)
    waiting = count_up_to(MOST_COUNTED + 1, over)
    tomorrow = datetime.combine(today() + timedelta(days=1), time.min, UTC)
    return DailyLimit(entitlements.mails_per_day(tenant.plan), used(tenant.id), waiting, tomorrow)


_USED = Statement(
    select(TenantUsage.mails).where(
        TenantUsage.tenant_id == bindparam("tenant"), TenantUsage.day >= bindparam("today", type_=Date)
    )
)


def used(tenant_id: int) -> int:
    """How many of the tenant's messages have counted today."""
    found = _USED.here(tenant=tenant_id, today=today())
    return found[0].mails if found else 0


def room(tenant_id: int, plan: str) -> int | None:
    """How many more may be sent today; None: as many as come."""
    most = entitlements.mails_per_day(plan)
    return None if most is None else max(0, most - used(tenant_id))


def resumable() -> list[int]:
    """Tenants that have mail above their limit and room for some of it, in any order.

    A step in the index for each tenant that has such mail, however much each of them has.
    """

    def first_after(bound: Any) -> Any:
        found = select(Message.tenant_id).where(IS_OVER_LIMIT, Message.tenant_id > bound)
        return found.order_by(Message.tenant_id).limit(1).scalar_subquery()

    walk = select(first_after(0).label("tenant_id")).cte("walk", recursive=True)
    walk = walk.union_all(select(first_after(walk.c.tenant_id)).where(walk.c.tenant_id.is_not(None)))
    today_only = and_(TenantUsage.tenant_id == Tenant.id, TenantUsage.day >= today())
    waiting = select(Tenant.id, Tenant.plan, func.coalesce(TenantUsage.mails, 0).label("used"))
    rows = db.session.execute(waiting.join(walk, walk.c.tenant_id == Tenant.id).outerjoin(TenantUsage, today_only))
    most = entitlements.mails_per_day
    found = [row.id for row in rows if (limit := most(row.plan)) is None or row.used < limit]
    random.shuffle(found)  # whoever comes too late in this second may be early in the next
    return found


def is_counting(route: Route) -> bool:
    """Whether mail on the route counts: all of the relay's, as soon as one plan has a limit."""
    return route == RELAY and any(plan.mails_per_day for plan in entitlements.known().values())


@cache
def _asked(count: int) -> Statement:
    counted = (Message.counted_on >= bindparam("today", type_=Date)).label("counted")
    return Statement(select(Message.id, Message.tenant_id, counted).where(Message.id.in_(_ids(count))))


@cache
def _usage(count: int) -> Statement:
    """Locked in the order of the tenants, so that no two lanes wait for one another."""
    is_today = (TenantUsage.day >= bindparam("today", type_=Date)).label("is_today")
    return Statement(
        select(TenantUsage.tenant_id, TenantUsage.mails, is_today, Tenant.plan)
        .join(Tenant, Tenant.id == TenantUsage.tenant_id)
        .where(TenantUsage.tenant_id.in_(_ids(count)))
        .order_by(TenantUsage.tenant_id)
        .with_for_update(of=TenantUsage)
    )


# As text: the two databases write it alike, and SQLAlchemy has it for each of them apart.
_BEGIN = Statement(
    text(
        "INSERT INTO tenant_usage (tenant_id, day, mails) VALUES (:tenant, :today, 0) "
        "ON CONFLICT (tenant_id) DO NOTHING"
    ).bindparams(bindparam("tenant", type_=Integer), bindparam("today", type_=Date))
)
# Never back to a day that another machine's clock has left already.
_USE = Statement(
    update(TenantUsage)
    .where(TenantUsage.tenant_id == bindparam("tenant"), TenantUsage.day >= bindparam("today", type_=Date))
    .values(mails=TenantUsage.mails + bindparam("more", type_=Integer))
)
_USE_FIRST = Statement(
    update(TenantUsage)
    .where(TenantUsage.tenant_id == bindparam("tenant"))
    .values(day=bindparam("today", type_=Date), mails=bindparam("more", type_=Integer))
)


@cache
def _count_in(count: int) -> Statement:
    counted = update(Message).where(Message.id.in_(_ids(count))).values(counted_on=bindparam("today", type_=Date))
    return Statement(counted)


@cache
def _hold(count: int) -> Statement:
    held = change(WAITING, State.HELD, reason=Reason.PLAN_DAILY_LIMIT, held_at=now())
    return Statement(held.where(MESSAGE.c.id.in_(_ids(count))).returning(*CHANGED))


def within(ids: list[int]) -> Within:
    """Count those of the messages that are within their tenant's limit, and hold the others.

    Within a prepared.transaction(). The ids are in the order in which the messages are to be sent.
    """
    day = today()
    asked = {row.id: row for row in _asked(len(ids)).rows(today=day, **_named(ids))}
    new: dict[int, list[int]] = defaultdict(list)
    for one in ids:
        if one in asked and not asked[one].counted:
            new[asked[one].tenant_id].append(one)
    counted, over = [], []
    for usage in _locked(sorted(new), day) if new else []:
        most, before = entitlements.mails_per_day(usage.plan), usage.mails if usage.is_today else 0
        mine = new[usage.tenant_id]
        fit = len(mine) if most is None else min(len(mine), max(0, most - before))
        counted += mine[:fit]
        over += mine[fit:]
        if fit:
            (_USE if usage.is_today else _USE_FIRST).count(tenant=usage.tenant_id, today=day, more=fit)
    if counted:
        _count_in(len(counted)).count(today=day, **_named(counted))
    held = _hold(len(over)).rows(**_named(over)) if over else []
    beyond = set(over)
    return Within([one for one in ids if one not in beyond], held)


def _locked(tenants: list[int], day: date) -> list[Any]:
    found = _usage(len(tenants)).rows(today=day, **_named(tenants))
    if len(found) < len(tenants):
        for tenant_id in tenants:
            _BEGIN.count(tenant=tenant_id, today=day)
        found = _usage(len(tenants)).rows(today=day, **_named(tenants))
    return found


def _ids(count: int) -> list[Any]:
    return [bindparam(f"id{number}", type_=Integer) for number in range(count)]


def _named(ids: list[int]) -> dict[str, int]:
    return {f"id{number}": one for number, one in enumerate(ids)}
