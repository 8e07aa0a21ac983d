"""A message: one mail to one recipient, in the outbox; its body and files; the keys that make accepting idempotent."""

from __future__ import annotations

import re
import secrets
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    and_,
    func,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, utcnow
from portal.models.route import Route, RouteColumn


class State(StrEnum):
    """Where the engine is with a message; part of the public contract."""

    QUEUED = "queued"
    SENDING = "sending"  # claimed by a lane
    DEFERRED = "deferred"  # tried, and due again later
    HELD = "held"  # waits for its sender, without its time running out
    SENT = "sent"  # accepted by the next server, which says nothing about the inbox
    UNCONFIRMED = "unconfirmed"  # accepted perhaps: the connection broke off at the final dot
    FAILED = "failed"
    CANCELLED = "cancelled"


class Feedback(StrEnum):
    """What came back after a message was sent; each outranks those before it, whatever order they come in."""

    DELAYED = "delayed"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"  # beside the others: who complains has got it


class Kind(StrEnum):
    """What a message is."""

    ORDER_UPDATE = "order_update"
    VENDOR_NOTIFICATION = "vendor_notification"
    CUSTOMER_MESSAGE = "customer_message"
    VERIFICATION = "verification"
    SENDER_CONFIRMED = "sender_confirmed"
    DRIVER_TEST = "driver_test"
    NOTICE = "notice"
    SIGN_IN = "sign_in"
    INVITATION = "invitation"


STATES = tuple(State)
WAITING = (State.QUEUED, State.DEFERRED)  # what a drain may claim
ENDED = (State.SENT, State.UNCONFIRMED, State.FAILED, State.CANCELLED)  # nothing more happens to it
PLATFORM_KINDS = (Kind.ORDER_UPDATE, Kind.VENDOR_NOTIFICATION, Kind.CUSTOMER_MESSAGE)  # what the API accepts

_CLAIMED = text("lane_id IS NOT NULL")
_FINISHED = text("finished_at IS NOT NULL")
_RESENT = text("resent_of IS NOT NULL")
_HAS_REFERENCE = text("reference IS NOT NULL")
_DEFERRED = text("state = 'deferred'")
_HELD = text("state = 'held'")
_SET_ASIDE = text("state = 'held' AND reason = 'set_aside'")
_OVER_LIMIT = text("state = 'held' AND reason = 'plan_daily_limit'")
_WAITING = text("state IN ('queued', 'deferred')")
_SUSPECT = text("state IN ('queued', 'deferred') AND releases > 0")

# Two base32 digits (RFC 4648) for each 10 bits; base64.b32encode takes ten times as long.
_PAIRS = [a + b for a in "abcdefghijklmnopqrstuvwxyz234567" for b in "abcdefghijklmnopqrstuvwxyz234567"]


def new_public_id() -> str:
    """An id for the outside: 128 random bits, so that it can't be guessed from another."""
    number = secrets.randbits(128) << 2  # base32 fills up to 130 bits, 26 digits of 5
    return "msg_" + "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


def is_public_id(text: str) -> bool:
    """Whether it could be one: what comes from outside may hold characters that no database takes."""
    return re.fullmatch(r"msg_[a-z2-7]{26}", text) is not None


