"""Verification: whether an address is the tenant's, asked by a mailed link whose page has a button."""

from __future__ import annotations

import hashlib
import logging
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import select, update

from portal.config import settings
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import SenderIdentity, Tenant, User, utcnow
from portal.models.identity import TakenBackBy, new_nonce
from portal.models.message import Kind
from portal.models.route import INTERACTIVE
from portal.models.tenant import TenantState
from portal.services import audit, entitlements, limits, sender_rules
from portal.services.accounts import tenants
from portal.services.emails import contents, shop_name
from portal.services.errors import InvalidField, NotPending, SendLimit, TakenBack
from portal.services.limits import Cause
from portal.services.outbox import accept as outbox
from portal.services.senders import identities, revocations
from portal.transport.mime import names
from portal.transport.mime.addresses import InvalidAddress

LINK_LIFE = timedelta(hours=24)
_SALT = "sender-verification"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VerificationLink:
    """What a link leads to.

    `state`: pending, confirmed, already_confirmed, expired, superseded, cancelled, taken_back, invalid; suspended: its
    shop is.
    """

    state: str
    identity: SenderIdentity | None = None
    tenant: Tenant | None = None
    may_take_back: bool = False


def start_verification(tenant: Tenant, user: User, address: str, display_name: str) -> SenderIdentity:
    """Ask whether `address` is the tenant's; the sender in force stays so until its button is pressed.

    An address that the tenant has verified before is in force at once, under the new name: the identity returned is
    then `verified`. Raises InvalidField, SendLimit, TakenBack and PlanLocked.
    """
    entitlements.require(tenant, "brand_sender")
    address, display_name = _checked(address, display_name, tenant)
    key = identities.address_key(address)
    with transaction() as session:
        tenant = tenants.lock(tenant)
        identity = identities.find(tenant, key)
        if identity is not None and identity.state == "verified":
            identity.display_name = display_name
            identities.put_in_force(tenant, identity, user, "sender_chosen")
            return identity
        if until := revocations.until(tenant, address):
            raise TakenBack(until)
        _count(tenant, key)
        session.execute(
            update(SenderIdentity)
            .where(SenderIdentity.tenant_id == tenant.id, SenderIdentity.state == "pending")
            .values(state="revoked")
        )
        if identity is None:
            identity = SenderIdentity(tenant_id=tenant.id, address_key=key)
            session.add(identity)
        identity.address, identity.display_name, identity.state = address, display_name, "pending"
        _send(tenant, identity, user.locale or tenant.locale)
        audit.record(tenant, user, "sender_started", address, after={"display_name": display_name})
    return identity


def resend_verification(tenant: Tenant, user: User, identity_id: int) -> SenderIdentity:
    """Send the mail again with a new link; older links are dead. Raises NotFound, NotPending, SendLimit."""
    with transaction():
        tenant = tenants.lock(tenant)
        identity = identities.get(tenant, identity_id)
        if identity.state != "pending":
            raise NotPending
        _count(tenant, identity.address_key)
        _send(tenant, identity, user.locale or tenant.locale)
        audit.record(tenant, user, "sender_resent", identity.address)
    return identity


def cancel_pending(tenant: Tenant, user: User, identity_id: int) -> None:
    """Give up a change that was not confirmed yet. Raises NotFound, NotPending."""
    with transaction():
        tenant = tenants.lock(tenant)
        identity = identities.get(tenant, identity_id)
        if identity.state != "pending":
            raise NotPending
        identity.state = "revoked"
        audit.record(tenant, user, "sender_cancelled", identity.address)


def next_possible(tenant: Tenant, address_key: str) -> datetime | None:
    """When the next mail to this address may be asked for; None: now."""
    return limits.next_possible(Cause.VERIFICATION, limits.mailbox_of(address_key), tenant)


def read_link(token: str) -> VerificationLink:
    """What the page behind a link says. Changes nothing: scanners open links and run scripts."""
    try:
        claim = _serializer().loads(token)
        identity = db.session.get(SenderIdentity, claim["i"], populate_existing=True)
    except (BadData, KeyError, TypeError):
        return VerificationLink("invalid")
    if identity is None or _address_digest(identity) != claim["a"]:
        return VerificationLink("invalid")
    tenant = db.session.get_one(Tenant, identity.tenant_id)
    state = _link_state(tenant, identity, claim)
    # Only the newest link: who read the mailbox some time ago has no say in it for good.
    newest = secrets.compare_digest(identity.nonce, str(claim["n"]))
    if tenant.state == TenantState.SUSPENDED and state != "taken_back":
        state = "suspended"
    return VerificationLink(state, identity, tenant, newest and state != "taken_back")


