"""Verification: a mailed link, a page with a button, and the limits on asking."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import LogEntry, MailCount, Message, MessageBody, Tenant, User, utcnow
from portal.services.accounts import launches, tenants
from portal.services.errors import NotPending, SendLimit
from portal.services.routing import sender as senders
from portal.services.senders import verification
from portal.services.senders.settings_page import sender_settings
from tests.support.at_once import at_once
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain, forget_the_limits, link_of_last_mail, verified


def test_the_button_makes_the_address_the_sender_of_all_mail(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hello@acme.example", "Acme Shop")
    assert verification.confirm(link_of_last_mail(smtp)).state == "confirmed"
    assert str(senders.resolve(tenant).mailbox) == "Acme Shop <hello@acme.example>"


def test_the_mail_goes_from_the_platform_to_the_address_asked_about(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hello@acme.example", "Acme Shop")
    link_of_last_mail(smtp)
    mail = smtp.received[-1]
    assert mail.rcpt_to == ("hello@acme.example",)
    assert mail.message["From"] == "Marketplace <notifications@marketplace.example>"
    assert mail.message["Auto-Submitted"] == "auto-generated" and "Acme Shop" in mail.message["Subject"]


def test_opening_the_link_changes_nothing(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hello@acme.example", "")
    token = link_of_last_mail(smtp)
    for _ in range(3):
        assert verification.read_link(token).state == "pending"
    assert sender_settings(tenant).mode == "platform"


def test_the_link_shows_neither_the_address_nor_its_spelling(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    import base64

    verification.start_verification(tenant, user, "hello@acme.example", "")
    payload = link_of_last_mail(smtp).split(".")[0]
    assert b"acme" not in base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))


def test_the_sender_in_force_stays_until_the_new_one_is_verified(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verified(tenant, user, smtp, "old@acme.example")
    verification.start_verification(tenant, user, "new@acme.example", "Acme")
    shown = sender_settings(tenant)
    assert shown.from_address == "old@acme.example"
    assert shown.pending is not None and shown.pending.identity.address == "new@acme.example"
    verification.confirm(link_of_last_mail(smtp))
    assert sender_settings(tenant).from_address == "new@acme.example"


def test_resend_revokes_the_older_link(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    identity = verification.start_verification(tenant, user, "hello@acme.example", "")
    older = link_of_last_mail(smtp)
    forget_the_limits()
    verification.resend_verification(tenant, user, identity.id)
    newer = link_of_last_mail(smtp)
    assert verification.confirm(older).state == "superseded"
    assert verification.confirm(newer).state == "confirmed"


def test_a_second_click_says_already_confirmed(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hello@acme.example", "")
    token = link_of_last_mail(smtp)
    assert verification.confirm(token).state == "confirmed"
    assert verification.confirm(token).state == "already_confirmed"


def test_a_link_older_than_a_day_has_expired_and_offers_a_new_one(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    identity = verification.start_verification(tenant, user, "hello@acme.example", "")
    with transaction():
        identity.nonce_at = utcnow() - timedelta(hours=24, seconds=1)
    token = verification._token(identity)
    assert verification.confirm(token).state == "expired"
    shown = sender_settings(tenant)
    assert shown.pending is not None and shown.pending.expired
    forget_the_limits()
    assert verification.resend_from_link(token).state == "pending"
    assert verification.read_link(token).state == "superseded"
    assert verification.confirm(link_of_last_mail(smtp)).state == "confirmed"


def test_a_living_link_gives_nobody_another_mail(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hello@acme.example", "")
    token = link_of_last_mail(smtp)
    forget_the_limits()
    with pytest.raises(NotPending):
        verification.resend_from_link(token)


def test_a_cancelled_change_says_so_behind_its_link(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    identity = verification.start_verification(tenant, user, "hello@acme.example", "")
    token = link_of_last_mail(smtp)
    verification.cancel_pending(tenant, user, identity.id)
    assert verification.confirm(token).state == "cancelled"
    assert sender_settings(tenant).pending is None


def test_a_change_cancelled_before_its_mail_went_out_sends_none(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    identity = verification.start_verification(tenant, user, "hello@acme.example", "")
    verification.cancel_pending(tenant, user, identity.id)
    drain("interactive")
    assert smtp.received == []
    message = db.session.scalars(select(Message)).one()
    assert (message.state, message.reason) == ("cancelled", "no_longer_wanted")


def with_another_letter(token: str) -> str:
    """Not the last letter: of that, base64 doesn't use all bits."""
    return token[:-9] + ("A" if token[-9] != "A" else "B") + token[-8:]


