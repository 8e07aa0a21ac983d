"""Users: a tenant's people, and the platform's staff, who belong to none."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

from sqlalchemy import Text, bindparam, cast, func, select

from portal.db.prepared import Statement
from portal.extensions import db
from portal.models import LogEntry, Tenant, User, utcnow
from portal.services import audit

# Made once: to build a statement costs several times what it then takes to run.
_HAS_SESSION = (User.id == bindparam("user"), User.session_version == bindparam("version"))
_IS_MEMBER = (*_HAS_SESSION, Tenant.id == bindparam("tenant"))
_IS_STAFF = (*_HAS_SESSION, User.tenant_id.is_(None))
_OBJECTS = select(User, Tenant).join(Tenant, Tenant.id == User.tenant_id).where(*_IS_MEMBER)
_STAFF = select(User).where(*_IS_STAFF)


class Person(NamedTuple):
    """What pages read of a user."""

    id: int
    tenant_id: int
    subject: str
    email: str
    name: str
    role: str
    locale: str | None
    session_version: str


class Shop(NamedTuple):
    """What pages read of a tenant."""

    id: int
    external_id: str
    name: str
    plan: str
    locale: str
    timezone: str
    sender_mode: str
    held_mail: str
    identity_id: int | None
    frame_ancestors: list[str]


_NEWEST_ENTRY = select(func.max(LogEntry.id)).where(LogEntry.tenant_id == bindparam("tenant")).scalar_subquery()
_GLANCE = Statement(
    select(
        *(getattr(User, name) for name in Person._fields),
        *(getattr(Tenant, name) for name in Shop._fields if name != "frame_ancestors"),
        cast(Tenant.frame_ancestors, Text),
        _NEWEST_ENTRY,
    )
    .join_from(User, Tenant, Tenant.id == User.tenant_id)
    .where(*_IS_MEMBER)
)


def find(user_id: int, tenant_id: int | None, version: str) -> tuple[User, Tenant | None] | None:
    """The user and the tenant that a session names; None when either is gone, they don't belong together, or the
    session was ended. Staff has no tenant.
    """
    who = {"user": user_id, "version": version}
    if tenant_id is None:
        staff = db.session.execute(_STAFF, who).scalar_one_or_none()
        return (staff, None) if staff else None
    row = db.session.execute(_OBJECTS, who | {"tenant": tenant_id}).one_or_none()
    return (row[0], row[1]) if row else None


def glance(user_id: int, tenant_id: int, version: str) -> tuple[Person, Shop, int] | None:
    """The same of a tenant's person, for what only reads, and the id of the tenant's newest log entry.

    One look-up of plain values, past the session: an open page asks every two seconds (docs/benchmarks.md).
    """
    row = _GLANCE.glance(user=user_id, version=version, tenant=tenant_id)
    if row is None:
        return None
    *seen, frame_ancestors, newest = row
    end = len(Person._fields)
    return Person._make(seen[:end]), Shop._make([*seen[end:], json.loads(frame_ancestors)]), newest or 0


def from_launch(tenant: Tenant, *, subject: str, email: str, name: str, role: str) -> User:
    """Create the user or bring them up to date. Runs within a transaction that holds the tenant's row.

    Somebody who was invited by their address becomes the person that the platform knows.
    """
    invited = _by_subject(tenant, invited_subject(email))
    user = _by_subject(tenant, subject) or invited
    if invited is not None and invited is not user and invited.invited_at is not None:
        db.session.delete(invited)  # the platform knows them by another address, too
    if user is None:
        user = User(tenant_id=tenant.id)
        db.session.add(user)
    elif user.role != role:
        audit.record(tenant, audit.PLATFORM, "user_role", audit.shown(user), {"role": user.role}, {"role": role})
    user.subject, user.email, user.name, user.role = subject, email, name, role
    user.seen_at, user.invited_at = utcnow(), None
    return user


def invited_subject(address: str) -> str:
    """What stands for the platform's id of somebody whom only an invitation knows; once for each address."""
    digest = hashlib.sha256(address.lower().encode()).hexdigest()
    return f"invited:{digest}"


def _by_subject(tenant: Tenant, subject: str) -> User | None:
    return db.session.scalar(select(User).where(User.tenant_id == tenant.id, User.subject == subject))
