"""A tenant: one merchant company of the marketplace."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, utcnow


class SenderMode(StrEnum):
    """Whose address a tenant's mail comes from."""

    PLATFORM = "platform"
    BRAND = "brand"
    DRIVER = "driver"


class TenantState(StrEnum):
    """Whether the platform lets a tenant work."""

    ACTIVE = "active"
    SUSPENDED = "suspended"  # nobody can sign in, and nothing is sent: mail waits


class HeldMail(StrEnum):
    """What becomes of mail while the driver can't send."""

    WAIT = "wait"
    DEFAULT = "default"  # goes by the default sender


_SETTLING = text("settling_until IS NOT NULL")


class Tenant(Base):
    __tablename__ = "tenant"
    __table_args__ = (
        # The clock's look-up, each second.
        Index("ix_tenant_settling", "settling_until", sqlite_where=_SETTLING, postgresql_where=_SETTLING),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(String(100), unique=True)  # the platform's own id of it
    name: Mapped[str] = mapped_column(String(200))
    plan: Mapped[str] = mapped_column(String(50), default="basic")
    locale: Mapped[str] = mapped_column(String(10), default="en")
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    state: Mapped[str] = mapped_column(String(10), default=TenantState.ACTIVE, server_default="active")
    # Until when the clock looks for mail that doesn't wait as `state` says, or still does; None: all is in line.
    settling_until: Mapped[datetime | None]
    frame_ancestors: Mapped[list[str]] = mapped_column(JSON, default=list)
    sender_mode: Mapped[str] = mapped_column(String(10), default=SenderMode.PLATFORM)
    held_mail: Mapped[str] = mapped_column(String(10), default=HeldMail.WAIT, server_default="wait")
    identity_id: Mapped[int | None] = mapped_column(
        ForeignKey("sender_identity.id", use_alter=True, ondelete="SET NULL")
    )
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
