"""Send again: a new message with what an ended one said, linked to it, by the sender in force now."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from sqlalchemy import select

from portal.db.transaction import serialize, transaction
from portal.extensions import db
from portal.models import LogEntry, Message, MessageBody, Tenant, User
from portal.models.message import ENDED, PLATFORM_KINDS
from portal.models.route import INTERACTIVE
from portal.services import audit
from portal.services.errors import NotResendable
from portal.services.outbox import accept as outbox
from portal.services.outbox import attachments, message_log
from portal.transport.mime.addresses import Mailbox, parse_mailbox

# Not verification and driver tests: their mail is built at sending, and has a way of its own to be sent again.
KINDS = (*PLATFORM_KINDS, "notice")
_MOST_SHOWN = 20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Links:
    """What an opened message has to do with others."""

    original: Message | None = None
    copies: list[Message] = field(default_factory=list)  # the newest first
    offered: bool = False  # whether it can be sent again


def links(tenant: Tenant, message: Message) -> Links:
    """The message that this one repeats, those that repeat it, and whether there may be another."""
    original = None
    if message.resent_of is not None:
        query = select(Message).where(Message.id == message.resent_of, Message.tenant_id == tenant.id)
        original = db.session.scalar(query)
    return Links(original, _copies(tenant, message, _MOST_SHOWN), _refusal(message) is None)


def look(tenant: Tenant, public_id: str) -> tuple[Message, Message | None]:
    """A message that can be sent again, and the newest one that repeats it. Raises NotFound, NotResendable."""
    message = message_log.get_message(tenant, public_id)
    if reason := _refusal(message):
        raise NotResendable(reason)
    return message, next(iter(_copies(tenant, message, 1)), None)


def send_again(tenant: Tenant, user: User, public_id: str, known: str) -> tuple[Message, bool]:
    """Make the new message. Returns it and True; or, where one was made meanwhile, that one and False.

    `known` is the public id of the newest copy that the reader's page knew of, "" for none: a form that comes twice
    makes one copy, because the second time there is a copy which its page didn't know. Raises NotFound, NotResendable.
    """
    with transaction() as session:
        serialize(f"resend:{public_id}")
        message, newest = look(tenant, public_id)
        if (newest.public_id if newest else "") != known:
            return newest or message, False
        body = session.get_one(MessageBody, message.id)
        reply_to = parse_mailbox(body.reply_to) if body.reply_to else None
        copy = outbox.accept(
            tenant, kind=message.kind, to=Mailbox(body.to_name or "", message.to_address),
            subject=message.subject, reply_to=reply_to, **{name: getattr(body, name) for name in outbox.SAID},
            attachments=attachments.load(message.id) if body.attachments else (),
            route=INTERACTIVE if message.kind == "notice" else None, resent_of=message.id,
            reference=message.reference, remarks=message.remarks,
        )  # fmt: skip
        about = {"tenant_id": tenant.id, "message_id": message.id}
        session.add(LogEntry(**about, event="resent", text=user.email))
        audit.record(tenant, user, "sent_again", message.public_id, after={"message": copy.public_id})
    log.info("message %s sent again as %s by user %s", message.public_id, copy.public_id, user.id)
    return copy, True


def _copies(tenant: Tenant, message: Message, most: int) -> list[Message]:
    query = select(Message).where(Message.resent_of == message.id, Message.tenant_id == tenant.id)
    return list(db.session.scalars(query.order_by(Message.id.desc()).limit(most)))


def _refusal(message: Message) -> str | None:
    """Why it can't be sent again: not_ended, kind, or gone (its text is no longer stored)."""
    if message.kind not in KINDS:
        return "kind"
    if message.state not in ENDED:
        return "not_ended"
    stored = db.session.scalar(select(MessageBody.message_id).where(MessageBody.message_id == message.id))
    return None if stored else "gone"
