"""Addresses taken back from a tenant, by who reads their mail or by support; and how long it can't ask again."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select, select

from portal.extensions import db
from portal.models import Revocation, Tenant, utcnow
from portal.models.identity import TakenBackBy
from portal.services import limits

PEACE = timedelta(days=30)  # so long the tenant can't ask for the mailbox again
_MOST_SHOWN = 10


def note(tenant: Tenant, address: str, by: TakenBackBy) -> None:
    """Write down that the address was taken back. Within a transaction that holds the tenant."""
    mailbox = limits.mailbox_of(address.lower())
    db.session.add(Revocation(tenant_id=tenant.id, address=address, mailbox=mailbox, by=by))


def until(tenant: Tenant, address: str) -> datetime | None:
    """When the tenant may ask for the address's mailbox again; None: now."""
    mailbox = limits.mailbox_of(address.lower())
    newest = db.session.scalar(_in_force(tenant).where(Revocation.mailbox == mailbox).limit(1))
    return newest.at + PEACE if newest else None


def by_recipient(tenant: Tenant, address: str) -> bool:
    """Whether whoever reads the mailbox has asked for peace from this tenant, and it lasts."""
    mailbox = limits.mailbox_of(address.lower())
    asked = _in_force(tenant).where(Revocation.mailbox == mailbox, Revocation.by == TakenBackBy.RECIPIENT)
    return db.session.scalar(asked.limit(1)) is not None


def shown(tenant: Tenant) -> list[Revocation]:
    """The tenant's, the newest first; of each address the newest."""
    newest: dict[str, Revocation] = {}
    for row in db.session.scalars(_in_force(tenant).limit(_MOST_SHOWN)):
        newest.setdefault(row.mailbox, row)
    return list(newest.values())


def newest() -> list[tuple[Revocation, Tenant]]:
    """What recipients took back lately, of all tenants, the newest first: for support."""
    rows = db.session.execute(
        select(Revocation, Tenant)
        .join(Tenant, Tenant.id == Revocation.tenant_id)
        .where(Revocation.by == TakenBackBy.RECIPIENT, Revocation.at > utcnow() - PEACE)
        .order_by(Revocation.at.desc(), Revocation.id.desc())
        .limit(_MOST_SHOWN)
    )
    return [(row, tenant) for row, tenant in rows]


def _in_force(tenant: Tenant) -> Select[Revocation]:
    lasting = select(Revocation).where(Revocation.tenant_id == tenant.id, Revocation.at > utcnow() - PEACE)
    return lasting.order_by(Revocation.at.desc(), Revocation.id.desc())
