"""Sender identities: a tenant's verified addresses, and choosing among them."""

from __future__ import annotations

from sqlalchemy import select

from portal.db.bounded_count import count_up_to
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Message, SenderIdentity, Tenant, User
from portal.models.base import MAX_ID
from portal.models.identity import IdentityState, TakenBackBy
from portal.models.message import WAITING, State
from portal.models.route import RELAY
from portal.models.tenant import SenderMode
from portal.services import audit, entitlements
from portal.services.accounts import tenants
from portal.services.errors import NotFound, NotVerified
from portal.services.routing import sender as senders
from portal.services.routing.daily_limit import MOST_COUNTED
from portal.services.routing.reroute import reroute
from portal.services.senders import revocations


def use_identity(tenant: Tenant, user: User, identity_id: int) -> SenderIdentity:
    """Send from an address verified earlier. Raises NotFound, NotVerified."""
    entitlements.require(tenant, "brand_sender")
    with transaction():
        tenant = tenants.lock(tenant)
        identity = get_verified(tenant, identity_id)
        put_in_force(tenant, identity, user, "sender_chosen")
    return identity


def use_default(tenant: Tenant, user: User) -> None:
    """Send from the platform's default address again; verified addresses stay to be chosen."""
    with transaction():
        tenant = tenants.lock(tenant)
        before = _sender(tenant)
        tenant.sender_mode, tenant.identity_id = "platform", None
        audit.record(tenant, user, "sender_default", before=before, after=_sender(tenant))
        reroute(tenant)


def put_in_force(tenant: Tenant, identity: SenderIdentity, by: User | audit.Actor, action: str) -> None:
    """Make a verified identity the sender of all mail not sent yet. Within a transaction that holds the tenant.

    `action` is what the audit trail calls it.
    """
    before = _sender(tenant)
    tenant.sender_mode, tenant.identity_id = "brand", identity.id
    audit.record(tenant, by, action, identity.address, before, _sender(tenant))
    reroute(tenant)


def remove(tenant: Tenant, user: User, identity_id: int) -> SenderIdentity:
    """Give up a verified address; mail not sent yet goes from the default sender. Raises NotFound, NotVerified."""
    with transaction():
        tenant = tenants.lock(tenant)
        identity = get_verified(tenant, identity_id)
        revoke(tenant, identity, user, "sender_removed")
    return identity


def revoke_as_support(tenant: Tenant, staff: User, identity_id: int) -> SenderIdentity:
    """Take a verified address back from a tenant, which can't ask for it again for a while.

    Raises NotFound, NotVerified.
    """
    with transaction():
        tenant = tenants.lock(tenant)
        identity = get_verified(tenant, identity_id)
        revoke(tenant, identity, staff, "sender_revoked")
        revocations.note(tenant, identity.address, TakenBackBy.SUPPORT)
    return identity


def revoke(tenant: Tenant, identity: SenderIdentity, by: User | audit.Actor, action: str) -> None:
    """End an identity, pending or verified, in force or not. Within a transaction that holds the tenant.

    `action` is what the audit trail calls it.
    """
    before = _sender(tenant)
    identity.state = IdentityState.REVOKED
    if tenant.identity_id == identity.id:
        tenant.identity_id = None
        if tenant.sender_mode == SenderMode.BRAND:
            tenant.sender_mode = SenderMode.PLATFORM
    after = _sender(tenant)
    changed = (before, after) if before != after else ({}, {})
    audit.record(tenant, by, action, identity.address, *changed)
    reroute(tenant)


def waiting(tenant: Tenant, identity: SenderIdentity) -> int:
    """How many emails not sent yet would go from the address; of more than MOST_COUNTED only one is counted."""
    if senders.resolve(tenant).identity_id != identity.id:
        return 0
    waiting = select(Message.id).where(
        Message.tenant_id == tenant.id, Message.route == RELAY, Message.state.in_((*WAITING, State.HELD))
    )
    return count_up_to(MOST_COUNTED + 1, waiting)


def get_verified(tenant: Tenant, identity_id: int) -> SenderIdentity:
    """The tenant's identity, if it is verified. Raises NotFound, NotVerified."""
    identity = get(tenant, identity_id)
    if identity.state != IdentityState.VERIFIED:
        raise NotVerified
    return identity


def _sender(tenant: Tenant) -> dict[str, str]:
    """The sender in force, for the audit trail."""
    db.session.flush()
    return {"sender": str(senders.resolve(tenant).mailbox)}


def get(tenant: Tenant, identity_id: int) -> SenderIdentity:
    """The tenant's identity as it is now. Raises NotFound."""
    if identity_id > MAX_ID:
        raise NotFound
    identity = db.session.scalar(
        select(SenderIdentity)
        .where(SenderIdentity.id == identity_id, SenderIdentity.tenant_id == tenant.id)
        .execution_options(populate_existing=True)
    )
    if identity is None:
        raise NotFound
    return identity


def find(tenant: Tenant, key: str) -> SenderIdentity | None:
    """The tenant's identity of this address, in whatever state."""
    return db.session.scalar(
        select(SenderIdentity)
        .where(SenderIdentity.tenant_id == tenant.id, SenderIdentity.address_key == key)
        .execution_options(populate_existing=True)
    )


def address_key(address: str) -> str:
    """One mailbox, however it is typed. RFC 5321 allows case-sensitive local parts; nobody runs them."""
    return address.lower()
