"""From what a mail says to the mail that a transport takes: the same for a message and for a driver's test."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from portal.transport.base import Envelope, Mail
from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.build import MailContent, build


class Stamp(NamedTuple):
    """What tells two copies of a mail apart; `date` knows its time zone."""

    date: datetime
    message_id: str
    boundary: str


def compose(
    content: MailContent, sender: Mailbox, reverse_path: str, to: str, stamp: Stamp, *, to_name: str = ""
) -> Mail:
    """The mail to one recipient: the same arguments give the same bytes. Raises InvalidAddress and ValueError."""
    made = build(
        content,
        sender=sender,
        to=to,
        to_name=to_name,
        date=stamp.date,
        message_id=stamp.message_id,
        boundary=stamp.boundary,
    )
    return Mail(Envelope(reverse_path, to), made)
