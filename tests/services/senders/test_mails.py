"""The mails about a sender address, as a person who never heard of us reads them."""

import pytest
from sqlalchemy import func, select

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Message, MessageBody, SenderIdentity, Tenant, User
from portal.services.errors import NotResendable
from portal.services.outbox import send_again
from portal.services.senders import identities, verification
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain, link_of_last_mail


def test_the_request_says_who_asks_for_what_and_how_to_stop_it(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hello@stranger.example", "")
    link_of_last_mail(smtp)
    mail = smtp.received[-1]
    assert mail.message["Subject"] == "“Acme Shop” wants to send email from your address"
    assert "“Acme Shop”, a shop on Marketplace, wants to send email to its customers from this" in mail.text
    assert "nothing is sent from your address" in mail.text and "I didn't ask for this" in mail.text


def test_after_the_button_the_address_hears_of_it(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hello@stranger.example", "")
    token = link_of_last_mail(smtp)
    verification.confirm(token)
    assert link_of_last_mail(smtp) == token
    mail = smtp.received[-1]
    assert mail.rcpt_to == ("hello@stranger.example",)
    assert mail.message["Subject"] == "“Acme Shop” can now send email from your address"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    verification.confirm(token)
    drain("interactive")
    assert len(smtp.received) == 2


def test_it_speaks_the_shops_language(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    with transaction():
        tenant.locale = "de"
    verification.start_verification(tenant, user, "hello@stranger.example", "")
    verification.confirm(link_of_last_mail(smtp))
    link_of_last_mail(smtp)
    assert smtp.received[-1].message["Subject"] == "„Acme Shop“ kann jetzt E-Mails von Ihrer Adresse senden"
    assert "Das habe ich nicht angefordert" in smtp.received[-1].text


def test_its_link_is_kept_nowhere_and_it_is_never_sent_again(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hello@stranger.example", "")
    verification.confirm(link_of_last_mail(smtp))
    link_of_last_mail(smtp)
    message = db.session.scalars(select(Message).where(Message.kind == "sender_confirmed")).one()
    assert db.session.scalar(select(func.count()).select_from(MessageBody)) == 0
    with pytest.raises(NotResendable):
        send_again.send_again(tenant, user, message.public_id, "")


def test_it_is_not_sent_when_there_is_nothing_to_take_back_any_more(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hello@stranger.example", "")
    verification.confirm(link_of_last_mail(smtp))
    identities.remove(tenant, user, db.session.scalars(select(SenderIdentity.id)).one())
    drain("interactive")
    assert [mail.message["Subject"] for mail in smtp.received] == ["“Acme Shop” wants to send email from your address"]
