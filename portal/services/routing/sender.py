"""From whom a tenant's mail comes, and by which route: one function, asked at the time of sending."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select

from portal.config import settings
from portal.db.prepared import Statement
from portal.extensions import db
from portal.models import Driver, SenderIdentity, Tenant
from portal.models.driver import DriverState
from portal.models.route import INTERACTIVE, RELAY, Route
from portal.models.tenant import PLATFORM_ID, TenantState
from portal.reasons import Reason
from portal.services import entitlements
from portal.services.routing import daily_limit
from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.recipients import read_stored


@dataclass(frozen=True)
class Sender:
    """Who is in From, where answers go, where bounces go (the reverse-path), and the route that carries it.

    `reply_to` holds where the message names nobody; without it answers go to From.
    """

    mailbox: Mailbox
    reverse_path: str
    route: Route
    identity_id: int | None = None
    driver_id: int | None = None
    held_reason: str | None = None  # why the tenant's mail waits: its driver, its limit, its suspension; or None
    stands_in: bool = False  # the default sender in place of a driver that can't send now
    reply_to: Mailbox | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.mailbox.name,
            "address": self.mailbox.address,
            "reverse_path": self.reverse_path,
            "route": self.route,
            "identity_id": self.identity_id,
            "driver_id": self.driver_id,
            "reply_to": self.reply_to and self.reply_to.as_header(),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Sender:
        return Sender(
            Mailbox(value["name"], value["address"]),
            value["reverse_path"],
            Route(value["route"]),
            value["identity_id"],
            value["driver_id"],
            reply_to=read_stored(value.get("reply_to")),
        )


class Facts(NamedTuple):
    """All that a tenant's sender depends on, beside the platform's settings."""

    plan: str
    mode: str  # platform, brand, driver
    held_mail: str
    identity_id: int | None
    identity_state: str | None
    identity_address: str
    identity_name: str
    driver_id: int | None
    driver_state: str | None
    driver_reason: str | None  # why its provider refuses it; None where a person paused it
    driver_address: str
    driver_name: str
    state: str  # of the tenant: active, suspended


_COLUMNS = {
    "plan": Tenant.plan,
    "mode": Tenant.sender_mode,
    "held_mail": Tenant.held_mail,
    "identity_id": SenderIdentity.id,
    "identity_state": SenderIdentity.state,
    "identity_address": SenderIdentity.address,
    "identity_name": SenderIdentity.display_name,
    "driver_id": Driver.id,
    "driver_state": Driver.state,
    "driver_reason": Driver.reason,
    "driver_address": Driver.from_address,
    "driver_name": Driver.from_name,
    "state": Tenant.state,
}
_LOOK_UP = (
    select(*(_COLUMNS[name].label(name) for name in Facts._fields))
    .select_from(Tenant)
    .outerjoin(SenderIdentity, SenderIdentity.id == Tenant.identity_id)
    .outerjoin(Driver, Driver.tenant_id == Tenant.id)
)
_FACTS = Statement(_LOOK_UP.where(Tenant.id == bindparam("tenant")))
_SHOP = Statement(_LOOK_UP.add_columns(Tenant.id).where(Tenant.external_id == bindparam("external_id")))


class Shop(NamedTuple):
    """A tenant as mail is accepted for it."""

    id: int
    facts: Facts


def find_shop(external_id: str) -> Shop | None:
    """The tenant that the platform knows by this id; None for its own log, too, which takes no mail from outside."""
    found = _SHOP.here(external_id=external_id) if external_id != PLATFORM_ID else []
    return Shop(found[0][-1], Facts._make(found[0][:-1])) if found else None


def resolve(tenant: Tenant | Shop) -> Sender:
    """The sender in force for the tenant's mail, as far as its plan allows and its daily limit isn't used up."""
    return in_force(Shop(tenant.id, _here(tenant.id)))


def in_force(shop: Shop) -> Sender:
    """The same by facts that were just read."""
    sender = decide(shop.facts)
    if sender.route == RELAY and sender.held_reason is None and daily_limit.room(shop.id, shop.facts.plan) == 0:
        return replace(sender, held_reason=Reason.PLAN_DAILY_LIMIT)
    return sender


def facts(tenant_id: int) -> Facts:
    """The same by the drain's own connection: as committed, at the cost of one look-up.

    Without the daily limit: what was claimed is within it.
    """
    row = _FACTS.row(tenant=tenant_id)
    assert row is not None, "a tenant is never deleted"
    return Facts._make(row)


def decide(given: Facts) -> Sender:
    """Who mail comes from, where these facts hold, and whether it waits."""
    sender = _chosen(given)
    return _held(sender) if given.state == TenantState.SUSPENDED else sender


def interactive(given: Facts) -> Sender:
    """Whom mail that people wait for comes from: the platform, whatever the tenant has chosen. It waits only while the
    tenant is suspended.
    """
    sender = platform_sender(INTERACTIVE)
    return _held(sender) if given.state == TenantState.SUSPENDED else sender


def _held(sender: Sender) -> Sender:
    return replace(sender, held_reason=Reason.TENANT_SUSPENDED, stands_in=False)


def _chosen(given: Facts) -> Sender:
    if given.mode == "driver" and given.driver_id is not None and entitlements.has(given.plan, "own_driver"):
        mailbox = Mailbox(given.driver_name, given.driver_address)
        # From and reverse-path are the account's own, so that SPF and DKIM are its provider's.
        sender = Sender(mailbox, given.driver_address, Route.of_driver(given.driver_id), driver_id=given.driver_id)
        if given.driver_state == DriverState.ACTIVE:
            return sender
        if given.held_mail != "default":
            return replace(sender, held_reason=given.driver_reason or Reason.DRIVER_PAUSED)
        return replace(platform_sender(), stands_in=True, reply_to=mailbox)
    return _without_driver(given)


def without_driver(tenant: Tenant) -> Sender:
    """The sender that holds where no driver does."""
    return _without_driver(_here(tenant.id))


def _here(tenant_id: int) -> Facts:
    (row,) = _FACTS.here(tenant=tenant_id)
    return Facts._make(row)


def _without_driver(given: Facts) -> Sender:
    if given.mode != "platform" and given.identity_state == "verified" and entitlements.has(given.plan, "brand_sender"):
        # The reverse-path stays the platform's: bounces return to the relay that SPF names.
        mailbox = Mailbox(given.identity_name, given.identity_address)
        return Sender(mailbox, settings().default_mailbox.address, RELAY, given.identity_id)
    return platform_sender()


def platform_sender(route: Route = RELAY) -> Sender:
    """The platform's default address and sender name."""
    mailbox = settings().default_mailbox
    return Sender(mailbox, mailbox.address, route)


def still_allowed(tenant_id: int, sender: Sender, in_force: Sender) -> bool:
    """Whether a sender recorded earlier may still be used by the tenant, whose sender is `in_force` now."""
    if sender.driver_id is not None:
        same = (in_force.driver_id, in_force.mailbox.address) == (sender.driver_id, sender.mailbox.address)
        return same and in_force.held_reason is None
    if sender.identity_id is None:
        return sender.mailbox.address == settings().default_mailbox.address
    identity = db.session.get(SenderIdentity, sender.identity_id, populate_existing=True)
    return (
        identity is not None
        and identity.tenant_id == tenant_id
        and identity.state == "verified"
        and identity.address == sender.mailbox.address
    )
