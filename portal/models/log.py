"""A log entry: one thing that happened to a message. Append-only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, utcnow


class Event(StrEnum):
    """What can happen to a message."""

    QUEUED = "queued"
    SENT = "sent"
    DEFERRED = "deferred"
    HELD = "held"
    RESUMED = "resumed"  # held no longer
    RELEASED = "released"  # a lane died before the final dot: nothing was handed over
    AMBIGUOUS = "ambiguous"  # the connection broke off at the final dot: it is sent once more
    SENDER_CHANGED = "sender_changed"
    UNCONFIRMED = "unconfirmed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RESENT = "resent"  # somebody has sent it again as a new message


class LogEntry(Base):
    __tablename__ = "log_entry"
    __table_args__ = (
        Index("ix_log_entry_tenant", "tenant_id", "id"),  # the newest entry: the log's version
        Index("ix_log_entry_message", "message_id", "id"),  # a message's timeline
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"))
    message_id: Mapped[int] = mapped_column(BigId, ForeignKey("message.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(default=utcnow)
    event: Mapped[str] = mapped_column(String(20))  # Event
    reason: Mapped[str | None] = mapped_column(String(40))  # key of the sentence people read
    code: Mapped[int | None]
    text: Mapped[str | None] = mapped_column(Text)  # the server's words
    sender: Mapped[str | None] = mapped_column(String(600))
    until: Mapped[datetime | None]  # when it goes on, for what waits
