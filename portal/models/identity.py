"""A sender identity: an address and display name that a tenant may send from once it is verified."""

from __future__ import annotations

import secrets
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, utcnow

_PENDING = text("state = 'pending'")


class IdentityState(StrEnum):
    """How far the verification of a sender identity has come."""

    PENDING = "pending"
    VERIFIED = "verified"
    REVOKED = "revoked"


def new_nonce() -> str:
    """What makes one verification link differ from the next."""
    return secrets.token_urlsafe(16)


class SenderIdentity(Base):
    __tablename__ = "sender_identity"
    __table_args__ = (
        UniqueConstraint("tenant_id", "address_key"),
        # One change at a time: the database itself refuses a tenant's second pending identity.
        Index("uq_sender_identity_pending", "tenant_id", unique=True, sqlite_where=_PENDING, postgresql_where=_PENDING),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"))
    address: Mapped[str] = mapped_column(String(320))
    address_key: Mapped[str] = mapped_column(String(320), index=True)  # lower-case: one mailbox is one identity
    display_name: Mapped[str] = mapped_column(String(200), default="")
    state: Mapped[str] = mapped_column(String(10), default=IdentityState.PENDING)
    nonce: Mapped[str] = mapped_column(String(64), default=new_nonce)  # a new one with each mail: older links are dead
    nonce_at: Mapped[datetime] = mapped_column(default=utcnow)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    verified_at: Mapped[datetime | None]


class TakenBackBy(StrEnum):
    """Who took an address back from a tenant."""

    RECIPIENT = "recipient"  # whoever reads its mail
    SUPPORT = "support"


class Revocation(Base):
    """An address taken back from a tenant, which can't ask for its mailbox again for a while."""

    __tablename__ = "revocation"
    __table_args__ = (Index("ix_revocation_tenant", "tenant_id", "mailbox"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"))
    address: Mapped[str] = mapped_column(String(320))  # as the tenant knows it
    mailbox: Mapped[str] = mapped_column(String(320))  # see portal.services.limits.mailbox_of
    by: Mapped[str] = mapped_column(String(10))  # TakenBackBy
    at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
