"""Users: a tenant's people, and the platform's staff, who belong to none."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Text, bindparam, cast, exists, func, or_, select, update

from portal.config import settings
from portal.db.bulk_insert import insert_rows
from portal.db.prepared import Statement
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import DriverTest, EndedSession, LogEntry, Removal, Tenant, User, utcnow
from portal.models.message import State
from portal.models.tenant import TenantState
from portal.models.user import Role, new_session_version
from portal.reasons import Reason
from portal.services import audit, message_state
from portal.services.errors import LaunchRefused
from portal.services.message_state import MESSAGE

_ENDED = db.metadata.tables[EndedSession.__tablename__]
# Made once: to build a statement costs several times what it then takes to run.
_HAS_SESSION = (
    User.id == bindparam("user"),
    User.session_version == bindparam("version"),
    ~exists().where(EndedSession.id == bindparam("session")),
)
_IS_MEMBER = (*_HAS_SESSION, Tenant.id == bindparam("tenant"), Tenant.state == TenantState.ACTIVE)
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


def find(user_id: int, tenant_id: int | None, version: str, session: str = "") -> tuple[User, Tenant | None] | None:
    """The user and the tenant that a session (its id) names; None when either is gone, they don't belong together, the
    tenant is suspended, or the session was ended. Staff has no tenant.
    """
    who = {"user": user_id, "version": version, "session": session}
    if tenant_id is None:
        staff = db.session.execute(_STAFF, who).scalar_one_or_none()
        return (staff, None) if staff else None
    row = db.session.execute(_OBJECTS, who | {"tenant": tenant_id}).one_or_none()
    return (row[0], row[1]) if row else None


def glance(user_id: int, tenant_id: int, version: str, session: str = "") -> tuple[Person, Shop, int] | None:
    """The same of a tenant's person, for what only reads, and the id of the tenant's newest log entry.

    One look-up of plain values, past the session: an open page asks every two seconds (docs/benchmarks.md).
    """
    row = _GLANCE.glance(user=user_id, version=version, tenant=tenant_id, session=session)
    if row is None:
        return None
    *seen, frame_ancestors, newest = row
    end = len(Person._fields)
    return Person._make(seen[:end]), Shop._make([*seen[end:], json.loads(frame_ancestors)]), newest or 0


def end_session(session: str, ends_at: datetime) -> None:
    """Sign out: no token of this session is good any more, wherever it is. `ends_at` is the last moment one could be.

    Doing it again changes nothing.
    """
    with transaction():
        insert_rows(_ENDED, [{"id": session, "ends_at": ends_at}], unless_there=("id",))


def end_all_sessions(tenant: Tenant) -> None:
    """Sign out all of the tenant's people. Within a transaction."""
    theirs = update(User).where(User.tenant_id == tenant.id)
    db.session.execute(theirs.values(session_version=new_session_version()))


def from_launch(tenant: Tenant, *, subject: str, email: str, name: str, role: str, issued: datetime) -> User:
    """Create the user or bring them up to date. Runs within a transaction that holds the tenant's row.

    One person for each address: whoever has it, by an invitation or by another id of the platform's, is the one that
    this launch is for. Of two launches the one that the platform signed last says what they are, whichever comes first.
    Raises LaunchRefused where they were removed since it was `issued`.
    """
    user = _one_person(tenant.id, subject, email, issued)
    if user is None:
        user = User(tenant_id=tenant.id)
        db.session.add(user)
    elif _is_told_later(user, issued):
        return user
    elif user.role != role:
        audit.record(tenant, audit.PLATFORM, "user_role", audit.shown(user), {"role": user.role}, {"role": role})
    _now_known_as(user, subject)
    user.email, user.name, user.role = email, name, role
    user.seen_at, user.launched_at, user.invited_at = utcnow(), issued, None
    return user


def staff_from_launch(*, subject: str, email: str, name: str, issued: datetime) -> User:
    """The same of the platform's own people. Runs within a transaction that serializes "staff"."""
    user = _one_person(None, subject, email, issued)
    if user is None:
        user = User(role=Role.SUPPORT)
        db.session.add(user)
    elif _is_told_later(user, issued):
        return user
    _now_known_as(user, subject)
    user.email, user.name = email, name
    user.seen_at, user.launched_at = utcnow(), issued
    return user


def _one_person(tenant_id: int | None, subject: str, email: str, issued: datetime) -> User | None:
    """Whom the launch is for: whoever has the subject, or else the address. Two rows become one.

    Unless the platform has said something else since: then whoever it said that of.
    """
    address = email.lower()
    meant = or_(Removal.subject == subject, Removal.address == address)
    if db.session.scalar(select(exists().where(Removal.tenant_id == tenant_id, meant, Removal.at > issued))):
        raise LaunchRefused("removed")
    user = by_subject(tenant_id, subject)
    holder = db.session.scalar(select(User).where(User.tenant_id == tenant_id, User.email_key == address))
    later = next((known for known in (user, holder) if known is not None and _is_told_later(known, issued)), None)
    if later is not None:
        return later
    if user is not None and holder is not None and holder is not user:
        _hand_over_tests(holder, user.id)
        db.session.delete(holder)
        db.session.flush()  # before its address is given to the other
    return user or holder


def _now_known_as(user: User, subject: str) -> None:
    """Another id of the platform's may be another human being, who got the address: the sessions of before end."""
    if user.launched_at is not None and user.subject != subject:
        user.session_version = new_session_version()
    user.subject = subject


def _is_told_later(user: User, issued: datetime) -> bool:
    return user.launched_at is not None and user.launched_at > issued


def vouched_since() -> datetime:
    """How new somebody's last launch must be, so that mailed links let them in."""
    return utcnow() - timedelta(days=settings().sign_in_days)


def remove(user: User) -> None:
    """Take somebody out: neither a session nor a link nor a launch of before lets them in. Within a transaction."""
    note_removal(user.tenant_id, user.subject, user.email_key)
    others = select(func.min(User.id)).where(User.tenant_id == user.tenant_id, User.id != user.id)
    _hand_over_tests(user, db.session.scalar(others))
    db.session.delete(user)


def note_removal(tenant_id: int | None, subject: str, address: str = "") -> None:
    """Refuse the launches that were signed until now for this subject or address (lower-case). Within a transaction."""
    db.session.add(Removal(tenant_id=tenant_id, subject=subject, address=address))


def _hand_over_tests(user: User, heir: int | None) -> None:
    """A test that runs must find its row when it ends; it goes to the test of a settings page that others share.

    Without an heir it goes with its person, and so that its mail isn't on its way for ever, that one is called off.
    """
    if heir is not None:
        db.session.execute(update(DriverTest).where(DriverTest.user_id == user.id).values(user_id=heir))
        return
    mails = select(DriverTest.message_id).where(DriverTest.user_id == user.id)
    message_state.end([State.SENDING], State.CANCELLED, Reason.NO_LONGER_WANTED, MESSAGE.c.id.in_(mails))


def invited_subject(address: str) -> str:
    """What stands for the platform's id of somebody whom only an invitation knows; once for each address."""
    digest = hashlib.sha256(address.lower().encode()).hexdigest()
    return f"invited:{digest}"


def by_subject(tenant_id: int | None, subject: str) -> User | None:
    """The person whom the platform knows by this id; `tenant_id` None: of its own staff."""
    return db.session.scalar(select(User).where(User.tenant_id == tenant_id, User.subject == subject))
