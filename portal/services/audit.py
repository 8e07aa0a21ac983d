"""The audit trail: written by each service in the transaction of its change, read by the tenant's admins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select

from portal.db.transaction import read
from portal.extensions import db
from portal.models import AuditEntry, Tenant, User

BATCH = 500


class Action(StrEnum):
    """What an entry of the trail tells of; its words are in portal/views/activity/texts.py."""

    SENDER_STARTED = "sender_started"
    SENDER_RESENT = "sender_resent"
    SENDER_CANCELLED = "sender_cancelled"
    SENDER_CONFIRMED = "sender_confirmed"
    SENDER_OBJECTED = "sender_objected"
    SENDER_REMOVED = "sender_removed"
    SENDER_REVOKED = "sender_revoked"
    SENDER_CHOSEN = "sender_chosen"
    SENDER_DEFAULT = "sender_default"
    DRIVER_SAVED = "driver_saved"
    DRIVER_USED = "driver_used"
    DRIVER_PAUSED = "driver_paused"
    DRIVER_RESUMED = "driver_resumed"
    DRIVER_REMOVED = "driver_removed"
    HELD_MAIL = "held_mail"
    USER_INVITED = "user_invited"
    USER_ROLE = "user_role"
    USER_REMOVED = "user_removed"
    USER_SIGNED_OUT = "user_signed_out"
    USER_SIGNED_IN = "user_signed_in"
    TENANT_CREATED = "tenant_created"
    TENANT_CHANGED = "tenant_changed"
    SENT_AGAIN = "sent_again"
    SUPPORT_VIEWED = "support_viewed"


@dataclass(frozen=True)
class Actor:
    """Who did it, as the trail will name them for good."""

    who: str
    role: str
    user_id: int | None = None


PLATFORM = Actor("", "platform")  # by a launch, or by a command on the operator's machine


def by_api_key(name: str) -> Actor:
    return Actor(f"API: {name}", "platform")


def by_recipient(address: str) -> Actor:
    """Whoever opened the mail to this address and pressed its button."""
    return Actor(address, "recipient")


def of(user: User) -> Actor:
    return Actor(shown(user), user.role, user.id)


def shown(user: User) -> str:
    """A person as the trail and the pages name them."""
    return f"{user.name} <{user.email}>" if user.name else user.email


def record(
    tenant: Tenant,
    by: User | Actor,
    action: str,
    subject: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write one entry, in the transaction of what it tells of.

    `before` and `after` hold what has changed, by name; never a secret. Raises ValueError for an unknown action.
    """
    actor = of(by) if isinstance(by, User) else by
    db.session.add(
        AuditEntry(
            tenant_id=tenant.id, user_id=actor.user_id, who=actor.who, role=actor.role, action=Action(action),
            subject=subject[:320], before=before or {}, after=after or {},
        )
    )  # fmt: skip


def page(tenant: Tenant, before: int | None, limit: int) -> tuple[list[AuditEntry], int | None]:
    """The newest entries (older than `before`), and the id to go on before; None: that was all."""
    rows = _rows(tenant, before, limit + 1)
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def entries(tenant: Tenant) -> Iterator[list[AuditEntry]]:
    """All entries, newest first, in batches of which each is a read of its own (as in outbox.log_export)."""
    before: int | None = None
    while True:
        with read() as session:
            rows = _rows(tenant, before, BATCH)
        last = rows[-1].id if rows else None
        session.expunge_all()
        yield rows
        if len(rows) < BATCH:
            return
        before = last


def _rows(tenant: Tenant, before: int | None, limit: int) -> list[AuditEntry]:
    query = select(AuditEntry).where(AuditEntry.tenant_id == tenant.id)
    if before is not None:
        query = query.where(AuditEntry.id < min(before, 2**62))
    return list(db.session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit)))
