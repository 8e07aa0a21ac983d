"""From whom a tenant's mail comes, and by which route: one function, asked at the time of sending."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from portal.config import settings
from portal.extensions import db
from portal.models import SenderIdentity, Tenant
from portal.models.lane import RELAY
from portal.transport.mime import Mailbox


@dataclass(frozen=True)
class Sender:
    """Who is in From, where bounces go (the reverse-path), and the route that carries it."""

    mailbox: Mailbox
    reverse_path: str
    route: str
    identity_id: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.mailbox.name,
            "address": self.mailbox.address,
            "reverse_path": self.reverse_path,
            "route": self.route,
            "identity_id": self.identity_id,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Sender:
        return Sender(
            Mailbox(value["name"], value["address"]), value["reverse_path"], value["route"], value["identity_id"]
        )


def platform_sender(route: str = RELAY) -> Sender:
    """The platform's default address and sender name."""
    mailbox = settings().default_mailbox
    return Sender(mailbox, mailbox.address, route)


def resolve(tenant: Tenant) -> Sender:
    """The sender in force for the tenant's mail."""
    if tenant.sender_mode == "brand" and tenant.identity_id is not None:
        identity = db.session.get(SenderIdentity, tenant.identity_id)
        if identity is not None and identity.state == "verified":
            return brand_sender(identity)
    return platform_sender()


def brand_sender(identity: SenderIdentity) -> Sender:
    """A verified address in From. The reverse-path stays the platform's: bounces return to the relay that SPF names."""
    mailbox = Mailbox(identity.display_name, identity.address)
    return Sender(mailbox, settings().default_mailbox.address, RELAY, identity.id)


def still_allowed(tenant: Tenant, sender: Sender) -> bool:
    """Whether a sender recorded earlier may still be used by the tenant."""
    if sender.identity_id is None:
        return sender.mailbox.address == settings().default_mailbox.address
    identity = db.session.get(SenderIdentity, sender.identity_id)
    return (
        identity is not None
        and identity.tenant_id == tenant.id
        and identity.state == "verified"
        and identity.address == sender.mailbox.address
    )
