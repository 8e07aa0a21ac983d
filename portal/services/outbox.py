"""The outbox: accepting a message is one transaction; sending it is somebody else's work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from portal.config import settings
from portal.extensions import db
from portal.models import ApiKey, IdempotencyKey, LogEntry, Message, MessageBody, Tenant, now, utcnow
from portal.models.lane import RELAY, TEST
from portal.models.message import new_public_id
from portal.services import lanes, senders
from portal.services.errors import IdempotencyConflict
from portal.services.transaction import after_commit, transaction

GIVE_UP = timedelta(hours=48)


def accept(
    tenant: Tenant,
    *,
    kind: str,
    to: str,
    subject: str,
    text: str | None = None,
    html: str | None = None,
    reply_to: str | None = None,
    data: dict[str, Any] | None = None,
    route: str | None = None,
) -> Message:
    """Take responsibility for a message: its row, its body and its first log entry, or nothing.

    `to` and `reply_to` are addresses that were checked. `data` instead of a body: the body is built at sending (for a
    link with power). `route` is for interactive mail; the rest goes by the tenant's sender.
    """
    with transaction() as session:
        sender = senders.resolve(tenant) if route is None else None
        message = _new(tenant, kind, to, subject, data=data, route=route or (sender.route if sender else RELAY))
        session.add(message)
        session.flush()
        if data is None:
            session.add(MessageBody(message_id=message.id, text=text, html=html, reply_to=reply_to))
        session.add(_entry(message, "queued"))
        if sender is not None and sender.held:
            message.state, message.reason, message.held_at = "held", "driver_paused", utcnow()
            session.add(_entry(message, "held", "driver_paused"))
        else:
            after_commit(partial(lanes.wake, message.route))
    return message


def record_test(tenant: Tenant, *, to: str, subject: str) -> Message:
    """The row of a driver's test mail: in the log like any other, but sent by its own job. Within a transaction."""
    message = _new(tenant, "driver_test", to, subject, route=TEST)
    message.state = "sending"
    db.session.add(message)
    db.session.flush()
    db.session.add(_entry(message, "queued"))
    return message


def _new(
    tenant: Tenant, kind: str, to: str, subject: str, *, route: str, data: dict[str, Any] | None = None
) -> Message:
    public_id = new_public_id()
    return Message(
        public_id=public_id,
        tenant_id=tenant.id,
        kind=kind,
        to_address=to,
        subject=subject,
        message_id=f"<{public_id.removeprefix('msg_')}@{settings().message_id_domain}>",
        data=data,
        route=route,
        due_at=now(),  # the database's clock, like whoever asks what is due
        expires_at=now(GIVE_UP.total_seconds()),
    )


def _entry(message: Message, event: str, reason: str | None = None) -> LogEntry:
    return LogEntry(tenant_id=message.tenant_id, message_id=message.id, event=event, reason=reason)


def digest(request: dict[str, Any]) -> str:
    """What a request says, whatever the order of its fields."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def accept_once(api_key: ApiKey, key: str, request_digest: str, make: Callable[[], Message]) -> Message:
    """Accept by `make()` unless this key has made a message before: then that one.

    Raises IdempotencyConflict when the key came with another body.
    """
    try:
        with transaction() as session:
            known = _known(api_key, key, request_digest)
            if known is not None:
                return known
            message = make()
            session.add(IdempotencyKey(api_key_id=api_key.id, key=key, digest=request_digest, message_id=message.id))
        return message
    except IntegrityError:  # an equal request was faster; its message is the answer to this one too
        known = _known(api_key, key, request_digest)
        if known is None:
            raise
        return known


def _known(api_key: ApiKey, key: str, request_digest: str) -> Message | None:
    row = db.session.scalar(
        select(IdempotencyKey).where(IdempotencyKey.api_key_id == api_key.id, IdempotencyKey.key == key)
    )
    if row is None:
        return None
    if row.digest != request_digest:
        raise IdempotencyConflict
    return db.session.get(Message, row.message_id)
