"""A driver: a tenant's stored SMTP account; and the tests that settings must pass before they become one."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Dialect, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from portal.models.base import Base, BigId, EncryptedText, utcnow
from portal.models.route import Route


class ProbeState(StrEnum):
    """How far a test of a driver's settings has come."""

    QUEUED = "queued"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    UNFINISHED = "unfinished"  # its worker died


PROBING = (ProbeState.QUEUED, ProbeState.RUNNING)
PROBED = (ProbeState.PASSED, ProbeState.FAILED, ProbeState.UNFINISHED)


class DriverState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"  # by a person
    STOPPED = "stopped"  # its provider refuses it


# What the version before wrote for `stopped`: read for one release (0.2).
BROKEN = "broken"


class DriverStateColumn(TypeDecorator[str]):
    """A driver's state as the tables keep it."""

    impl = String(10)
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return DriverState.STOPPED if value == BROKEN else value


class _Account:
    """The settings that a test tries and a driver keeps."""

    preset: Mapped[str] = mapped_column(String(30), default="other")  # a key of portal.providers
    host: Mapped[str] = mapped_column(String(253))
    port: Mapped[int]
    encryption: Mapped[str] = mapped_column(String(10))  # tls, starttls
    username: Mapped[str] = mapped_column(String(320))
    secret: Mapped[str] = mapped_column(EncryptedText)
    from_address: Mapped[str] = mapped_column(String(320))
    from_name: Mapped[str] = mapped_column(String(200), default="")


class Driver(_Account, Base):
    __tablename__ = "driver"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"), unique=True)
    state: Mapped[str] = mapped_column(DriverStateColumn, default=DriverState.ACTIVE)
    reason: Mapped[str | None] = mapped_column(String(40))  # why it is stopped
    text: Mapped[str | None] = mapped_column(Text)  # the provider's words about it
    paused_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]  # when the admins were told that it was stopped
    version: Mapped[int] = mapped_column(default=1)  # counts the changes, so that two admins can't overwrite unseen
    changed_by: Mapped[str] = mapped_column(String(320), default="")
    account_since: Mapped[datetime] = mapped_column(
        default=utcnow
    )  # usage counts from here: another account, another day
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)

    @property
    def route(self) -> Route:
        return Route.of_driver(self.id)


class DriverTest(_Account, Base):
    __tablename__ = "driver_test"
    __table_args__ = (Index("ix_driver_test_tenant", "tenant_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    fingerprint: Mapped[str] = mapped_column(String(64))  # keyed digest over exactly what was tested
    driver_version: Mapped[int | None]  # of the driver that has exactly these settings; None: it has others
    state: Mapped[str] = mapped_column(String(10), default=ProbeState.QUEUED)
    steps: Mapped[list[dict[str, Any]]] = mapped_column(
        JSON, default=list
    )  # [{"name": ..., "seconds": ...}] done so far
    failed_step: Mapped[str | None] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(String(40))
    code: Mapped[int | None]
    text: Mapped[str | None] = mapped_column(Text)
    message_id: Mapped[int] = mapped_column(BigId, ForeignKey("message.id", ondelete="CASCADE"))  # the test mail
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    finished_at: Mapped[datetime | None]


class RefusedSignIn(Base):
    """How often the password of an account, or those that a shop tried, were refused lately."""

    __tablename__ = "refused_sign_in"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # keyed digest of the account or the shop
    refusals: Mapped[int]
    at: Mapped[datetime] = mapped_column(index=True)  # of the last one
    next_at: Mapped[datetime]  # until then no password is tried
