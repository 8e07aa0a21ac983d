"""Staff: the platform's own people, who look at all shops as support and belong to none."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from portal.db.transaction import serialize, transaction
from portal.extensions import db
from portal.models import User
from portal.models.user import Role
from portal.services.accounts import users
from portal.transport.mime.addresses import validate_address
from portal.typed import trimmed


def from_launch(*, subject: str, email: str, name: str, issued: datetime) -> User:
    """Create the person or bring them up to date. Runs within a transaction.

    Whoever was added by their address before is taken over by the platform's own id of them. Raises LaunchRefused
    where they were removed since the launch was `issued`.
    """
    serialize("staff")
    return users.staff_from_launch(subject=subject, email=email, name=name, issued=issued)


def add(address: str, name: str = "") -> tuple[User, bool]:
    """Let whoever reads this mailbox sign in as staff. Returns the person and whether they are new.

    Raises InvalidAddress.
    """
    email, name = validate_address(address), " ".join(name.split())[:200]
    with transaction() as session:
        serialize("staff")
        user = next(iter(_at(email)), None)
        added = user is None
        if user is None:
            user = User(role=Role.SUPPORT, subject=users.invited_subject(email), email=email, name=name)
            session.add(user)
        elif name:
            user.name = name
    return user, added


def remove(address: str) -> int:
    """Put out everybody of the staff with this address, at once. Returns how many that were."""
    with transaction():
        serialize("staff")
        found = _at(trimmed(address))
        for user in found:
            users.remove(user)
    return len(found)


def everybody() -> list[User]:
    """The staff, by address."""
    return list(db.session.scalars(select(User).where(User.tenant_id.is_(None)).order_by(User.email_key, User.id)))


def _at(address: str) -> list[User]:
    return list(db.session.scalars(select(User).where(User.tenant_id.is_(None), User.email_key == address.lower())))
