"""Signing in by a mailed link: once, for a quarter of an hour, and nobody learns who is known here."""

import re
import time
from contextlib import suppress
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select, update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import AuditEntry, Message, MessageBody, SignInLink, Tenant, User, now, utcnow
from portal.models.tenant import PLATFORM_ID
from portal.services.accounts import launches, login_links, people, staff, tenants
from portal.services.accounts.login_links import Link, Place
from portal.services.errors import LinkSent
from portal.services.outbox import message_log
from portal.services.outbox.message_log import LogFilter
from portal.transport.mime.addresses import InvalidAddress
from tests.support.at_once import at_once
from tests.support.figures import Figure
from tests.support.settings import configure
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain, execute

ADDRESS = "admin@shop.example"


def ask(address: str = ADDRESS, locale: str = "en") -> int:
    """Ask and let the job run; returns the link's id."""
    login_links.ask(address, locale)
    number = db.session.scalar(select(func.max(SignInLink.id))) or 0
    login_links.send(number)
    return number


def ask_later(**after: float) -> int:
    """Ask so long after now."""
    with time_machine.travel(utcnow() + timedelta(**after), tick=False):
        return ask()


def token(number: int) -> str:
    return login_links._token(db.session.get_one(SignInLink, number))


def mails() -> list[Message]:
    return list(db.session.scalars(select(Message).where(Message.kind == "sign_in").order_by(Message.id)))


def add_staff(address: str) -> User:
    with transaction() as session:
        user = User(subject="staff", email=address, role="support")
        session.add(user)
    return user


def test_a_known_address_gets_one_mail_however_often_the_job_runs(user: User, tenant: Tenant) -> None:
    number = ask("Admin@Shop.example")
    login_links.send(number)
    login_links.send_forgotten()
    (mail,) = mails()
    assert (mail.to_address, mail.tenant_id, mail.route) == (ADDRESS, tenants.platform().id, "interactive")


@pytest.mark.parametrize("elsewhere", ["nowhere", "another shop", "staff"])
def test_a_shops_log_does_not_tell_whether_its_person_is_known_elsewhere(
    tenant: Tenant, user: User, elsewhere: str
) -> None:
    """An admin invites somebody, asks for a sign-in link in their name, and looks at the log and the activity."""
    if elsewhere == "another shop":
        launches.accept(launches.make_token("rival", email="guest@elsewhere.example"))
    elif elsewhere == "staff":
        add_staff("guest@elsewhere.example")
    people.invite(tenant, user, "guest@elsewhere.example", "viewer")
    ask("guest@elsewhere.example")
    drain("interactive")
    seen = message_log.page(tenant, LogFilter()).rows
    assert [(row.kind, row.to_address) for row in seen] == [("invitation", "guest@elsewhere.example")]
    query = select(AuditEntry.action).where(AuditEntry.tenant_id == tenant.id).order_by(AuditEntry.id)
    assert list(db.session.scalars(query)) == ["tenant_created", "user_invited"]


def test_an_unknown_address_gets_none_and_the_request_does_the_same(user: User) -> None:
    ask("nobody@elsewhere.example")
    assert mails() == []
    assert db.session.scalar(select(func.count()).select_from(SignInLink)) == 1
    assert db.session.scalar(select(func.count()).select_from(Tenant)) == 1  # the platform's log isn't made for it


def test_what_redis_lost_the_clock_sends(user: User) -> None:
    login_links.ask(ADDRESS, "en")
    assert mails() == []
    login_links.send_forgotten()
    assert len(mails()) == 1


def test_nonsense_is_no_address(ctx: Flask) -> None:
    with pytest.raises(InvalidAddress):
        login_links.ask("nonsense", "en")


def test_the_link_goes_by_mail_and_is_kept_nowhere(user: User, smtp: SMTPSink) -> None:
    number = ask(locale="de")
    drain("interactive")
    mail = smtp.received[-1]
    assert "15 Minuten" in mail.text and str(mail.message["From"]) == "Marketplace <notifications@marketplace.example>"
    found = re.search(r"http://localhost:8000/sign-in/(\S+)", mail.text)
    assert found and found.group(1) == token(number)
    assert db.session.scalar(select(func.count()).select_from(MessageBody)) == 0
    assert token(number) not in str([(m.data, m.subject, m.dot) for m in mails()])


