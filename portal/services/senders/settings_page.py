"""What the settings page shows: the sender in force, what is pending, and what else there is to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from portal.db.bounded_count import count_up_to
from portal.extensions import db
from portal.models import Driver, Lane, Message, Revocation, SenderIdentity, Tenant, utcnow
from portal.models.message import State
from portal.reasons import Reason
from portal.services import entitlements
from portal.services.drivers import lifecycle, quota
from portal.services.drivers.quota import Usage
from portal.services.routing import daily_limit
from portal.services.routing import sender as senders
from portal.services.routing.daily_limit import MOST_COUNTED, DailyLimit
from portal.services.senders import revocations, verification
from portal.transport.mime.addresses import Mailbox


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

    mode: str  # the sender in force: platform, brand, driver
    chosen_mode: str  # what was chosen: differs from `mode` while the plan no longer has it
    from_name: str
    from_address: str
    default_from_header: str
    active: SenderIdentity | None
    pending: Pending | None
    choices: list[SenderIdentity]  # verified earlier, not in force
    brand_allowed: bool
    driver_allowed: bool
    stands_in: bool  # the default sender, in place of a driver that can't send now
    daily_limit: DailyLimit | None  # used up: mail waits for the next day; None: there is room
    taken_back: list[Revocation]  # addresses that can't be asked for again yet

    @property
    def from_header(self) -> str:
        """As a person reads it."""
        return str(Mailbox(self.from_name, self.from_address))


@dataclass(frozen=True)
class DriverStatus:
    """The stored driver and how it is doing."""

    driver: Driver
    in_force: bool
    usage: Usage
    waits_until: datetime | None  # backing off until then
    waits_for: str | None  # why: a reason key
    held: int  # messages that wait for it; of more than MOST_COUNTED only one is counted


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
    by_driver = sender.driver_id is not None or sender.stands_in
    return SenderSettings(
        mode="driver" if by_driver else "brand" if active else "platform",
        chosen_mode=tenant.sender_mode,
        from_name=sender.mailbox.name,
        from_address=sender.mailbox.address,
        default_from_header=str(senders.platform_sender().mailbox),
        active=active,
        pending=_pending(tenant, pending) if pending else None,
        choices=[row for row in rows if row.state == "verified" and row is not active],
        brand_allowed=entitlements.allows(tenant, "brand_sender"),
        driver_allowed=entitlements.allows(tenant, "own_driver"),
        stands_in=sender.stands_in,
        daily_limit=daily_limit.status(tenant) if sender.held_reason == Reason.PLAN_DAILY_LIMIT else None,
        taken_back=revocations.shown(tenant),
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


def driver_status(tenant: Tenant) -> DriverStatus | None:
    """The tenant's driver, or None when it has none."""
    driver = lifecycle.find(tenant)
    if driver is None:
        return None
    lane = db.session.scalar(select(Lane).where(Lane.route == driver.route).execution_options(populate_existing=True))
    waits = lane is not None and lane.not_before is not None and lane.not_before > utcnow()
    in_force = senders.resolve(tenant).driver_id == driver.id
    return DriverStatus(
        driver=driver,
        in_force=in_force,
        usage=quota.usage(driver),
        waits_until=lane.not_before if lane is not None and waits else None,
        waits_for=lane.reason if lane is not None and waits else None,
        held=_held(tenant) if in_force else 0,
    )


def _held(tenant: Tenant) -> int:
    """What was set aside waits for the operator, not for the driver."""
    held = Message.state == State.HELD, Message.reason.is_distinct_from(Reason.SET_ASIDE)
    return count_up_to(MOST_COUNTED + 1, select(Message.id).where(Message.tenant_id == tenant.id, *held))
