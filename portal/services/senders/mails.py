"""The mails about a sender address, built at sending: their link has power, so it is kept nowhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from portal.extensions import db
from portal.models import Message, SenderIdentity, Tenant, utcnow
from portal.models.identity import IdentityState
from portal.models.message import Kind
from portal.services.emails import contents, shop_name
from portal.services.errors import NotFound, NotPending
from portal.services.senders import identities, revocations, verification
from portal.transport.mime.addresses import readable_address
from portal.transport.mime.build import MailContent


def request(message: Message) -> MailContent:
    """Whether the shop may send from the address. Raises NotPending when nobody waits for the answer."""
    hours, days = verification.LINK_LIFE // timedelta(hours=1), revocations.PEACE // timedelta(days=1)
    return _built(message, IdentityState.PENDING, hours=hours, days=days)


def confirmed(message: Message) -> MailContent:
    """That it may now, with the way back. Raises NotPending when there is nothing to take back any more."""
    return _built(message, IdentityState.VERIFIED)


def _built(message: Message, state: IdentityState, **more: object) -> MailContent:
    """The mail, as long as the identity is in that state by the link that was newest when the mail was asked for."""
    data: dict[str, Any] = message.data or {}
    tenant = db.session.get_one(Tenant, message.tenant_id, populate_existing=True)
    identity = _identity(tenant, data)
    if identity.state != state or identity.nonce != data["nonce"]:
        raise NotPending
    if state == IdentityState.PENDING and identity.nonce_at + verification.LINK_LIFE <= utcnow():
        raise NotPending  # it waited for longer than its link is good, while the shop was suspended
    about = {"tenant": shop_name.shown(tenant, data["locale"]), "address": readable_address(identity.address)}
    link = verification.link_of(identity)
    return contents.build(Kind(message.kind), message.subject, data["locale"], link=link, **about, **more)


def _identity(tenant: Tenant, data: dict[str, Any]) -> SenderIdentity:
    try:
        return identities.get(tenant, data["identity"])
    except NotFound:
        raise NotPending from None
