"""Tenants: created and kept up to date by the platform."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TypedDict, Unpack
from zoneinfo import available_timezones

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from portal import origins
from portal.db.transaction import serialize, transaction
from portal.extensions import db
from portal.models import Tenant, User
from portal.models.tenant import PLATFORM_ID, TenantState
from portal.services import audit, entitlements
from portal.services.accounts import users
from portal.services.emails import contents
from portal.services.entitlements import LOCALES
from portal.services.errors import InvalidField
from portal.services.routing.reroute import reroute
from portal.transport.mime import names
from portal.transport.mime.characters import is_line

_EXTERNAL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")


def find(external_id: str) -> Tenant | None:
    """The tenant that the platform knows by this id."""
    if "\x00" in external_id:  # which PostgreSQL doesn't know
        return None
    return db.session.scalar(select(Tenant).where(Tenant.external_id == external_id))


def is_external_id(text: str) -> bool:
    """Whether the platform may call a tenant so."""
    return _EXTERNAL_ID.fullmatch(text) is not None


def known_timezone(name: str | None) -> str | None:
    """The name if the IANA database has it."""
    return name if name in _timezones() else None


@lru_cache(maxsize=1)  # to list them takes a thousand looks at the disk
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


class Described(TypedDict, total=False):
    """What the platform says of a tenant; what is missing or None stays as it is."""

    name: str | None
    plan: str | None
    locale: str | None
    timezone: str | None
    frame_ancestors: Iterable[str] | None
    state: str | None  # active, suspended


def upsert(
    external_id: str, *, by: audit.Actor = audit.PLATFORM, **described: Unpack[Described]
) -> tuple[Tenant, bool]:
    """Create the tenant or bring it up to date. `by` is for the audit trail.

    Returns the tenant and whether it is new. Raises InvalidField.
    """
    changes = _checked(external_id, described)
    try:
        return _write(external_id, changes, by)
    except IntegrityError:  # somebody else created it in between: then this is an update
        return _write(external_id, changes, by)


def _write(external_id: str, changes: dict[str, object], by: audit.Actor) -> tuple[Tenant, bool]:
    with transaction() as session:
        tenant = session.scalar(select(Tenant).where(Tenant.external_id == external_id).with_for_update())
        created = tenant is None
        if tenant is None:
            if "name" not in changes:
                raise InvalidField("name", "missing")
            tenant = Tenant(external_id=external_id, plan=next(iter(entitlements.known())))
            session.add(tenant)
        changes = {field: value for field, value in changes.items() if getattr(tenant, field) != value}
        before = {field: getattr(tenant, field) for field in changes if not created}
        for field, value in changes.items():
            setattr(tenant, field, value)
        if created or changes:
            session.flush()
            audit.record(tenant, by, "tenant_created" if created else "tenant_changed", external_id, before, changes)
        if not created and "state" in changes and tenant.state == TenantState.SUSPENDED:
            users.end_all_sessions(tenant)
        if not created and changes.keys() & {"plan", "state"}:
            reroute(tenant)  # what is allowed now; nothing is deleted, so an upgrade brings it back
    return tenant, created


def _checked(external_id: str, described: Described) -> dict[str, object]:
    changes: dict[str, object] = {}
    if not is_external_id(external_id):
        raise InvalidField("tenant", "not_an_id")
    if (name := described.get("name")) is not None:
        name = " ".join(name.split())
        if len(name) > 200 or not is_line(name) or not names.shown(name):
            raise InvalidField("name", "not_a_name")
        changes["name"] = name
    if (plan := described.get("plan")) is not None:
        if plan not in entitlements.known():
            raise InvalidField("plan", "unknown")
        changes["plan"] = plan
    if (locale := described.get("locale")) is not None:
        # A platform may send "de-AT" or "fr": the nearest that the pages speak, never a refusal.
        language = locale.replace("_", "-").split("-")[0].lower()
        changes["locale"] = language if language in LOCALES else LOCALES[0]
    if (timezone := described.get("timezone")) is not None:
        if known_timezone(timezone) is None:
            raise InvalidField("timezone", "unknown")
        changes["timezone"] = timezone
    if (frame_ancestors := described.get("frame_ancestors")) is not None:
        listed = [origins.normal(origin) for origin in frame_ancestors]
        if len(listed) > 20 or None in listed:
            raise InvalidField("frame_ancestors", "not_an_origin")
        changes["frame_ancestors"] = list(dict.fromkeys(listed))
    if (state := described.get("state")) is not None:
        if state not in tuple(TenantState):
            raise InvalidField("state", "unknown")
        changes["state"] = state
    return changes


def platform() -> Tenant:
    """Whose log holds the mail that is about no shop in particular. Within a transaction.

    No launch and no call can make or enter it: its id is none that the platform may give.
    """
    tenant = find(PLATFORM_ID)
    if tenant is None:
        serialize(PLATFORM_ID)
        tenant = find(PLATFORM_ID)
    if tenant is None:
        tenant = Tenant(external_id=PLATFORM_ID, name=contents.platform_name(), plan=next(iter(entitlements.known())))
        db.session.add(tenant)
        db.session.flush()
    return tenant


def lock(tenant: Tenant) -> Tenant:
    """The tenant's row as it is now, held until the transaction ends: changes of its settings go one after another."""
    row = db.session.get(Tenant, tenant.id, with_for_update=True, populate_existing=True)
    assert row is not None, "a tenant is never deleted"
    return row


def set_locale(user: User, locale: str) -> None:
    """Remember the language that a person chose on the page. Raises InvalidField."""
    if locale not in LOCALES:
        raise InvalidField("locale", "unknown")
    with transaction():
        user.locale = locale
