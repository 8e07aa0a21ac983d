"""From a claimed message to the bytes for the wire, by the sender in force now."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from portal.extensions import db
from portal.models import Message, MessageBody, Tenant, now, utcnow
from portal.models.lane import INTERACTIVE
from portal.services import contents, lanes, outcomes, senders, verification
from portal.services.errors import NotPending
from portal.services.outcomes import Attempt
from portal.services.senders import Sender
from portal.transport.connection import Envelope, Reply
from portal.transport.mime import MailContent, build

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mail:
    """One message ready for the wire."""

    attempt: Attempt
    message: Message
    sender: Sender
    content: bytes
    dot: dict[str, Any]  # what makes the same bytes again

    @property
    def envelope(self) -> Envelope:
        return Envelope(self.sender.reverse_path, self.message.to_address)


def prepare(attempt: Attempt) -> Mail | None:
    """Load a claimed message and make its bytes, by the sender in force now.

    None when it is settled without being sent: expired, no longer wanted, or gone to another route.
    """
    row = db.session.execute(
        select(Message, MessageBody, Tenant, (Message.expires_at <= now()).label("is_expired"))
        .join(Tenant, Tenant.id == Message.tenant_id)
        .outerjoin(MessageBody, MessageBody.message_id == Message.id)
        .where(Message.id == attempt.message_id)
        .execution_options(populate_existing=True)
    ).one()
    message, body, tenant, is_expired = row
    if is_expired:
        outcomes.expired(attempt, message.ambiguous)
        return None
    sender = _sender(attempt, message, tenant)
    if sender.held:
        outcomes.held(attempt, "driver_paused")
        return None
    if sender.route != message.route:
        outcomes.moved(attempt, sender.route)
        lanes.wake(sender.route)
        return None
    try:
        content = contents.stored(message, body) if body else verification.mail_content(tenant, message)
        mail = _mail(attempt, message, sender, content)
        db.session.commit()  # ends the read: no transaction stays open while a server takes its time
        return mail
    except NotPending:
        outcomes.cancelled(attempt, "no_longer_wanted")
    except SQLAlchemyError:
        raise
    except Exception:
        log.exception("message %s could not be made", message.public_id)
        outcomes.deferred(attempt, message.retries, "local_error", Reply(0, "internal"), str(sender.mailbox))
    return None


def _sender(attempt: Attempt, message: Message, tenant: Tenant) -> Sender:
    if message.route == INTERACTIVE:
        return senders.platform_sender(INTERACTIVE)
    if message.ambiguous and message.dot:
        recorded = Sender.from_json(message.dot)
        if senders.still_allowed(tenant, recorded):
            return recorded
        changed = senders.resolve(tenant)
        outcomes.log_sender_changed(attempt, str(changed.mailbox))
        return changed
    return senders.resolve(tenant)


def _mail(attempt: Attempt, message: Message, sender: Sender, content: MailContent) -> Mail:
    """The mail's bytes: for a second copy after an unknown fate, the same as before."""
    again = message.dot if message.ambiguous and message.dot else {}
    date = datetime.fromisoformat(again["date"]) if again else utcnow().replace(microsecond=0)
    boundary = again["boundary"] if again else secrets.token_hex(16)
    made = build(
        content,
        sender=sender.mailbox,
        to=message.to_address,
        date=date,
        message_id=message.message_id,
        boundary=boundary,
    )
    dot = sender.to_json() | {"shown": str(sender.mailbox), "date": date.isoformat(), "boundary": boundary}
    return Mail(attempt, message, sender, made, dot)
