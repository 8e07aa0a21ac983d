"""A tenant: one merchant company of the marketplace."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, utcnow

PLATFORM_ID = "@platform"  # whose log holds the mail that is about no shop in particular; no platform may give this id
_MOVING = text("moving_since IS NOT NULL")


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


class Tenant(Base):
    __tablename__ = "tenant"
    # What the clock looks for each second: tenants whose waiting mail is brought in line with their sender.
    __table_args__ = (Index("ix_tenant_moving", "moving_since", sqlite_where=_MOVING, postgresql_where=_MOVING),)

    id: Mapped[int] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(String(100), unique=True)  # the platform's own id of it
    name: Mapped[str] = mapped_column(String(200))
    plan: Mapped[str] = mapped_column(String(50), default="basic")
    locale: Mapped[str] = mapped_column(String(10), default="en")
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    state: Mapped[str] = mapped_column(String(10), default=TenantState.ACTIVE, server_default="active")
    frame_ancestors: Mapped[list[str]] = mapped_column(JSON, default=list)
    sender_mode: Mapped[str] = mapped_column(String(10), default=SenderMode.PLATFORM)
    held_mail: Mapped[str] = mapped_column(String(10), default=HeldMail.WAIT, server_default="wait")
    identity_id: Mapped[int | None] = mapped_column(
        ForeignKey("sender_identity.id", use_alter=True, ondelete="SET NULL")
    )
    # Since when its waiting mail has to follow a changed sender, and the message up to which it does; None: all of it.
    moving_since: Mapped[datetime | None]
    moved_to: Mapped[int] = mapped_column(BigId, default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class TenantUsage(Base):
    """How much of its plan's daily limit a tenant has used: one row, which begins again with each day (UTC)."""

    __tablename__ = "tenant_usage"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date]
    mails: Mapped[int]
