"""What a drain makes of a claimed message: by the sender in force now, and alone in its failure."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from portal.models import Message, MessageBody, Tenant, User
from portal.services.outbox import message_log
from portal.services.routing import compose
from portal.services.routing.sender import platform_sender
from portal.services.senders import identities, verification
from portal.transport.mime.addresses import Mailbox
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import accept, again, drain, execute, link_of_last_mail


def test_a_message_goes_out_under_the_default_sender_and_says_so(tenant: Tenant, smtp: SMTPSink) -> None:
    message = again(accept(tenant, html="<p>It is on its way.</p>", reply_to=Mailbox("", "shop@acme.example")))
    assert drain() == 1
    mail = smtp.received[0]
    assert mail.mail_from == "notifications@marketplace.example"
    assert mail.message["From"] == "Marketplace <notifications@marketplace.example>"
    assert mail.message["Reply-To"] == "shop@acme.example"
    assert mail.message["Message-ID"] == message.message_id
    message = again(message)
    assert (message.state, message.sender) == ("sent", "Marketplace <notifications@marketplace.example>")
    last = message_log.entries(message)[-1]
    assert (last.event, last.code, last.text) == ("sent", 250, "2.0.0 Kept")


def test_a_changed_sender_holds_for_mail_that_was_queued_before(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    message = accept(tenant)
    verification.start_verification(tenant, user, "hello@acme.example", "Acme Shop")
    verification.confirm(link_of_last_mail(smtp))
    smtp.clear()
    drain()
    mail = smtp.received[0]
    assert mail.message["From"] == "Acme Shop <hello@acme.example>"
    assert mail.mail_from == "notifications@marketplace.example", "bounces go to the relay's own domain"
    assert again(message).sender == "Acme Shop <hello@acme.example>"


def test_going_back_to_the_default_holds_for_queued_mail_too(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hello@acme.example", "Acme Shop")
    verification.confirm(link_of_last_mail(smtp))
    accept(tenant)
    identities.use_default(tenant, user)
    drain()
    assert smtp.received[-1].message["From"] == "Marketplace <notifications@marketplace.example>"


@pytest.mark.parametrize("stored", ["nobody", "J <j@localhost>", "<>", "\u202e <j@x.example>", '"a <j@x.example>'])
def test_a_stored_reply_to_that_no_rule_allows_any_more_stops_no_mail(
    tenant: Tenant, smtp: SMTPSink, stored: str
) -> None:
    message = accept(tenant)
    execute(update(MessageBody).where(MessageBody.message_id == message.id).values(reply_to=stored))
    assert drain() == 1
    assert smtp.received[0].text.strip() == "It is on its way."


def test_a_second_copy_goes_out_whatever_its_recorded_reply_to_is(tenant: Tenant, smtp: SMTPSink) -> None:
    """A driver's name from before a rule stays as it is, and answers go there while the default sender stands in."""
    message = accept(tenant)
    name = "boss@bank.example " + "x" * 200
    sender = replace(platform_sender(), reply_to=Mailbox(name, "shop@acme.example"))
    dot = sender.to_json() | {"shown": "", "date": "2026-11-23T12:00:00+00:00", "boundary": "b0"}
    execute(update(Message).where(Message.id == message.id).values(ambiguous=1, dot=dot))
    assert drain() == 1
    (reply_to,) = smtp.received[0].message["Reply-To"].addresses
    assert reply_to.addr_spec == "shop@acme.example"


def test_a_message_that_cannot_be_made_waits_and_stops_nobody(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, fine = accept(tenant, subject="broken"), accept(tenant)
    build = compose.build

    def build_or_fail(content: Any, stamp: Any, **options: Any) -> bytes:
        if content.subject == "broken":
            raise RuntimeError("a defect of ours")
        return build(content, stamp, **options)

    monkeypatch.setattr(compose, "build", build_or_fail)
    assert drain() == 1
    assert (again(broken).state, again(broken).reason) == ("deferred", "local_error")
    assert again(fine).state == "sent"
