"""From what a mail says to the mail that a transport takes: the same for a message and for a driver's test."""

from __future__ import annotations

from portal.transport.base import Envelope, Mail
from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.build import MailContent, Stamp, build


def compose(content: MailContent, sender: Mailbox, reverse_path: str, to: Mailbox, stamp: Stamp) -> Mail:
    """Return the mail to one recipient: the same arguments give the same bytes. Raises InvalidAddress, ValueError."""
    return Mail(Envelope(reverse_path, to.address), build(content, stamp, sender=sender, to=to))