class Message(Base):
    __tablename__ = "message"
    __table_args__ = (
        # The drain's look-up: a route's waiting mail, tenant by tenant, the oldest due first.
        Index(
            "ix_message_waiting",
            "route",
            "tenant_id",
            "due_at",
            "id",
            sqlite_where=_WAITING,
            postgresql_where=_WAITING,
        ),
        # Of those that a lane died with, the one to be tried next; no other message costs it a write.
        Index(
            "ix_message_suspect",
            "route",
            "releases",
            "due_at",
            "id",
            sqlite_where=_SUSPECT,
            postgresql_where=_SUSPECT,
        ),
        # The clock's look-ups: what is due on a route, and what has waited too long.
        Index("ix_message_due", "route", "due_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
        Index("ix_message_expires", "expires_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
        Index("ix_message_lane", "lane_id", sqlite_where=_CLAIMED, postgresql_where=_CLAIMED),
        # What went out by a route lately: its pace and its day's usage.
        Index("ix_message_resent_of", "resent_of", sqlite_where=_RESENT, postgresql_where=_RESENT),
        Index(
            "ix_message_route_finished",
            "route",
            "finished_at",
            "state",
            sqlite_where=_FINISHED,
            postgresql_where=_FINISHED,
        ),
        # The operator's counts of what waits out of the ordinary; no other message costs them a write.
        Index("ix_message_deferred", "route", sqlite_where=_DEFERRED, postgresql_where=_DEFERRED),
        Index("ix_message_held", "route", "reason", sqlite_where=_HELD, postgresql_where=_HELD),
        Index("ix_message_set_aside", "id", sqlite_where=_SET_ASIDE, postgresql_where=_SET_ASIDE),
        # What waits for another day of its tenant's plan, the oldest first. State and reason are the same in all of it:
        # SQLite prefers the index that has more of what is asked for.
        Index(
            "ix_message_over_limit",
            "tenant_id",
            "state",
            "reason",
            "id",
            sqlite_where=_OVER_LIMIT,
            postgresql_where=_OVER_LIMIT,
        ),
        # The log's pages: newest first, alone and under each filter.
        Index("ix_message_log", "tenant_id", "id"),
        Index("ix_message_log_state", "tenant_id", "state", "id"),
        Index("ix_message_log_kind", "tenant_id", "kind", "id"),
        Index("ix_message_log_time", "tenant_id", "accepted_at", "id"),
        Index(
            "ix_message_reference",
            "tenant_id",
            "reference",
            "id",
            sqlite_where=_HAS_REFERENCE,
            postgresql_where=_HAS_REFERENCE,
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(30), unique=True, default=new_public_id)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(30))  # Kind
    to_address: Mapped[str] = mapped_column(String(320))
    subject: Mapped[str] = mapped_column(String(1000))
    message_id: Mapped[str] = mapped_column(String(200))  # the Message-ID header, fixed at acceptance
    data: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # what a body built at sending is built from
    # The platform's own words for it: a number that people search by, and texts that the API gives back.
    reference: Mapped[str | None] = mapped_column(String(100))
    remarks: Mapped[dict[str, str] | None] = mapped_column("metadata", JSON)
    send_at: Mapped[datetime | None]  # not before this; then `due_at` began with it

    # The message that somebody has sent again by making this one. No foreign key: the older row goes earlier, and ids
    # are not used again while newer ones exist, so what is left points nowhere.
    resent_of: Mapped[int | None] = mapped_column(BigId)

    state: Mapped[str] = mapped_column(String(12), default=State.QUEUED)
    reason: Mapped[str | None] = mapped_column(String(40))
    feedback: Mapped[str | None] = mapped_column(String(12))  # Feedback; `state` stays the engine's
    sender: Mapped[str | None] = mapped_column(String(600))  # the From it went out under, as people read it
    accepted_at: Mapped[datetime] = mapped_column(default=utcnow)
    due_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime]  # given up then; held time is added
    held_at: Mapped[datetime | None]  # since when it waits for its sender
    counted_on: Mapped[date | None]  # the day (UTC) of whose limit it is a part: several tries on a day are one
    finished_at: Mapped[datetime | None]

    route: Mapped[Route] = mapped_column(RouteColumn)
    lane_id: Mapped[int | None] = mapped_column(ForeignKey("lane.id", ondelete="SET NULL"))  # while sending
    attempt: Mapped[int] = mapped_column(default=0)  # the fence: each claim adds one
    retries: Mapped[int] = mapped_column(default=0)  # the place in the retry schedule
    ambiguous: Mapped[int] = mapped_column(default=0)  # how often its fate after the final dot stayed unknown
    # How often a lane died with it before its dot: from 1 on it is claimed alone, at 3 it is set aside.
    releases: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    dot_at: Mapped[datetime | None]  # phase `dot` of this attempt: from here on it may have been accepted
    dot: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # sender, Date and boundary: the same bytes again


# Spelled as in the partial indexes: SQLite uses those only where it reads the same values.
# What waits, a drain may claim.
IS_DEFERRED = Message.state == literal_column("'deferred'")
IS_HELD = Message.state == literal_column("'held'")
IS_SET_ASIDE = and_(IS_HELD, Message.reason == literal_column("'set_aside'"))
IS_OVER_LIMIT = and_(IS_HELD, Message.reason == literal_column("'plan_daily_limit'"))
IS_WAITING = Message.state.in_([literal_column("'queued'"), literal_column("'deferred'")])
IS_SUSPECT = and_(IS_WAITING, Message.releases > literal_column("0"))

# Exact recipient searches, a tenant's and support's over all; the spelling people type differs in case.
Index("ix_message_recipient", func.lower(Message.to_address), Message.tenant_id, Message.id)


class MessageBody(Base):
    """What a message says; apart from the row, because it is large, and kept for a shorter time."""

    __tablename__ = "message_body"

    message_id: Mapped[int] = mapped_column(BigId, ForeignKey("message.id", ondelete="CASCADE"), primary_key=True)
    text: Mapped[str | None] = mapped_column(Text)
    html: Mapped[str | None] = mapped_column(Text)
    to_name: Mapped[str | None] = mapped_column(String(100))  # before the recipient's address
    reply_to: Mapped[str | None] = mapped_column(String(320))
    locale: Mapped[str | None] = mapped_column(String(35))  # the language that it is in, where known
    thread: Mapped[str | None] = mapped_column(String(255))  # the Message-ID that it answers
    # How many files belong to it: most mail has none, and then nobody looks for any.
    attachments: Mapped[int] = mapped_column(default=0, server_default="0")


class MessageAttachment(Base):
    """A file of a message: read when it is sent, gone with the body."""

    __tablename__ = "message_attachment"

    message_id: Mapped[int] = mapped_column(BigId, ForeignKey("message.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    filename: Mapped[str] = mapped_column(String(255))
    content_type: Mapped[str] = mapped_column(String(255))
    content: Mapped[bytes] = mapped_column(LargeBinary)
    charset: Mapped[str | None] = mapped_column(String(40))
    method: Mapped[str | None] = mapped_column(String(20))  # of an invitation (RFC 5546)
    content_id: Mapped[str | None] = mapped_column(String(200))  # by which the HTML shows it as an image


class IdempotencyKey(Base):
    """The message that an API key's `Idempotency-Key` made, and a digest of the request that made it."""

    __tablename__ = "idempotency_key"
    __table_args__ = (UniqueConstraint("api_key_id", "key"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    api_key_id: Mapped[int] = mapped_column(ForeignKey("api_key.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(255))
    digest: Mapped[str] = mapped_column(String(64))
    # Indexed, because deleting a message looks for its key.
    message_id: Mapped[int] = mapped_column(BigId, ForeignKey("message.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
