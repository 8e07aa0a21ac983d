"""From whom a tenant's mail comes, and by which route: one function, asked at the time of sending."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from portal.config import settings
from portal.extensions import db
from portal.models import Driver, SenderIdentity, Tenant
from portal.models.lane import RELAY
from portal.services import plans
from portal.transport.mime import Mailbox


@dataclass(frozen=True)
class Sender:
    """Who is in From, where bounces go (the reverse-path), and the route that carries it."""

    mailbox: Mailbox
    reverse_path: str
    route: str
    identity_id: int | None = None
    driver_id: int | None = None
    held: bool = False  # the driver can't send now, and the tenant's mail waits for it
    stands_in: bool = False  # the default sender in place of a driver that can't send now

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.mailbox.name,
            "address": self.mailbox.address,
            "reverse_path": self.reverse_path,
            "route": self.route,
            "identity_id": self.identity_id,
            "driver_id": self.driver_id,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Sender:
        return Sender(
            Mailbox(value["name"], value["address"]),
            value["reverse_path"],
            value["route"],
            value["identity_id"],
            value["driver_id"],
        )


def platform_sender(route: str = RELAY) -> Sender:
    """The platform's default address and sender name."""
    mailbox = settings().default_mailbox
    return Sender(mailbox, mailbox.address, route)


def resolve(tenant: Tenant) -> Sender:
    """The sender in force for the tenant's mail, as far as its plan allows."""
    if tenant.sender_mode == "driver" and plans.allows(tenant, "own_driver"):
        driver = db.session.scalar(select(Driver).where(Driver.tenant_id == tenant.id))
        if driver is not None:
            return _by_driver(tenant, driver)
    return without_driver(tenant)


def without_driver(tenant: Tenant) -> Sender:
    """The sender that holds where no driver does."""
    if tenant.identity_id is not None and tenant.sender_mode != "platform" and plans.allows(tenant, "brand_sender"):
        identity = db.session.get(SenderIdentity, tenant.identity_id)
        if identity is not None and identity.state == "verified":
            return brand_sender(identity)
    return platform_sender()


def driver_sender(driver: Driver) -> Sender:
    """The merchant's own account: From and reverse-path are its address, so that SPF and DKIM are its provider's."""
    mailbox = Mailbox(driver.from_name, driver.from_address)
    return Sender(mailbox, driver.from_address, driver.route, driver_id=driver.id)


def _by_driver(tenant: Tenant, driver: Driver) -> Sender:
    if driver.state == "active":
        return driver_sender(driver)
    if tenant.held_mail == "default":
        return replace(platform_sender(), stands_in=True)
    return replace(driver_sender(driver), held=True)


def brand_sender(identity: SenderIdentity) -> Sender:
    """A verified address in From. The reverse-path stays the platform's: bounces return to the relay that SPF names."""
    mailbox = Mailbox(identity.display_name, identity.address)
    return Sender(mailbox, settings().default_mailbox.address, RELAY, identity.id)


def still_allowed(tenant: Tenant, sender: Sender) -> bool:
    """Whether a sender recorded earlier may still be used by the tenant."""
    if sender.driver_id is not None:
        now = resolve(tenant)
        return not now.held and (now.driver_id, now.mailbox.address) == (sender.driver_id, sender.mailbox.address)
    if sender.identity_id is None:
        return sender.mailbox.address == settings().default_mailbox.address
    identity = db.session.get(SenderIdentity, sender.identity_id)
    return (
        identity is not None
        and identity.tenant_id == tenant.id
        and identity.state == "verified"
        and identity.address == sender.mailbox.address
    )