def confirm(token: str) -> VerificationLink:
    """The button: the address is verified and, from now on, the sender of all the tenant's mail."""
    with transaction():
        link = read_link(token)
        if link.state != "pending":
            return link
        assert link.tenant is not None and link.identity is not None
        tenant = tenants.lock(link.tenant)
        link = read_link(token)  # again, now that nobody else can change it
        if link.state != "pending":
            return link
        assert link.identity is not None
        link.identity.state = "verified"
        link.identity.verified_at = utcnow()
        by = audit.by_recipient(link.identity.address)
        identities.put_in_force(tenant, link.identity, by, "sender_confirmed")
        with suppress(SendLimit):
            limits.count(Cause.SENDER_CONFIRMED, limits.mailbox_of(link.identity.address_key), tenant)
            _mail(Kind.SENDER_CONFIRMED, tenant, link.identity, tenant.locale)
    return VerificationLink("confirmed", link.identity, tenant, may_take_back=True)


def take_back(token: str) -> VerificationLink:
    """*I didn't ask for this*: the request ends, or the verified address is revoked; and the tenant can't ask again.

    Not for as long as revocations.PEACE, for any address of the same mailbox.
    """
    with transaction():
        link = read_link(token)
        if not link.may_take_back:
            return link
        assert link.tenant is not None
        tenant = tenants.lock(link.tenant)
        link = read_link(token)  # again, now that nobody else can change it
        if not link.may_take_back:
            return link
        assert link.identity is not None
        identities.revoke(tenant, link.identity, audit.by_recipient(link.identity.address), "sender_objected")
        _end_pending(tenant, limits.mailbox_of(link.identity.address_key))
        revocations.note(tenant, link.identity.address, TakenBackBy.RECIPIENT)
    log.warning("a recipient took an address back", extra={"fields": {"tenant": tenant.id}})
    return VerificationLink("taken_back", link.identity, tenant)


def resend_from_link(token: str) -> VerificationLink:
    """Send a new mail to whoever holds an authentic link that has expired. Raises NotPending, SendLimit."""
    with transaction():
        link = read_link(token)
        if link.state != "expired" or link.tenant is None or link.identity is None:
            raise NotPending
        tenant = tenants.lock(link.tenant)
        _count(tenant, link.identity.address_key)
        _send(tenant, link.identity, tenant.locale)
        audit.record(tenant, audit.by_recipient(link.identity.address), "sender_resent", link.identity.address)
    return VerificationLink("pending", link.identity, tenant)


def link_of(identity: SenderIdentity) -> str:
    """The page of its newest link: the same whenever a mail is made."""
    return f"{settings().base_url}/verify/{_token(identity)}"


def _checked(address: str, display_name: str, tenant: Tenant) -> tuple[str, str]:
    try:
        address = sender_rules.check_address(address)
    except InvalidAddress as error:
        raise InvalidField("address", error.reason) from None
    try:
        return address, sender_rules.check_name(display_name if display_name.strip() else names.shown(tenant.name))
    except InvalidAddress as error:
        raise InvalidField("display_name", error.reason) from None


def _count(tenant: Tenant, address_key: str) -> None:
    """Count one mail against the limits. Within a transaction; raises SendLimit."""
    limits.count(Cause.VERIFICATION, limits.mailbox_of(address_key), tenant)


def _send(tenant: Tenant, identity: SenderIdentity, locale: str) -> None:
    identity.nonce, identity.nonce_at = new_nonce(), utcnow()
    db.session.flush()
    _mail(Kind.VERIFICATION, tenant, identity, locale)


def _mail(kind: Kind, tenant: Tenant, identity: SenderIdentity, locale: str) -> None:
    outbox.accept(
        tenant,
        kind=kind,
        to=identity.address,
        subject=contents.subject(kind, locale, tenant=shop_name.shown(tenant, locale)),
        data={"identity": identity.id, "nonce": identity.nonce, "locale": locale},
        route=INTERACTIVE,
    )


def _end_pending(tenant: Tenant, mailbox: str) -> None:
    """Whatever else was asked of this mailbox."""
    pending = db.session.scalar(
        select(SenderIdentity).where(SenderIdentity.tenant_id == tenant.id, SenderIdentity.state == "pending")
    )
    if pending is not None and limits.mailbox_of(pending.address_key) == mailbox:
        pending.state = "revoked"


def _token(identity: SenderIdentity) -> str:
    """Bound to the identity, its address, its nonce and that one's time: the same whenever the mail is made."""
    claim = {
        "i": identity.id,
        "a": _address_digest(identity),
        "n": identity.nonce,
        "t": int(identity.nonce_at.timestamp()),
    }
    return str(_serializer().dumps(claim))


def _address_digest(identity: SenderIdentity) -> str:
    """Binds a link to the address without carrying it: addresses stay out of URLs."""
    return hashlib.sha256(identity.address.encode()).hexdigest()[:16]


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(settings().secret_key, salt=_SALT)


def _link_state(tenant: Tenant, identity: SenderIdentity, claim: dict[str, Any]) -> str:
    if identity.state == "verified":
        return "already_confirmed"
    if identity.state == "revoked":
        return "taken_back" if revocations.by_recipient(tenant, identity.address) else "cancelled"
    if not secrets.compare_digest(identity.nonce, str(claim["n"])):
        return "superseded"
    if datetime.fromtimestamp(claim["t"], UTC) + LINK_LIFE <= utcnow():
        return "expired"
    return "pending"
