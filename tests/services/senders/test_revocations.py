"""An address taken from a shop by whoever reads its mail, or by support: at once, and for thirty days."""

from datetime import timedelta
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import select

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import AuditEntry, Message, Revocation, SenderIdentity, Tenant, User, utcnow
from portal.services.accounts import launches, tenants
from portal.services.errors import NotFound, NotPending, NotVerified, TakenBack
from portal.services.operations import housekeeping
from portal.services.routing import sender as senders
from portal.services.senders import identities, revocations, verification
from portal.services.senders.settings_page import sender_settings
from tests.support.at_once import at_once
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import accept, again, drain, forget_the_limits, link_of_last_mail, verified

ADDRESS = "hello@stranger.example"


@pytest.fixture
def token(tenant: Tenant, user: User, smtp: SMTPSink) -> str:
    """The link in the mail that a stranger got."""
    verification.start_verification(tenant, user, ADDRESS, "Acme")
    return link_of_last_mail(smtp)


def another_shop() -> tuple[Tenant, User]:
    tenant, _ = tenants.upsert("rival", name="Rival", plan="pro")
    return tenant, launches.accept(launches.make_token("rival")).user


def trail(tenant: Tenant) -> list[tuple[str, str]]:
    rows = db.session.scalars(select(AuditEntry).where(AuditEntry.tenant_id == tenant.id).order_by(AuditEntry.id))
    return [(row.action, row.who) for row in rows]


def days_pass(days: float) -> None:
    with transaction() as session:
        for row in session.scalars(select(Revocation)):
            row.at -= timedelta(days=days)


def test_before_the_button_it_ends_the_request(tenant: Tenant, token: str) -> None:
    assert verification.read_link(token).may_take_back
    assert verification.take_back(token).state == "taken_back"
    assert sender_settings(tenant).pending is None
    for look in (verification.read_link, verification.confirm, verification.take_back):
        assert look(token).state == "taken_back"
    assert trail(tenant)[-1] == ("sender_objected", ADDRESS)
    with pytest.raises(NotPending):
        verification.resend_from_link(token)


def test_after_the_button_it_revokes_the_address_and_the_default_sender_stands_in(tenant: Tenant, token: str) -> None:
    verification.confirm(token)
    waiting = accept(tenant)
    assert verification.read_link(token).may_take_back
    assert verification.take_back(token).state == "taken_back"
    assert senders.resolve(tenant).mailbox.address == "notifications@marketplace.example"
    drain()
    assert again(waiting).sender == "Marketplace <notifications@marketplace.example>"
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "sender_objected")).one()
    assert entry.before == {"sender": f"Acme <{ADDRESS}>"} and entry.role == "recipient"


def test_pressed_at_the_same_moment_taking_back_wins(app: Flask, tenant: Tenant, token: str) -> None:
    db.session.rollback()
    at_once(partial(verification.confirm, token), partial(verification.take_back, token), app=app)
    db.session.rollback()
    assert verification.read_link(token).state == "taken_back"
    assert senders.resolve(tenant).identity_id is None