def test_the_button_lets_in_once(user: User, tenant: Tenant) -> None:
    link = token(ask())
    for _ in range(3):
        assert login_links.read_link(link).state == "pending"
    entered = login_links.enter(link)
    assert isinstance(entered, Place) and entered.user.id == user.id and entered.tenant is tenant
    again = login_links.enter(link)
    assert isinstance(again, Link) and again.state == "used"
    last = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert last and (last.action, last.user_id) == ("user_signed_in", user.id)


def test_of_many_presses_at_once_one_lets_in(app: Flask, user: User) -> None:
    link = token(ask())
    db.session.remove()
    entered = at_once(*[lambda: isinstance(login_links.enter(link), Place)] * 12, app=app)
    assert sorted(entered) == [False] * 11 + [True]


def test_one_that_was_used_ends_the_others_to_the_same_address(user: User) -> None:
    first, second = token(ask()), token(ask_later(minutes=15))
    login_links.enter(second)
    assert login_links.read_link(first).state == "used"


def test_it_ends_after_a_quarter_of_an_hour_even_unsent(user: User, smtp: SMTPSink) -> None:
    number = ask()
    link = token(number)
    with time_machine.travel(time.time() + 14 * 60, tick=False):
        assert login_links.read_link(link).state == "pending"
    with time_machine.travel(time.time() + 15 * 60 + 1, tick=False):
        assert login_links.read_link(link).state == "expired"
        assert isinstance(login_links.enter(link), Link)
        drain("interactive")
    assert smtp.received == []
    assert [(mail.state, mail.reason) for mail in mails()] == [("cancelled", "no_longer_wanted")]


@pytest.mark.parametrize("junk", ["", "x", "a.b.c", "\0", "x" * 5000])
def test_junk_is_invalid(ctx: Flask, junk: str) -> None:
    assert login_links.read_link(junk).state == "invalid"


def test_an_altered_link_is_invalid(user: User) -> None:
    link = token(ask())
    assert login_links.read_link(("A" if link[0] != "A" else "B") + link[1:]).state == "invalid"


def test_who_was_removed_meanwhile_does_not_get_in(user: User, tenant: Tenant) -> None:
    launches.accept(launches.make_token("acme", email="second@shop.example"))
    link = token(ask("second@shop.example"))
    second = db.session.scalar(select(User).where(User.email == "second@shop.example"))
    assert second
    people.remove(tenant, user, second.id)
    assert login_links.read_link(link).state == "removed"
    assert isinstance(login_links.enter(link), Link)


def test_somebody_of_several_shops_chooses_and_no_shop_reads_of_the_other(user: User) -> None:
    rival = launches.accept(launches.make_token("rival", tenant_name="Rival", role="viewer"))
    staff = add_staff(ADDRESS)
    link = token(ask())
    (mail,) = mails()
    own = db.session.get_one(Tenant, mail.tenant_id)
    assert own.external_id == PLATFORM_ID
    asked = login_links.enter(link)
    assert isinstance(asked, Link) and asked.state == "pending"
    assert [place.user.id for place in asked.places] == [user.id, rival.user.id, staff.id]
    stranger = launches.accept(launches.make_token("acme", email="other@shop.example")).user
    assert isinstance(login_links.enter(link, stranger.id), Link)
    entered = login_links.enter(link, rival.user.id)
    assert isinstance(entered, Place) and entered.tenant is not None and entered.tenant.external_id == "rival"
    assert isinstance(login_links.enter(link, user.id), Link)


def test_staff_gets_its_mail_from_the_platforms_own_log(ctx: Flask, smtp: SMTPSink) -> None:
    staff = add_staff("sam@marketplace.example")
    link = token(ask("sam@marketplace.example"))
    drain("interactive")
    assert len(smtp.received) == 1
    assert [t.external_id for t in db.session.scalars(select(Tenant))] == [PLATFORM_ID]
    assert login_links.enter(link) == Place(staff, None)


