"""Attachments: a message's files, stored when it is accepted and read only where it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from sqlalchemy import func, insert, select

from portal.db.transaction import connection
from portal.extensions import db
from portal.models import MessageAttachment
from portal.transport.mime.attachments import Attachment


def store(message_id: int, files: Sequence[Attachment]) -> None:
    """Keep the files in their order. Within the transaction that accepts the message."""
    if files:
        rows = [{"message_id": message_id, "position": number} | vars(file) for number, file in enumerate(files)]
        connection().execute(insert(MessageAttachment), rows)


def load(message_id: int) -> tuple[Attachment, ...]:
    """The message's files in their order. Not as objects of the session: megabytes must not stay in it."""
    rows = db.session.execute(
        select(*(getattr(MessageAttachment, field.name) for field in fields(Attachment)))
        .where(MessageAttachment.message_id == message_id)
        .order_by(MessageAttachment.position)
    )
    return tuple(Attachment(*row) for row in rows)


def size(message_id: int) -> int:
    """How many octets the message's files have together; none of them is read for it."""
    octets = select(func.sum(func.length(MessageAttachment.content)))
    return int(db.session.scalar(octets.where(MessageAttachment.message_id == message_id)) or 0)
