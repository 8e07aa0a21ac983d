"""A shop's name in our own mails."""

import re

import pytest
from flask import Flask
from sqlalchemy import select

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Driver, Message, MessageBody, Tenant, User
from portal.services.accounts import people
from portal.services.emails import contents, shop_name
from portal.services.senders import identities, verification
from tests.support.settings import configure
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain, verified

LONG = "The shop of " + "a very long name " * 11


def named(tenant: Tenant, name: str, locale: str = "en") -> str:
    with transaction():
        tenant.name = name[:200]
    return shop_name.shown(tenant, locale)


def test_a_name_stands_in_the_quotes_of_the_language(tenant: Tenant) -> None:
    assert named(tenant, "Acme Shop") == "“Acme Shop”"
    assert named(tenant, "Acme Shop", "de") == "„Acme Shop“"
    assert named(tenant, "Acme Shop", "fr") == "“Acme Shop”"


@pytest.mark.parametrize("quote", ["”", '"', "“", "»", "＂"])
def test_the_quotes_end_where_the_name_does(tenant: Tenant, quote: str) -> None:
    shown = named(tenant, f"Acme{quote} from Bank{quote}")
    assert shown == "“Acme' from Bank'”"


def test_at_most_sixty_characters_are_shown(tenant: Tenant) -> None:
    assert named(tenant, "x" * 60) == f"“{'x' * 60}”"
    assert named(tenant, "x" * 61) == f"“{'x' * 59}…”"
    assert named(tenant, "x" * 58 + "e\u0301" + "x" * 20) == f"“{'x' * 58}…”"


@pytest.mark.parametrize(
    "name",
    [
        "Win at https://evil.example/now", "www.evil.example", "Acme//evil", "Shop evil.example", "evil . example",
        "evil。example", "ev\u200bil.example", "ceo@bank.example", "ceo (at) bank.example", "Call 0800 123 4567",
        "Marketplace", "Marketplace Security Team", "\u3164", "★", "", "Otto.de", "1.2.3.4",
    ],
)  # fmt: skip
def test_a_name_that_says_something_else_gives_way_to_the_shops_id(tenant: Tenant, name: str) -> None:
    assert named(tenant, name) == "Shop acme"
    assert named(tenant, name, "de") == "Shop acme"


@pytest.mark.parametrize("name", ["AC/DC Fanshop", "24/7 Kiosk", "Yoga@Home", "FC St. Pauli", "Müller GmbH & Co.KG"])
def test_a_mere_name_stays(tenant: Tenant, name: str) -> None:
    assert named(tenant, name) == f"“{name}”"


def test_a_domain_may_stand_once_the_shop_has_proven_it(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    assert named(tenant, "Acme.example") == "Shop acme"
    identity = verified(tenant, user, smtp, "hello@acme.example")
    assert named(tenant, "Acme.example") == "“Acme.example”"
    assert named(tenant, "Acme.example or bank.example") == "Shop acme"
    assert named(tenant, "acme.example/login") == named(tenant, "www.acme.example") == "Shop acme"
    identities.use_default(tenant, user)
    assert named(tenant, "Acme.example") == "“Acme.example”"
    with transaction():
        identity.state = "revoked"
    assert named(tenant, "Acme.example") == "Shop acme"


def test_an_own_domain_in_other_letters_is_the_same(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verified(tenant, user, smtp, "hello@bücher.example")
    assert named(tenant, "Bücher.example") == "“Bücher.example”"


def test_a_free_mailbox_proves_no_domain(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verified(tenant, user, smtp, "acme@gmail.com")
    assert named(tenant, "Gmail.com") == "Shop acme"


def test_the_protected_names_of_the_operator_give_way_too(app: Flask, tenant: Tenant) -> None:
    assert named(tenant, "PayPal Support") == "“PayPal Support”"
    configure(app, protected_names="PayPal")
    assert named(tenant, "PayPal Support") == "Shop acme"


def our_mails(tenant: Tenant, user: User, smtp: SMTPSink) -> list[str]:
    """Subject and text of each mail of ours that names the shop."""
    people.invite(tenant, user, "new@stranger.example", "viewer")
    verification.start_verification(tenant, user, "hello@stranger.example", "Acme")
    drain("interactive")
    made = [f"{mail.message['Subject']}\n{mail.text}" for mail in smtp.received]
    stopped = Driver(host="mail.acme.example", reason="bad_credentials")
    content = contents.driver_stopped(tenant, stopped, "en")
    made.append(f"{content.subject}\n{content.text}")
    return made


def test_every_mail_of_ours_shows_the_shop_so(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    named(tenant, LONG)
    mails = our_mails(tenant, user, smtp)
    assert len(mails) == 3
    for mail in mails:
        assert len(re.findall(r"“The shop of [^”]{,47}…”", mail)) >= 2, mail
        assert LONG[:61] not in mail


def test_no_mail_of_ours_carries_what_a_shops_name_links_to(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    named(tenant, "Claim your refund: evil.example, call 0800 123 4567")
    for mail in our_mails(tenant, user, smtp):
        assert "Shop acme" in mail and "evil" not in mail and "0800" not in mail
    stored = [*db.session.scalars(select(Message.subject)), *db.session.scalars(select(MessageBody.html))]
    assert stored and not any("evil" in (text or "") for text in stored)
