"""Users: a tenant's people, and the platform's staff, who belong to none."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from sqlalchemy import Text, bindparam, cast, select

from portal.db import prepared
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
_USER_NAMES = ("id", "tenant_id", "subject", "email", "name", "role", "locale", "session_version")
_TENANT_NAMES = (
    "id", "external_id", "name", "plan", "locale", "timezone", "sender_mode", "held_mail", "identity_id",
)  # fmt: skip
_COPIES = Statement(
    select(
        *(getattr(User, name) for name in _USER_NAMES),
        *(getattr(Tenant, name) for name in _TENANT_NAMES),
        cast(Tenant.frame_ancestors, Text),
        select(LogEntry.id)
        .where(LogEntry.tenant_id == bindparam("tenant"))
        .order_by(LogEntry.id.desc())
        .limit(1)
        .scalar_subquery(),
    )
    .join_from(User, Tenant, Tenant.id == User.tenant_id)
    .where(*_IS_MEMBER)
)


def get(user_id: int, tenant_id: int | None, version: str) -> tuple[User, Tenant | None] | None:
    """The user and the tenant that a session names; None when either is gone, they don't belong together, or the
    session was ended. Staff has no tenant.
    """
    who = {"user": user_id, "version": version}
    if tenant_id is None:
        staff = db.session.execute(_STAFF, who).scalar_one_or_none()
        return (staff, None) if staff else None
    row = db.session.execute(_OBJECTS, who | {"tenant": tenant_id}).one_or_none()
    return (row[0], row[1]) if row else None


def glance(user_id: int, tenant_id: int | None, version: str) -> tuple[User, Tenant | None, int | None] | None:
    """The same for what only reads, as copies that no session tracks, and the id of the tenant's newest log entry.

    One look-up, a fraction of the cost of loading. The copies lack the times at which the rows were made or changed,
    and requests share them: nobody may change them. Staff, who come seldom, get no copies and no entry.
    """
    if tenant_id is None:
        known = get(user_id, None, version)
        return (known[0], None, None) if known else None
    with prepared.reading():
        row = _COPIES.row(user=user_id, tenant=tenant_id, version=version)
    return (*_copies(row[:-1]), row[-1] or 0) if row else None


@lru_cache(maxsize=1024)  # by all that the rows hold, as just read: an open page asks every two seconds
def _copies(values: tuple[Any, ...]) -> tuple[User, Tenant]:
    *columns, frame_ancestors = values
    user = User(**dict(zip(_USER_NAMES, columns, strict=False)))
    tenant = Tenant(**dict(zip(_TENANT_NAMES, columns[len(_USER_NAMES) :], strict=True)))
    tenant.frame_ancestors = json.loads(frame_ancestors)
    return user, tenant


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
