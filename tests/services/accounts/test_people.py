"""A tenant's people: invited, changed, removed by its admins; an administrator stays; the platform decides, too."""

from functools import partial

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import AuditEntry, DriverTest, Message, Tenant, User
from portal.services import audit
from portal.services.accounts import launches, people, tenants, users
from portal.services.drivers import save_gate
from portal.services.drivers.settings import DriverSettings
from portal.services.errors import InvalidField, LastAdmin, LaunchRefused, NotFound
from tests.support.at_once import at_once
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain


def entries(tenant: Tenant) -> list[tuple[str, str, dict[str, str], dict[str, str]]]:
    """Of people only, oldest first."""
    rows = db.session.scalars(select(AuditEntry).where(AuditEntry.tenant_id == tenant.id).order_by(AuditEntry.id))
    return [(row.action, row.subject, row.before, row.after) for row in rows if row.action.startswith("user_")]


def arrive(email: str, role: str = "admin", tenant: str = "acme", **claims: str) -> User:
    return launches.accept(launches.make_token(tenant, email=email, role=role, **claims)).user


def test_an_invitation_is_mailed_in_the_shops_language(user: User, tenant: Tenant, smtp: SMTPSink) -> None:
    tenants.upsert("acme", locale="de")
    invited = people.invite(tenant, user, "Jo@Partner.example", "viewer")
    assert (invited.role, invited.tenant_id) == ("viewer", tenant.id) and invited.invited_at
    drain("interactive")
    text = smtp.received[-1].text
    for part in ("http://localhost:8000/sign-in\r\n", "admin@shop.example hat Sie", "nichts ändern"):
        assert part in text
    assert entries(tenant) == [("user_invited", "Jo@partner.example", {}, {"role": "viewer"})]


def test_who_has_not_come_can_be_invited_again_and_who_is_here_cannot(user: User, tenant: Tenant) -> None:
    first = people.invite(tenant, user, "jo@partner.example", "viewer")
    again = people.invite(tenant, user, "JO@partner.example", "admin")
    assert again.id == first.id and again.role == "admin"
    assert len(db.session.scalars(select(Message)).all()) == 2
    with pytest.raises(InvalidField, match="already_there"):
        people.invite(tenant, user, user.email.upper(), "viewer")


@pytest.mark.parametrize(("address", "role"), [("nonsense", "viewer"), ("a@b.example", "support"), ("a@b.example", "")])
def test_nonsense_is_refused(user: User, tenant: Tenant, address: str, role: str) -> None:
    with pytest.raises(InvalidField):
        people.invite(tenant, user, address, role)
    assert len(people.everybody(tenant)) == 1


def test_an_invited_person_who_comes_by_a_launch_is_one_person(user: User, tenant: Tenant) -> None:
    invited = people.invite(tenant, user, "jo@partner.example", "viewer")
    arrived = arrive("Jo@partner.example", "admin", sub="42", name="Jo")
    assert (arrived.id, arrived.subject, arrived.role, arrived.invited_at) == (invited.id, "42", "admin", None)
    assert entries(tenant)[-1] == ("user_role", "jo@partner.example", {"role": "viewer"}, {"role": "admin"})
    assert len(people.everybody(tenant)) == 2


def test_a_known_person_invited_by_another_address_is_one_person_once_it_is_theirs(user: User, tenant: Tenant) -> None:
    known = arrive("jo@shop.example", "viewer", sub="42")
    people.invite(tenant, user, "jo@partner.example", "viewer")
    assert arrive("jo@partner.example", "viewer", sub="42").id == known.id
    assert sorted(u.email for u in people.everybody(tenant)) == ["admin@shop.example", "jo@partner.example"]


def test_a_role_is_changed_and_told(user: User, tenant: Tenant) -> None:
    other = arrive("jo@shop.example", "viewer", name="Jo")
    people.set_role(tenant, user, other.id, "admin")
    people.set_role(tenant, user, other.id, "admin")  # nothing changes, nothing is told
    assert entries(tenant) == [("user_role", "Jo <jo@shop.example>", {"role": "viewer"}, {"role": "admin"})]
    with pytest.raises(InvalidField):
        people.set_role(tenant, user, other.id, "support")


def test_the_last_administrator_stays(user: User, tenant: Tenant) -> None:
    arrive("jo@shop.example", "viewer")
    people.invite(tenant, user, "new@shop.example", "admin")  # may never come
    with pytest.raises(LastAdmin):
        people.set_role(tenant, user, user.id, "viewer")
    with pytest.raises(LastAdmin):
        people.remove(tenant, user, user.id)
    assert people.only_admin(people.everybody(tenant)) is user
    arrive("new@shop.example", "admin")
    people.remove(tenant, user, user.id)
    assert [u.role for u in people.everybody(tenant)] == ["viewer", "admin"]


def test_two_administrators_cannot_demote_each_other_at_once(app: Flask, user: User, tenant: Tenant) -> None:
    other = arrive("jo@shop.example")
    pairs, refused = [(user.id, other.id), (other.id, user.id)], []
    db.session.remove()

    def demote(by: int, whom: int) -> None:
        try:
            people.set_role(db.session.get_one(Tenant, tenant.id), db.session.get_one(User, by), whom, "viewer")
        except LastAdmin:
            refused.append(whom)

    at_once(*(partial(demote, *pair) for pair in pairs), app=app)
    roles = sorted(u.role for u in people.everybody(db.session.get_one(Tenant, tenant.id)))
    assert len(refused) == 1 and roles == ["admin", "viewer"]