def test_nobody_can_be_launched_into_the_platforms_own_log(ctx: Flask) -> None:
    add_staff("sam@marketplace.example")
    ask("sam@marketplace.example")
    with pytest.raises(launches.LaunchRefused):
        launches.accept(launches.make_token(PLATFORM_ID))


def test_a_link_works_only_while_the_last_launch_is_younger_than_the_setting(ctx: Flask, user: User) -> None:
    configure(ctx, sign_in_days=30)
    link = token(ask())
    with transaction():
        user.launched_at = utcnow() - timedelta(days=30)
    assert login_links.read_link(link).state == "removed"
    assert isinstance(login_links.enter(link), Link)
    count = len(mails())
    ask_later(minutes=15)
    assert len(mails()) == count
    with transaction():
        user.launched_at = utcnow() - timedelta(days=30) + timedelta(minutes=1)
    assert isinstance(login_links.enter(link), Place)


def test_whom_only_an_admin_knows_comes_in_until_they_are_removed_and_staff_too(user: User, tenant: Tenant) -> None:
    invited = people.invite(tenant, user, "jo@partner.example", "viewer")
    sam, _ = staff.add("sam@marketplace.example")
    staff_launched = launches.accept(launches.make_token(role="support", email="kim@marketplace.example")).user
    with time_machine.travel(time.time() + 3000 * 24 * 3600, tick=False):
        for person in (invited, sam, staff_launched):
            entered = login_links.enter(token(ask(person.email)))
            assert isinstance(entered, Place) and entered.user.id == person.id


def test_who_was_removed_and_is_back_needs_a_new_link(user: User, tenant: Tenant, smtp: SMTPSink) -> None:
    jo = launches.accept(launches.make_token("acme", email="jo@shop.example")).user
    link = token(ask("jo@shop.example"))
    people.remove(tenant, user, jo.id)
    launches.accept(launches.make_token("acme", email="jo@shop.example"))
    assert login_links.read_link(link).state == "removed"
    drain("interactive")
    assert smtp.received == []  # nor is the mail sent that was on its way
    with time_machine.travel(utcnow() + timedelta(minutes=15), tick=False):
        assert isinstance(login_links.enter(token(ask("jo@shop.example"))), Place)


def test_a_link_does_nothing_while_the_shop_is_suspended(user: User, tenant: Tenant, smtp: SMTPSink) -> None:
    link = token(ask())
    tenants.upsert("acme", state="suspended")
    assert login_links.read_link(link).state == "removed"
    assert isinstance(login_links.enter(link), Link)
    count = len(mails())
    ask_later(minutes=15)
    drain("interactive")
    assert len(mails()) == count and smtp.received == []
    tenants.upsert("acme", state="active")
    assert isinstance(login_links.enter(link), Place)


def test_somebody_of_two_shops_still_gets_into_the_one_that_is_active(user: User, tenant: Tenant) -> None:
    launches.accept(launches.make_token("rival", tenant_name="Rival"))
    tenants.upsert("acme", state="suspended")
    entered = login_links.enter(token(ask()))
    assert isinstance(entered, Place) and entered.tenant is not None and entered.tenant.external_id == "rival"


def test_a_mailed_link_gives_the_role_that_the_platform_said_last(user: User, tenant: Tenant) -> None:
    people.invite(tenant, user, "jo@shop.example", "admin")
    launches.accept(launches.make_token("acme", email="jo@shop.example", sub="17", role="viewer"))
    launches.accept(launches.make_token("acme", email="jo@shop.example", sub="18", role="viewer"))
    entered = login_links.enter(token(ask("jo@shop.example")))
    assert isinstance(entered, Place) and entered.user.role == "viewer"


def test_whose_last_launch_is_too_old_an_admin_can_invite_again(user: User, tenant: Tenant) -> None:
    """As the page behind a link says that leads nowhere any more."""
    jo = launches.accept(launches.make_token("acme", email="jo@shop.example")).user
    with transaction():
        jo.launched_at = utcnow() - timedelta(days=400)
    assert login_links.read_link(token(ask("jo@shop.example"))).state == "removed"
    assert people.invite(tenant, user, "jo@shop.example", "viewer").id == jo.id
    with time_machine.travel(utcnow() + timedelta(minutes=15), tick=False):
        entered = login_links.enter(token(ask("jo@shop.example")))
    assert isinstance(entered, Place) and (entered.user.id, entered.user.role) == (jo.id, "viewer")


