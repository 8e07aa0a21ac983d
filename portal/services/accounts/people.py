"""A tenant's people, as its admins manage them: invite, change the role, remove, sign out.

The platform decides too: a launch sets the role, and brings back whom an admin removed before it was signed; and the
platform removes whom it likes.
"""

from __future__ import annotations

from sqlalchemy import func, select

from portal.config import settings
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Tenant, User, utcnow
from portal.models.base import MAX_ID
from portal.models.message import Kind
from portal.models.route import INTERACTIVE
from portal.models.user import TENANT_ROLES, new_session_version
from portal.services import audit, limits
from portal.services.accounts import tenants, users
from portal.services.emails import contents, shop_name
from portal.services.errors import InvalidField, LastAdmin, NotFound
from portal.services.limits import Cause
from portal.services.outbox import accept as outbox
from portal.transport.mime.addresses import InvalidAddress, readable_address, validate_address


def everybody(tenant: Tenant) -> list[User]:
    """By name, then address."""
    query = select(User).where(User.tenant_id == tenant.id)
    return list(db.session.scalars(query.order_by(func.lower(User.name), User.email_key, User.id)))


def only_admin(everybody: list[User]) -> User | None:
    """Who can neither be removed nor become a reader, because nobody could change the settings then."""
    admins = [user for user in everybody if user.role == "admin" and user.invited_at is None]
    return admins[0] if len(admins) == 1 else None


def get(tenant: Tenant, user_id: int) -> User:
    """Raises NotFound."""
    if user_id > MAX_ID:
        raise NotFound
    user = db.session.scalar(
        select(User).where(User.id == user_id, User.tenant_id == tenant.id).execution_options(populate_existing=True)
    )
    if user is None:
        raise NotFound
    return user


def invite(tenant: Tenant, by: User, address: str, role: str) -> User:
    """Let somebody sign in by mailed links, and tell them. Who was invited and hasn't come is told again.

    Raises InvalidField, also for somebody who has been here, unless their last launch is too old for mailed links,
    which the invitation cures; and SendLimit.
    """
    _check_role(role)
    try:
        address = validate_address(address)
    except InvalidAddress as error:
        raise InvalidField("address", error.reason) from None
    with transaction() as session:
        tenant = tenants.lock(tenant)
        user = session.scalar(
            select(User).where(User.tenant_id == tenant.id, User.email_key == address.lower()).order_by(User.id)
        )
        if user is not None and user.invited_at is None and not _is_too_long_ago(user):
            raise InvalidField("address", "already_there")
        limits.count(Cause.INVITATION, limits.mailbox_of(address), tenant)
        if user is None:
            user = User(tenant_id=tenant.id, subject=users.invited_subject(address), email=address)
            session.add(user)
        user.role, user.invited_at, user.launched_at = role, utcnow(), None
        shop = shop_name.shown(tenant, tenant.locale)
        subject = contents.subject(Kind.INVITATION, tenant.locale, tenant=shop)
        link = f"{settings().base_url}/sign-in"
        about = {"tenant": shop, "by": readable_address(by.email), "role": role, "link": link}
        content = contents.build(Kind.INVITATION, subject, tenant.locale, **about)
        outbox.accept(
            tenant, kind=Kind.INVITATION, to=user.email, subject=content.subject, text=content.text, html=content.html,
            route=INTERACTIVE,
        )  # fmt: skip
        audit.record(tenant, by, "user_invited", user.email, after={"role": role})
    return user


def set_role(tenant: Tenant, by: User, user_id: int, role: str) -> User:
    """Raises NotFound, InvalidField, LastAdmin."""
    with transaction():
        tenant = tenants.lock(tenant)
        user = get(tenant, user_id)
        _check_role(role)
        if user.role != role:
            if role != "admin":
                _require_another_admin(tenant, user)
            audit.record(tenant, by, "user_role", audit.shown(user), {"role": user.role}, {"role": role})
            user.role = role
    return user


def remove(tenant: Tenant, by: User, user_id: int) -> User:
    """Their sessions and links are worth nothing any more; what they did stays in the trail.

    Raises NotFound, LastAdmin.
    """
    with transaction():
        tenant = tenants.lock(tenant)
        user = get(tenant, user_id)
        _require_another_admin(tenant, user)
        _remove(tenant, by, user)
    return user


def remove_for_platform(tenant: Tenant, by: audit.Actor, subject: str) -> User:
    """Remove whom the platform knows by this id, an only administrator too. Raises NotFound.

    Even where nobody has the id: a launch for it that was signed before is refused from now on.
    """
    with transaction():
        tenant = tenants.lock(tenant)
        user = users.by_subject(tenant.id, subject)
        if user is not None:
            _remove(tenant, by, user)
        else:
            users.note_removal(tenant.id, subject)
    if user is None:
        raise NotFound
    return user


def _remove(tenant: Tenant, by: User | audit.Actor, user: User) -> None:
    audit.record(tenant, by, "user_removed", audit.shown(user), {"role": user.role})
    users.remove(user)


def sign_out(tenant: Tenant, by: User, user_id: int) -> User:
    """End all of a person's sessions, wherever they are. Raises NotFound."""
    with transaction():
        tenant = tenants.lock(tenant)
        user = get(tenant, user_id)
        user.session_version = new_session_version()
        audit.record(tenant, by, "user_signed_out", audit.shown(user))
    return user


def may_lose(tenant: Tenant, user: User) -> bool:
    """Whether the shop would still have an administrator without this person."""
    return user.role != "admin" or _other_admins(tenant, user) > 0


def _require_another_admin(tenant: Tenant, user: User) -> None:
    if not may_lose(tenant, user):
        raise LastAdmin


def _other_admins(tenant: Tenant, user: User) -> int:
    """Those who have been here: an invitation may never be accepted."""
    query = select(func.count()).where(
        User.tenant_id == tenant.id, User.role == "admin", User.invited_at.is_(None), User.id != user.id
    )
    return db.session.scalar(query) or 0


def _is_too_long_ago(user: User) -> bool:
    return user.launched_at is not None and user.launched_at <= users.vouched_since()


def _check_role(role: str) -> None:
    if role not in TENANT_ROLES:
        raise InvalidField("role", "unknown")
