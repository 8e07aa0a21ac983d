"""Send again: a new message with what an ended one said, linked to it, by the sender in force now."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from sqlalchemy import func, select

from portal.db.transaction import serialize, transaction
from portal.extensions import db
from portal.models import LogEntry, Message, MessageBody, Tenant, User
from portal.models.message import ENDED, PLATFORM_KINDS
from portal.models.route import INTERACTIVE
from portal.services import audit, limits
from portal.services.errors import NotResendable
from portal.services.limits import Cause
from portal.services.outbox import accept as outbox
from portal.services.outbox import attachments, message_log
from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.recipients import read_stored

# Not verification and driver tests: their mail is built at sending, and has a way of its own to be sent again.
KINDS = (*PLATFORM_KINDS, "notice")
MOST_COPIES = 3  # of one message, whichever of them is sent again
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
    copies = _copies(tenant, message.id, _MOST_SHOWN)
    return Links(original, copies, (_refusal(message) or _refusal_of_copies(tenant, message)) is None)


def look(tenant: Tenant, public_id: str) -> tuple[Message, Message | None]:
    """A message that can be sent again, and the newest copy of it or its like. Raises NotFound, NotResendable."""
    message = message_log.get_message(tenant, public_id)
    if reason := _refusal(message) or _refusal_of_copies(tenant, message):
        raise NotResendable(reason)
    return message, _newest(tenant, message)


def send_again(tenant: Tenant, user: User, public_id: str, known: str) -> tuple[Message, bool]:
    """Make the new message. Returns it and True; or, where one was made meanwhile, that one and False.

    `known` is the public id of the newest copy that the reader's page knew of, "" for none: a form that comes twice
    makes one copy, because the second time there is a copy which its page didn't know. A copy that is sent again makes
    one more of the first message. Raises NotFound, NotResendable, SendLimit.
    """
    message_log.get_message(tenant, public_id)  # whatever else stands in a URL is no name for a lock
    with transaction() as session:
        message = message_log.get_message(tenant, public_id)
        serialize(f"resend:{_first(message)}")
        newest = _newest(tenant, message)
        if (newest.public_id if newest else "") != known and _refusal(message) is None:
            return newest or message, False
        look(tenant, public_id)
        limits.count(Cause.SEND_AGAIN, limits.mailbox_of(message.to_address), tenant)
        body = session.get_one(MessageBody, message.id)
        copy = outbox.accept(
            tenant, kind=message.kind, to=Mailbox(body.to_name or "", message.to_address),
            subject=message.subject, reply_to=read_stored(body.reply_to),
            **{name: getattr(body, name) for name in outbox.SAID},
            attachments=attachments.load(message.id) if body.attachments else (),
            route=INTERACTIVE if message.kind == "notice" else None, resent_of=_first(message),
            reference=message.reference, remarks=message.remarks,
        )  # fmt: skip
        about = {"tenant_id": tenant.id, "message_id": message.id}
        session.add(LogEntry(**about, event="resent", text=user.email))
        audit.record(tenant, user, "sent_again", message.public_id, after={"message": copy.public_id})
    log.info("message %s sent again as %s by user %s", message.public_id, copy.public_id, user.id)
    return copy, True


def _first(message: Message) -> int:
    """The id of the message that this one repeats, or its own: what all copies of one message have in common."""
    return message.resent_of or message.id


def _newest(tenant: Tenant, message: Message) -> Message | None:
    return next(iter(_copies(tenant, _first(message), 1)), None)


def _copies(tenant: Tenant, first: int, most: int) -> list[Message]:
    query = select(Message).where(Message.resent_of == first, Message.tenant_id == tenant.id)
    newest_first = query.order_by(Message.id.desc()).limit(most).execution_options(populate_existing=True)
    return list(db.session.scalars(newest_first))


def _refusal(message: Message) -> str | None:
    """Why it can't be sent again: not_ended, kind, or gone (its text is no longer stored)."""
    if message.kind not in KINDS:
        return "kind"
    if message.state not in ENDED:
        return "not_ended"
    stored = db.session.scalar(select(MessageBody.message_id).where(MessageBody.message_id == message.id))
    return None if stored else "gone"


def _refusal_of_copies(tenant: Tenant, message: Message) -> str | None:
    """Why there can't be one more copy: copy_not_ended, or often."""
    newest = _newest(tenant, message)
    if newest is None:
        return None
    if newest.state not in ENDED:
        return "copy_not_ended"
    made = select(func.count()).where(Message.resent_of == _first(message), Message.tenant_id == tenant.id)
    return "often" if (db.session.scalar(made) or 0) >= MOST_COPIES else None
