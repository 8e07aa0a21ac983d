"""Users: the people that the platform's launches bring."""

from __future__ import annotations

from sqlalchemy import select

from portal.extensions import db
from portal.models import Tenant, User, utcnow

ROLES = ("admin", "viewer")


def get(user_id: int, tenant_id: int) -> tuple[User, Tenant] | None:
    """The user and the tenant that a session names, or None when either is gone or they don't belong together."""
    row = db.session.execute(
        select(User, Tenant).join(Tenant, Tenant.id == User.tenant_id).where(User.id == user_id, Tenant.id == tenant_id)
    ).one_or_none()
    return (row[0], row[1]) if row else None


def from_launch(tenant: Tenant, *, subject: str, email: str, name: str, role: str) -> User:
    """Create the user or bring them up to date. Runs within a transaction that holds the tenant's row."""
    user = db.session.scalar(select(User).where(User.tenant_id == tenant.id, User.subject == subject))
    if user is None:
        user = User(tenant_id=tenant.id, subject=subject)
        db.session.add(user)
    user.email, user.name, user.role, user.seen_at = email, name, role, utcnow()
    return user
