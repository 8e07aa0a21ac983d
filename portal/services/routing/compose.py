"""From what a mail says to the mail that a transport takes: the same for a message and for a driver's test."""

from __future__ import annotations

from portal.transport.base import Envelope, Mail
from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.build import MailContent, Stamp, build


def compose(
    content: MailContent, sender: Mailbox, reverse_path: str, to: str, stamp: Stamp, *, to_name: str = ""
) -> Mail:
    """The mail to one recipient: the same arguments give the same bytes. Raises InvalidAddress and ValueError."""
    return Mail(Envelope(reverse_path, to), build(content, stamp, sender=sender, to=to, to_name=to_name))
