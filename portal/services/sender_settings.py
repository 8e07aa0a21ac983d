"""What the settings page shows: the sender in force, what is pending, and what else there is to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from portal.extensions import db
from portal.models import Message, SenderIdentity, Tenant, utcnow
from portal.services import senders, verification


@dataclass(frozen=True)
class Pending:
    """A change that waits for its confirmation."""

    identity: SenderIdentity
    message: Message | None  # the last verification mail: its state shows whether it went out
    resend_at: datetime | None  # None: now
    expires_at: datetime
    expired: bool


@dataclass(frozen=True)
class SenderSettings:
    """What the settings page shows."""

    mode: str  # platform, brand, driver
    from_name: str
    from_address: str
    default_from_header: str
    active: SenderIdentity | None
    pending: Pending | None
    choices: list[SenderIdentity]  # verified earlier, not in force
    brand_allowed: bool

    @property
    def from_header(self) -> str:
        return f"{self.from_name} <{self.from_address}>" if self.from_name else self.from_address


def sender_settings(tenant: Tenant) -> SenderSettings:
    """The sender in force, what is pending, and what else there is to choose from."""
    sender = senders.resolve(tenant)
    rows = db.session.scalars(
        select(SenderIdentity)
        .where(SenderIdentity.tenant_id == tenant.id, SenderIdentity.state != "revoked")
        .order_by(SenderIdentity.address)
    ).all()
    active = next((row for row in rows if row.id == sender.identity_id), None)
    pending = next((row for row in rows if row.state == "pending"), None)
    return SenderSettings(
        mode="brand" if active else "platform",
        from_name=sender.mailbox.name,
        from_address=sender.mailbox.address,
        default_from_header=str(senders.platform_sender().mailbox),
        active=active,
        pending=_pending(tenant, pending) if pending else None,
        choices=[row for row in rows if row.state == "verified" and row is not active],
        brand_allowed=True,
    )


def _pending(tenant: Tenant, identity: SenderIdentity) -> Pending:
    mail = db.session.scalar(
        select(Message)
        .where(Message.tenant_id == tenant.id, Message.kind == "verification", Message.to_address == identity.address)
        .order_by(Message.id.desc())
        .limit(1)
    )
    expires_at = identity.nonce_at + verification.LINK_LIFE
    return Pending(
        identity=identity,
        message=mail,
        resend_at=verification.next_possible(tenant, identity.address_key),
        expires_at=expires_at,
        expired=expires_at <= utcnow(),
    )
