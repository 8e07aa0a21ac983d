"""From what a mail says to the mail that a transport takes."""

from datetime import UTC, datetime

from portal.services.routing.compose import compose
from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.build import MailContent, Stamp


def test_the_same_arguments_give_the_same_bytes() -> None:
    stamp = Stamp(datetime(2026, 1, 1, tzinfo=UTC), "<1@acme.example>", "boundary")
    to = Mailbox("", "jane@customer.example")
    content, sender = MailContent("Order", "On its way.\n"), Mailbox("Acme", "hello@acme.example")
    one, two = (compose(content, sender, "bounce@acme.example", to, stamp) for _ in range(2))
    assert one == two
    assert (one.envelope.mail_from, one.envelope.rcpt_to) == ("bounce@acme.example", "jane@customer.example")
