"""What a tenant's plan allows; and the languages that pages and mails speak."""

from __future__ import annotations

from portal.config import settings
from portal.models import Tenant
from portal.plan_file import Plan
from portal.services.errors import PlanLocked

LOCALES = ("en", "de")


def known() -> dict[str, Plan]:
    """All plans by key, the smallest first."""
    return settings().plans_by_key


def allows(tenant: Tenant, feature: str) -> bool:
    """Whether the tenant's plan has the feature."""
    return has(tenant.plan, feature)


def has(key: str, feature: str) -> bool:
    """Whether the plan has the feature; one that is no longer in the file allows nothing."""
    plan = known().get(key)
    return plan is not None and feature in plan.features


def require(tenant: Tenant, feature: str) -> None:
    """Raises PlanLocked."""
    if not allows(tenant, feature):
        raise PlanLocked(feature)


def mails_per_day(key: str) -> int | None:
    """How many messages a day the platform's relay sends for a tenant of this plan; None: as many as come."""
    plan = known().get(key)
    return plan.mails_per_day if plan is not None else None


def first_with(feature: str) -> Plan | None:
    """The smallest plan that has the feature: what the page of a smaller one names."""
    return next((plan for plan in known().values() if feature in plan.features), None)
