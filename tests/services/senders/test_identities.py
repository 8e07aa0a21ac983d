"""Which addresses a tenant may send from, and which of them it does."""

import pytest
from sqlalchemy import func, select

from portal.extensions import db
from portal.models import Message, SenderIdentity, Tenant, User
from portal.services.accounts import tenants
from portal.services.errors import InvalidField, NotFound, NotVerified
from portal.services.senders import identities, verification
from portal.services.senders.settings_page import sender_settings
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import accept, again, drain, link_of_last_mail, verified


def test_an_address_verified_before_is_in_force_with_the_new_name(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verified(tenant, user, smtp, "hello@acme.example")
    identities.use_default(tenant, user)
    identity = verification.start_verification(tenant, user, "Hello@ACME.example", "Acme Outlet")
    assert identity.state == "verified"
    assert sender_settings(tenant).from_header == "Acme Outlet <hello@acme.example>"


def test_addresses_verified_before_can_be_chosen_again(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    first = verified(tenant, user, smtp, "one@acme.example")
    verified(tenant, user, smtp, "two@acme.example")
    assert [choice.address for choice in sender_settings(tenant).choices] == ["one@acme.example"]
    identities.use_identity(tenant, user, first.id)
    assert sender_settings(tenant).from_address == "one@acme.example"


def test_a_pending_address_cannot_be_chosen(tenant: Tenant, user: User) -> None:
    identity = verification.start_verification(tenant, user, "hello@acme.example", "")
    with pytest.raises(NotVerified):
        identities.use_identity(tenant, user, identity.id)


def test_a_removed_address_is_no_sender_any_more(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    identity = verified(tenant, user, smtp, "hello@acme.example")
    waiting = [accept(tenant), accept(tenant)]
    assert identities.waiting(tenant, identity) == 2
    identities.remove(tenant, user, identity.id)
    shown = sender_settings(tenant)
    assert (shown.mode, shown.chosen_mode, shown.choices) == ("platform", "platform", [])
    assert db.session.scalar(select(Tenant.identity_id).where(Tenant.id == tenant.id)) is None
    drain()
    assert {again(one).sender for one in waiting} == {"Marketplace <notifications@marketplace.example>"}
    with pytest.raises(NotVerified):
        identities.use_identity(tenant, user, identity.id)
    with pytest.raises(NotVerified):
        identities.remove(tenant, user, identity.id)
    assert verification.start_verification(tenant, user, "hello@acme.example", "").state == "pending"


def test_removing_an_address_not_in_use_changes_nothing_else(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    first = verified(tenant, user, smtp, "one@acme.example")
    verified(tenant, user, smtp, "two@acme.example")
    assert identities.waiting(tenant, first) == 0
    identities.remove(tenant, user, first.id)
    assert sender_settings(tenant).from_address == "two@acme.example" and sender_settings(tenant).choices == []


def test_another_tenants_address_is_not_found(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    theirs = verified(tenant, user, smtp, "hello@acme.example")
    other, _ = tenants.upsert("other", name="Other", plan="pro")
    for verb in (
        identities.use_identity,
        identities.remove,
        verification.resend_verification,
        verification.cancel_pending,
    ):
        with pytest.raises(NotFound):
            verb(other, user, theirs.id)


@pytest.mark.parametrize(
    ("address", "name", "field", "reason"),
    [
        ("", "", "address", "empty"),
        ("hello", "", "address", "not_an_address"),
        ("a@b.example\r\nBcc: x@y.example", "", "address", "line_break"),
        ("a" * 250 + "@acme.example", "", "address", "too_long"),
        ("jörg@acme.example", "", "address", "non_ascii_local_part"),
        ("hello@acme.example", "boss@bank.example", "display_name", "name_looks_like_address"),
        ("hello@acme.example", "Ac\x07me", "display_name", "name_control_characters"),
        ("hello@acme.example", "x" * 500, "display_name", "name_too_long"),
        ("hello@acme.example", "ceo @ bank.example", "display_name", "name_looks_like_address"),
        ("hello@acme.example", "\u3164", "display_name", "name_control_characters"),
        ("hello@acme.example", "★", "display_name", "name_without_letters"),
        ("hello@acme.example", "Marketplace Support", "display_name", "name_protected"),
        ("billing@mail.marketplace.example", "", "address", "own_domain"),
        ("ceo%bank.example@acme.example", "", "address", "source_route"),
    ],
)
def test_what_cannot_be_a_sender_is_refused_at_its_field(
    tenant: Tenant, user: User, address: str, name: str, field: str, reason: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        verification.start_verification(tenant, user, address, name)
    assert (refused.value.field, refused.value.reason) == (field, reason)
    assert db.session.scalar(select(func.count(SenderIdentity.id))) == 0
    assert db.session.scalar(select(func.count(Message.id))) == 0


def test_an_idn_domain_reaches_the_server_as_a_label(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verification.start_verification(tenant, user, "hallo@bücher.example", "Bücher")
    verification.confirm(link_of_last_mail(smtp))
    assert smtp.received[-1].rcpt_to == ("hallo@xn--bcher-kva.example",)
    assert sender_settings(tenant).from_address.startswith("hallo@")