SPELLINGS = ("Admin@Shop.example", "admin@ｓｈｏｐ.example", "ADMIN@shop。example", "admin@SHOP.EXAMPLE")


@pytest.mark.parametrize("address", SPELLINGS)
def test_while_a_link_is_good_no_second_one_goes_out_however_the_address_is_spelled(user: User, address: str) -> None:
    first = db.session.get_one(SignInLink, ask())
    with pytest.raises(LinkSent) as refused:
        ask(address)
    assert (refused.value.sent_at, refused.value.next_at) == (first.created_at, first.expires_at)
    assert len(mails()) == 1
    ask_later(minutes=15)
    assert len(mails()) == 2


def test_of_many_requests_at_once_one_link_comes(app: Flask, user: User) -> None:
    db.session.remove()

    def press() -> bool:
        try:
            login_links.ask(ADDRESS, "en")
        except LinkSent:
            return False
        return True

    assert sorted(at_once(*[press] * 8, app=app)) == [False] * 7 + [True]


@pytest.mark.security("strangers who ask for sign-in links in another's name all day")
@pytest.mark.parametrize(("address", "most"), [(ADDRESS, 6), ("invited@shop.example", 2)])
def test_who_asks_in_anothers_name_all_day_keeps_nobody_out(
    tenant: Tenant, user: User, figure: Figure, address: str, most: int
) -> None:
    """At each time the newest mail in the inbox lets its reader in, who has come before or was only invited."""
    if address != ADDRESS:
        people.invite(tenant, user, address, "admin")
    start, worst = utcnow(), 0
    for minute in range(0, 24 * 60, 5):
        with time_machine.travel(start + timedelta(minutes=minute), tick=False):
            with suppress(LinkSent):
                ask(address)
            newest = (mails()[-1].data or {})["link"]
            worst += login_links.read_link(token(newest)).state != "pending"
    figure(f"{address}, every 5 minutes over 24 h: {len(mails())} mails, {worst} times without a good link")
    assert worst == 0 and len(mails()) <= most


def test_the_mail_says_how_long_its_link_is_good(user: User, smtp: SMTPSink) -> None:
    for number in range(4):
        ask_later(minutes=15 * number)
    with time_machine.travel(utcnow() + timedelta(minutes=50), tick=False):
        assert login_links.read_link(token(db.session.scalar(select(func.max(SignInLink.id))) or 0)).state == "pending"
        execute(update(Message).values(due_at=now(-1)))
        drain("interactive")
    html = smtp.received[-1].message.get_body(("html",))
    assert "for 11 hours" in smtp.received[-1].text and html and "for 11 hours" in html.get_content()


def test_who_is_invited_under_many_spellings_of_a_mailbox_takes_no_link_from_who_has_come(
    user: User, tenant: Tenant
) -> None:
    for number in range(12):
        spelled = f"admin+{number}@shop.example"
        with transaction() as session:
            session.add(User(tenant_id=tenant.id, subject=spelled, email=spelled, role="admin", invited_at=utcnow()))
        ask(spelled)
    assert len(mails()) == 2, "all spellings together"
    for number in range(30):
        with suppress(LinkSent):
            ask_later(minutes=47 * number)
    assert [mail.to_address for mail in mails()[2:]] == [ADDRESS] * 6


def test_the_last_link_of_several_spellings_stays_good_until_there_is_room(user: User, tenant: Tenant) -> None:
    spelled = [f"admin+{number}@shop.example" for number in range(5)]
    for address in spelled:
        launches.accept(launches.make_token("acme", email=address))
    numbers = [ask(address) for address in spelled]
    assert [mail.to_address for mail in mails()] == spelled[:4]
    links = [db.session.get_one(SignInLink, number) for number in numbers]
    assert links[2].expires_at == links[2].created_at + timedelta(minutes=15)
    assert links[3].expires_at > links[3].created_at + timedelta(hours=11)
