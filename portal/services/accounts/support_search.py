"""Support: staff find a tenant or a message over all tenants; each look is in that tenant's trail."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, func, or_, select, union
from sqlalchemy.orm import Session

from portal.db.transaction import serialize, transaction
from portal.extensions import db
from portal.models import AuditEntry, Driver, Message, SenderIdentity, Tenant, User, utcnow
from portal.models.audit import IS_LOOK
from portal.services import audit
from portal.services.outbox import message_log
from portal.transport.mime.addresses import searched_address
from portal.typed import trimmed

MOST = 25  # hits that a search shows; whoever sees more has searched for too little
ONE_LOOK = timedelta(minutes=10)  # polls and reloads within it are the same look

# The Message-ID header that the outbox makes of a message's id, as people copy it out of a mail's source.
_HEADER = re.compile(r"<?([a-z2-7]{26})@[^<>@\s]+>?", re.IGNORECASE)


Row = TypeVar("Row")


@dataclass(frozen=True)
class Hit:
    """A message that a search over all tenants has found."""

    message: Message
    tenant: Tenant


@dataclass(frozen=True)
class Found(Generic[Row]):
    """What a search found, at most MOST; `more`: there is more than that."""

    rows: list[Row]
    more: bool


def find_tenants(text: str) -> Found[Tenant]:
    """Tenants by a part of the name, the platform's id, or a whole sender address, in the order of their names."""
    text = _clean(text)
    if not text:
        return Found([], False)
    matching = _sends_as(text) if _is_address(text) else or_(_is_named(text), Tenant.external_id == text)
    # Whose id it is comes first.
    order = ((Tenant.external_id != text), func.lower(Tenant.name), Tenant.id)
    return _found(list(db.session.scalars(select(Tenant).where(matching).order_by(*order).limit(MOST + 1))))


def find_messages(text: str, staff: User) -> Found[Hit]:
    """Messages of all tenants by their id, their Message-ID or their exact recipient, newest first.

    A hit shows a subject, so it is written into the trail of each tenant that has one.
    """
    text = _clean(text)
    known = message_log.find_message(_public_id(text))
    found = Found([Hit(*known)], False) if known else _sent_to(text) if _is_address(text) else Found[Hit]([], False)
    with transaction():
        for tenant in {hit.tenant.id: hit.tenant for hit in found.rows}.values():
            note_looks(tenant, staff, ["search"])
    return found


def note_looks(tenant: Tenant, staff: User, subjects: Iterable[str]) -> None:
    """Write down that a person of the platform looks at these: a page's key, or a message's public id.

    Each at most once in ONE_LOOK. Has to be called before the page goes out: nothing is seen that isn't written down.
    """
    missing = [subject for subject in subjects if not _is_noted(db.session(), tenant, staff, subject)]
    if not missing:
        return
    with transaction() as session:
        serialize(f"looks:{tenant.id}:{staff.id}")
        for subject in missing:
            if not _is_noted(session, tenant, staff, subject):  # another request may have been quicker
                audit.record(tenant, staff, "support_viewed", subject)
                session.flush()


def _is_noted(session: Session, tenant: Tenant, staff: User, subject: str) -> bool:
    noted = select(AuditEntry.id).where(
        AuditEntry.tenant_id == tenant.id,
        AuditEntry.user_id == staff.id,
        AuditEntry.subject == subject,
        AuditEntry.at > utcnow() - ONE_LOOK,
        IS_LOOK,
        AuditEntry.who == audit.shown(staff),  # SQLite gives a removed person's id to the next one
    )
    return session.scalar(noted.limit(1)) is not None


def _sent_to(address: str) -> Found[Hit]:
    rows = db.session.execute(
        select(Message, Tenant)
        .join(Tenant, Tenant.id == Message.tenant_id)
        .where(func.lower(Message.to_address) == searched_address(address))
        .order_by(Message.id.desc())
        .limit(MOST + 1)
    )
    return _found([Hit(message, tenant) for message, tenant in rows])


def _sends_as(address: str) -> ColumnElement[bool]:
    """Has it as a sender identity, in whatever state, or as the address of its own mail service."""
    key = searched_address(address)
    return Tenant.id.in_(
        union(
            select(SenderIdentity.tenant_id).where(SenderIdentity.address_key == key),
            select(Driver.tenant_id).where(func.lower(Driver.from_address) == key),
        ).scalar_subquery()
    )


def _is_named(text: str) -> ColumnElement[bool]:
    # Both cases: SQLite knows those of ASCII only, so one of the two would miss BÜCHER or Bücher.
    return or_(
        func.lower(Tenant.name).contains(text.lower(), autoescape=True),
        func.upper(Tenant.name).contains(text.upper(), autoescape=True),
    )


def _public_id(text: str) -> str:
    header = _HEADER.fullmatch(text)
    return f"msg_{header[1].lower()}" if header else text.lower()


def _is_address(text: str) -> bool:
    return "@" in text.strip("@")


def _clean(text: str) -> str:
    """As typed or pasted; PostgreSQL knows no NUL."""
    return " ".join(trimmed(text.replace("\x00", "")).split())[:320]


def _found(rows: list[Row]) -> Found[Row]:
    return Found(rows[:MOST], len(rows) > MOST)