def test_a_shop_is_left_with_what_it_had_besides(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    verified(tenant, user, smtp, ADDRESS)
    token = link_of_last_mail(smtp)
    other = verified(tenant, user, smtp, "hello@acme.example")
    assert verification.take_back(token).state == "taken_back"
    assert senders.resolve(tenant).identity_id == other.id


def test_the_link_mailed_after_the_button_serves_as_long_as_the_address(
    tenant: Tenant, token: str, smtp: SMTPSink
) -> None:
    verification.confirm(token)
    way_back = link_of_last_mail(smtp)
    with transaction():
        db.session.scalars(select(SenderIdentity)).one().nonce_at = utcnow() - timedelta(days=400)
    old = verification._token(db.session.scalars(select(SenderIdentity)).one())
    assert way_back == token and verification.read_link(old).may_take_back
    assert verification.take_back(way_back).state == "taken_back"


def test_an_expired_link_can_still_stop_the_asking(tenant: Tenant, token: str) -> None:
    with transaction():
        identity = db.session.scalars(select(SenderIdentity)).one()
        identity.nonce_at = utcnow() - timedelta(days=2)
    old = verification._token(identity)
    assert verification.read_link(old).state == "expired"
    assert verification.take_back(old).state == "taken_back"


def test_a_link_of_a_withdrawn_request_can_still_stop_the_asking(tenant: Tenant, user: User, token: str) -> None:
    verification.cancel_pending(tenant, user, db.session.scalars(select(SenderIdentity.id)).one())
    assert verification.read_link(token).state == "cancelled"
    assert verification.take_back(token).state == "taken_back"


def test_only_the_newest_link_takes_back(tenant: Tenant, user: User, token: str, smtp: SMTPSink) -> None:
    """Who read the mailbox some time ago has no say in it for good."""
    forget_the_limits()
    verification.resend_verification(tenant, user, db.session.scalars(select(SenderIdentity.id)).one())
    newer = link_of_last_mail(smtp)
    assert verification.take_back(token).state == "superseded"
    verification.confirm(newer)
    assert verification.take_back(token).state == "already_confirmed"
    assert senders.resolve(tenant).mailbox.address == ADDRESS


@pytest.mark.parametrize("spelling", [ADDRESS, "Hello+2@stranger.example", "HELLO@Stranger.Example"])
def test_the_shop_cannot_ask_that_mailbox_again_for_thirty_days(
    tenant: Tenant, user: User, token: str, spelling: str
) -> None:
    verification.take_back(token)
    forget_the_limits()
    with pytest.raises(TakenBack) as refused:
        verification.start_verification(tenant, user, spelling, "Acme")
    assert timedelta(days=29) < refused.value.until - utcnow() <= timedelta(days=30)
    days_pass(29.9)
    with pytest.raises(TakenBack):
        verification.start_verification(tenant, user, spelling, "Acme")
    days_pass(0.2)
    assert verification.start_verification(tenant, user, spelling, "Acme").state == "pending"


def test_no_mail_to_it_goes_out_any_more(tenant: Tenant, user: User, token: str, smtp: SMTPSink) -> None:
    forget_the_limits()
    verification.resend_verification(tenant, user, db.session.scalars(select(SenderIdentity.id)).one())
    newer = verification._token(db.session.scalars(select(SenderIdentity)).one())
    verification.take_back(newer)
    before = len(smtp.received)
    drain("interactive")
    assert len(smtp.received) == before
    last = db.session.scalars(select(Message).order_by(Message.id.desc())).first()
    assert last is not None and (last.state, last.reason) == ("cancelled", "no_longer_wanted")


def test_whatever_else_is_asked_of_the_mailbox_ends_too(tenant: Tenant, user: User, token: str) -> None:
    verification.confirm(token)
    forget_the_limits()
    verification.start_verification(tenant, user, "hello+2@stranger.example", "Acme")
    verification.take_back(token)
    assert sender_settings(tenant).pending is None


def test_another_shop_and_another_mailbox_are_not_concerned(tenant: Tenant, user: User, token: str) -> None:
    verification.take_back(token)
    forget_the_limits()
    assert verification.start_verification(tenant, user, "other@stranger.example", "Acme").state == "pending"
    rival, rivals_user = another_shop()
    assert verification.start_verification(rival, rivals_user, ADDRESS, "Rival").state == "pending"


def test_support_is_told(tenant: Tenant, token: str) -> None:
    verification.take_back(token)
    ((row, shop),) = revocations.newest()
    assert (row.address, row.by, shop.external_id) == (ADDRESS, "recipient", "acme")
    days_pass(31)
    assert revocations.newest() == []


def test_support_takes_an_address_back_as_long(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    identity = verified(tenant, user, smtp, ADDRESS)
    staff = User(subject="sam", email="sam@marketplace.example", role="support")
    with transaction() as session:
        session.add(staff)
    identities.revoke_as_support(tenant, staff, identity.id)
    assert sender_settings(tenant).mode == "platform" and trail(tenant)[-1] == ("sender_revoked", staff.email)
    with pytest.raises(TakenBack):
        verification.start_verification(tenant, user, ADDRESS, "Acme")
    assert [row.by for row in sender_settings(tenant).taken_back] == ["support"]
    assert revocations.newest() == [], "it is what recipients say"
    with pytest.raises(NotVerified):
        identities.revoke_as_support(tenant, staff, identity.id)


def test_a_pending_or_foreign_address_is_not_support_s_to_take(tenant: Tenant, user: User, token: str) -> None:
    identity = db.session.scalars(select(SenderIdentity)).one()
    with pytest.raises(NotVerified):
        identities.revoke_as_support(tenant, user, identity.id)
    rival, _ = another_shop()
    with pytest.raises(NotFound):
        identities.revoke_as_support(rival, user, identity.id)
    assert sender_settings(tenant).pending is not None


def test_the_shop_is_told_once_for_each_mailbox(tenant: Tenant, user: User, token: str) -> None:
    verification.take_back(token)
    days_pass(31)
    forget_the_limits()
    identity = verification.start_verification(tenant, user, ADDRESS, "Acme")
    verification.take_back(verification._token(identity))
    assert [row.address for row in sender_settings(tenant).taken_back] == [ADDRESS]


def test_what_has_served_goes(tenant: Tenant, token: str) -> None:
    verification.take_back(token)
    days_pass(30)
    housekeeping.clean_up()
    assert len(db.session.scalars(select(Revocation)).all()) == 1
    days_pass(31)
    housekeeping.clean_up()
    assert db.session.scalars(select(Revocation)).all() == []
