"""An API key of the platform's backend; only its digest is kept."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, utcnow


class Scope(StrEnum):
    """What a key may do; each operation of the API needs one of them."""

    SEND = "send"  # hand in mail, and withdraw it
    READ = "read"  # see what became of it
    MANAGE = "manage"  # create and change tenants


class ApiKey(Base):
    __tablename__ = "api_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256; the key has 256 random bits, no salt needed
    scopes: Mapped[list[str]] = mapped_column(JSON)
    # The platform's ids of the tenants that the key is limited to, whether they exist yet or not; None: all.
    tenants: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    ends_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class KeyInForce(NamedTuple):
    """A key as a request brought it: what that may do."""

    id: int
    name: str
    scopes: list[str]
    tenants: list[str] | None  # the platform's ids of those that it is limited to; None: all

    def covers(self, external_id: str) -> bool:
        """Whether the key may know anything of the tenant that the platform calls so."""
        return self.tenants is None or external_id in self.tenants