@pytest.mark.parametrize("spoil", [with_another_letter, lambda t: t + "x", lambda t: ""])
def test_an_altered_token_is_invalid(tenant: Tenant, user: User, smtp: SMTPSink, spoil: Any) -> None:
    verification.start_verification(tenant, user, "hello@acme.example", "")
    assert verification.confirm(spoil(link_of_last_mail(smtp))).state == "invalid"


def test_a_token_of_another_purpose_is_invalid(tenant: Tenant) -> None:
    assert verification.confirm(launches.make_token("acme")).state == "invalid"


def test_a_link_dies_with_a_change_of_its_address(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    identity = verification.start_verification(tenant, user, "hello@acme.example", "")
    token = link_of_last_mail(smtp)
    with transaction():
        identity.address = "boss@bank.example"
    assert verification.confirm(token).state == "invalid"


def test_one_mail_a_minute_to_an_address(tenant: Tenant, user: User) -> None:
    identity = verification.start_verification(tenant, user, "hello@acme.example", "")
    with pytest.raises(SendLimit) as refused:
        verification.resend_verification(tenant, user, identity.id)
    wait = refused.value.next_at - utcnow()
    assert timedelta(0) < wait <= timedelta(seconds=60)
    pending = sender_settings(tenant).pending
    assert pending is not None and pending.resend_at == refused.value.next_at


def ask_often(minutes_between: float, times: int, address: str = "hello@acme.example") -> int:
    """How many mails to one address get through when many tenants ask, one after another, so far apart."""
    sent = 0
    for number in range(times):
        tenant, _ = tenants.upsert(f"shop-{number}", name=f"Shop {number}", plan="pro")
        asker = launches.accept(launches.make_token(tenant.external_id)).user
        try:
            verification.start_verification(tenant, asker, address, "")
            sent += 1
        except SendLimit:
            pass
        with transaction() as session:
            for mail in session.scalars(select(MailCount)):
                mail.at -= timedelta(minutes=minutes_between)
    return sent


def test_three_mails_an_hour_to_an_address_over_all_tenants(ctx: Flask) -> None:
    assert ask_often(2, 20) == 3


def test_five_mails_a_day_to_an_address_over_all_tenants(ctx: Flask) -> None:
    assert ask_often(30, 40) == 5


def test_a_suffix_does_not_make_another_mailbox(tenant: Tenant, user: User) -> None:
    verification.start_verification(tenant, user, "hello+1@acme.example", "")
    with pytest.raises(SendLimit):
        verification.start_verification(tenant, user, "Hello+2@acme.example", "")


def test_twenty_mails_a_day_from_a_tenant(tenant: Tenant, user: User) -> None:
    for number in range(20):
        verification.start_verification(tenant, user, f"a{number}@acme.example", "")
    with pytest.raises(SendLimit) as refused:
        verification.start_verification(tenant, user, "one-more@acme.example", "")
    assert refused.value.next_at > utcnow() + timedelta(hours=23)
    assert sender_settings(tenant).pending is not None, "the refused one must not have replaced the pending one"


def test_of_many_requests_at_once_one_mail_comes(app: Flask) -> None:
    refused: list[Exception] = []
    with app.app_context():
        people = []
        for number in range(8):
            row, _ = tenants.upsert(f"shop-{number}", name="Shop", plan="pro")
            people.append((row, launches.accept(launches.make_token(row.external_id)).user))

    def ask(tenant: Tenant, user: User) -> None:
        try:
            verification.start_verification(tenant, user, "hello@acme.example", "")
        except SendLimit as error:
            refused.append(error)

    at_once(*(partial(ask, *person) for person in people), app=app)
    with app.app_context():
        assert db.session.scalar(select(func.count(MailCount.id))) == 1
    assert len(refused) == 7


def test_a_second_change_replaces_the_pending_one(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "one@acme.example", "")
    older = link_of_last_mail(smtp)
    verification.start_verification(tenant, user, "two@acme.example", "")
    assert verification.confirm(older).state == "cancelled"
    pending = sender_settings(tenant).pending
    assert pending is not None and pending.identity.address == "two@acme.example"


def test_the_mail_stands_in_the_log_and_its_body_nowhere(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hello@acme.example", "")
    link_of_last_mail(smtp)
    message = db.session.scalars(select(Message)).one()
    assert (message.kind, message.state, message.to_address) == ("verification", "sent", "hello@acme.example")
    assert [entry.event for entry in db.session.scalars(select(LogEntry).order_by(LogEntry.id))] == ["queued", "sent"]
    assert db.session.scalar(select(func.count()).select_from(MessageBody)) == 0