def test_a_removed_person_is_back_by_a_launch(user: User, tenant: Tenant) -> None:
    other = arrive("jo@shop.example", "viewer")
    people.remove(tenant, user, other.id)
    assert entries(tenant) == [("user_removed", "jo@shop.example", {"role": "viewer"}, {})]
    assert [u.email for u in people.everybody(tenant)] == [user.email]
    assert arrive("jo@shop.example", "viewer").tenant_id == tenant.id


def test_a_removed_persons_test_goes_on(user: User, tenant: Tenant) -> None:
    other = arrive("jo@shop.example")
    wanted = DriverSettings(
        preset="other", host="mail.acme.example", port=587, encryption="starttls", username="u", secret="s",
        from_address="hello@acme.example", from_name="Acme",
    )  # fmt: skip
    test = save_gate.start(tenant, other, wanted)
    people.remove(tenant, user, other.id)
    assert db.session.get_one(DriverTest, test.id, populate_existing=True).user_id == user.id


def test_signing_out_changes_what_sessions_must_name(user: User, tenant: Tenant) -> None:
    before = user.session_version
    people.sign_out(tenant, user, user.id)
    assert user.session_version != before
    assert entries(tenant) == [("user_signed_out", user.email, {}, {})]


def test_another_shops_people_do_not_exist(user: User, tenant: Tenant) -> None:
    stranger = arrive("x@rival.example", tenant="rival", tenant_name="Rival")
    for change in (
        lambda: people.set_role(tenant, user, stranger.id, "viewer"),
        lambda: people.remove(tenant, user, stranger.id),
        lambda: people.sign_out(tenant, user, stranger.id),
        lambda: people.get(tenant, stranger.id),
    ):
        with pytest.raises(NotFound):
            change()  # type: ignore[no-untyped-call]


PLATFORM = audit.by_api_key("backend")


def test_whom_the_platform_removes_is_out_at_once(user: User, tenant: Tenant) -> None:
    jo = arrive("jo@shop.example", "viewer", sub="17", name="Jo")
    people.remove_for_platform(tenant, PLATFORM, "17")
    assert users.find(jo.id, tenant.id, jo.session_version) is None
    assert [person.email for person in people.everybody(tenant)] == [user.email]
    assert entries(tenant) == [("user_removed", "Jo <jo@shop.example>", {"role": "viewer"}, {})]
    entry = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert entry and (entry.who, entry.role) == ("API: backend", "platform")


def test_only_a_launch_signed_after_the_removal_brings_somebody_back(user: User, tenant: Tenant) -> None:
    arrive("jo@shop.example", sub="17")
    before = [
        launches.make_token("acme", email="jo@shop.example", sub="17"),
        launches.make_token("acme", email="Jo@shop.example", sub="18"),  # the same person
        launches.make_token("acme", email="new@shop.example", sub="17"),
    ]
    people.remove_for_platform(tenant, PLATFORM, "17")
    for token in before:
        with pytest.raises(LaunchRefused, match="removed"):
            launches.accept(token)
    assert [person.email for person in people.everybody(tenant)] == [user.email]
    assert arrive("jo@shop.example", "viewer", sub="17").role == "viewer"


def test_what_holds_for_the_platform_holds_for_an_admin_who_removes(user: User, tenant: Tenant) -> None:
    jo = arrive("jo@shop.example", sub="17")
    before = launches.make_token("acme", email="jo@shop.example", sub="17")
    people.remove(tenant, user, jo.id)
    with pytest.raises(LaunchRefused, match="removed"):
        launches.accept(before)


def test_somebody_who_never_came_cannot_come_by_a_launch_of_before(user: User, tenant: Tenant) -> None:
    before = launches.make_token("acme", email="jo@shop.example", sub="17")
    with pytest.raises(NotFound):
        people.remove_for_platform(tenant, PLATFORM, "17")
    with pytest.raises(LaunchRefused, match="removed"):
        launches.accept(before)


def test_a_removal_concerns_one_shop(user: User, tenant: Tenant) -> None:
    there = arrive("jo@shop.example", sub="17", tenant="rival", tenant_name="Rival")
    arrive("jo@shop.example", sub="17")
    before = launches.make_token("rival", email="jo@shop.example", sub="17")
    people.remove_for_platform(tenant, PLATFORM, "17")
    assert launches.accept(before).user.id == there.id


def test_the_platform_removes_the_last_administrator_and_calls_off_their_test(user: User, tenant: Tenant) -> None:
    wanted = DriverSettings(
        preset="other", host="mail.acme.example", port=587, encryption="starttls", username="u", secret="s",
        from_address="hello@acme.example", from_name="Acme",
    )  # fmt: skip
    test = save_gate.start(tenant, user, wanted)
    people.remove_for_platform(tenant, PLATFORM, user.subject)
    assert people.everybody(tenant) == []
    mail = db.session.get_one(Message, test.message_id, populate_existing=True)
    assert (mail.state, mail.reason) == ("cancelled", "no_longer_wanted")
