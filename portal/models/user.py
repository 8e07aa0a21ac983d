"""A user: a person of a tenant (admin, viewer) or of the platform (support); what lets them in."""

from __future__ import annotations

import secrets
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from portal.models.base import Base, utcnow

_STAFF = text("tenant_id IS NULL")


class Role(StrEnum):
    """What a person may do; portal.web.access says which views that opens."""

    ADMIN = "admin"
    VIEWER = "viewer"
    SUPPORT = "support"  # of the platform, and of no tenant


TENANT_ROLES = (Role.ADMIN, Role.VIEWER)


def new_session_version() -> str:
    """What a user's sessions must name. Random and not counted: SQLite gives a deleted user's id to the next one."""
    return secrets.token_hex(8)


class User(Base):
    __tablename__ = "user"
    __table_args__ = (
        UniqueConstraint("tenant_id", "subject"),
        # The platform's own people, among whom NULLs would make every subject unique.
        Index("uq_user_staff", "subject", unique=True, sqlite_where=_STAFF, postgresql_where=_STAFF),
        # One row for each address, whatever ids the platform has of its holder.
        Index("uq_user_address", "tenant_id", "email_key", unique=True),
        Index("uq_user_staff_address", "email_key", unique=True, sqlite_where=_STAFF, postgresql_where=_STAFF),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"))  # None: support
    subject: Mapped[str] = mapped_column(String(200))  # the platform's id of the person (JWT sub)
    email: Mapped[str] = mapped_column(String(320))
    email_key: Mapped[str] = mapped_column(String(320), default="", server_default="", index=True)  # lower-case
    name: Mapped[str] = mapped_column(String(200), default="")
    role: Mapped[str] = mapped_column(String(10))  # Role
    locale: Mapped[str | None] = mapped_column(String(10))  # chosen on the page; None follows the launch
    session_version: Mapped[str] = mapped_column(String(16), default=new_session_version, server_default="")
    invited_at: Mapped[datetime | None]  # until they have come for the first time
    launched_at: Mapped[datetime | None]  # when the platform signed their newest launch; None: only an admin knows them
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    seen_at: Mapped[datetime] = mapped_column(default=utcnow)

    @validates("email")
    def _key(self, _name: str, email: str) -> str:
        self.email_key = email.lower()
        return email


class BurntToken(Base):
    """The `jti` of a launch that has been used; the primary key makes burning atomic."""

    __tablename__ = "burnt_token"

    jti: Mapped[str] = mapped_column(String(200), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class EndedSession(Base):
    """A session that was signed out before its end; kept until no token of it could be good any more."""

    __tablename__ = "ended_session"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    ends_at: Mapped[datetime] = mapped_column(index=True)


class Removal(Base):
    """Somebody was removed: no launch that the platform signed before lets them in. Kept as long as one could be good.

    Also of a subject that nobody had, whose first launch may be on its way.
    """

    __tablename__ = "removal"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"))  # None: support
    subject: Mapped[str] = mapped_column(String(200))
    address: Mapped[str] = mapped_column(String(320), default="")  # lower-case; "" where nobody had the subject
    at: Mapped[datetime] = mapped_column(default=utcnow, index=True)


class SignInLink(Base):
    """A sign-in link asked for. The link itself is made when its mail is sent, and kept nowhere."""

    __tablename__ = "sign_in_link"

    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(320), index=True)  # lower-case
    nonce: Mapped[str] = mapped_column(String(64))
    locale: Mapped[str] = mapped_column(String(10))  # of the page on which it was asked for
    created_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
    expires_at: Mapped[datetime]  # never before the next one may be asked for
    considered_at: Mapped[datetime | None]  # when the address was looked up, and the mail made if anybody has it
    used_at: Mapped[datetime | None]
