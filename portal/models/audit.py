"""The audit trail: who changed which setting of a tenant when, from what to what, and who looked at it as support."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, literal_column, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, utcnow

_LOOK = text("action = 'support_viewed'")


class AuditEntry(Base):
    """Append-only: the database itself refuses to change or delete one (triggers, made by migrations 0006 and 0017)."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_tenant", "tenant_id", "id"),
        # Whether a look by support is in the trail already, which each of its polls asks.
        Index("ix_audit_look", "tenant_id", "user_id", "subject", "at", sqlite_where=_LOOK, postgresql_where=_LOOK),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id"))
    at: Mapped[datetime] = mapped_column(default=utcnow)
    # No foreign key, and the name as it was then: an entry outlives the person.
    user_id: Mapped[int | None]
    who: Mapped[str] = mapped_column(String(520))
    role: Mapped[str] = mapped_column(String(10))  # admin, viewer, support, platform, recipient
    action: Mapped[str] = mapped_column(String(40))  # a key of portal.services.audit.Action
    subject: Mapped[str] = mapped_column(String(320), default="")  # what it was done to: an address, a person, a page
    before: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    after: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


# Spelled as in the partial index (see portal.models.message).
IS_LOOK = AuditEntry.action == literal_column("'support_viewed'")
