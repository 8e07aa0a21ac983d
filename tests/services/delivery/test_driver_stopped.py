"""A stopped driver: one attempt, a word to the admins, and where its mail goes meanwhile."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import insert, select, update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Driver, Lane, LogEntry, MailCount, Message, Tenant, User, now, utcnow
from portal.services.accounts import launches, people
from portal.services.delivery import claims, driver_stopped, prepare
from portal.services.drivers import lifecycle
from portal.services.emails import contents
from portal.services.outbox import accept as outbox
from portal.services.routing import lanes
from portal.services.senders import identities
from portal.services.senders.settings_page import sender_settings
from portal.transport.mime.addresses import Mailbox
from tests.support.driver_steps import accept, drain_driver, states
from tests.support.mail_service import MailService
from tests.support.smtp_sink import SMTPSink
from tests.support.statements import recorded
from tests.support.steps import again, drain, events, execute


def test_a_refused_sign_in_costs_one_attempt_and_loses_nothing(
    tenant: Tenant, user: User, driver: Driver, service: MailService, smtp: SMTPSink
) -> None:
    for number in range(50):
        accept(tenant, number)
    service.password = "changed-at-the-provider"
    for _ in range(3):
        drain_driver(driver)
    assert service.sign_ins == 1
    assert states() == {"held": 50}
    driver = lifecycle.get(tenant)
    assert (driver.state, driver.reason) == ("stopped", "bad_credentials")
    drain("interactive")
    (notice,) = smtp.received
    assert notice.rcpt_to == (user.email,) and "refuses to send" in notice.message["Subject"]

    service.password = "abcdefghijklmnop"
    lifecycle.resume(tenant, user)
    while drain_driver(lifecycle.get(tenant)):
        pass
    assert states() == {"sent": 50}
    assert [mail.rcpt_to[0] for mail in service.sink.received] == [f"c{n}@customer.example" for n in range(50)]


def untold(driver: Driver, service: MailService, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider refuses the driver while the mail that tells of it can't be made."""

    def broken(*_: object) -> None:
        raise RuntimeError("a template lacks something")

    with monkeypatch.context() as patched:
        patched.setattr(contents, "driver_stopped", broken)
        service.password = "changed-at-the-provider"
        drain_driver(driver)
        with pytest.raises(driver_stopped.Untold):  # which the clock counts, and an alarm watches
            driver_stopped.tell_forgotten()
    db.session.rollback()


def notices(smtp: SMTPSink) -> int:
    drain("interactive")
    return len(smtp.received)


def test_a_notice_that_cannot_be_made_keeps_no_driver_from_being_stopped_and_is_made_later_once(
    tenant: Tenant, driver: Driver, service: MailService, smtp: SMTPSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(tenant)
    untold(driver, service, monkeypatch)
    stopped = lifecycle.get(tenant)
    assert (stopped.state, stopped.told_at, states()) == ("stopped", None, {"held": 1})
    assert service.sign_ins == 1 and notices(smtp) == 0
    assert driver_stopped.tell_forgotten() == 1
    assert driver_stopped.tell_forgotten() == 0
    driver_stopped.tell(driver.id)
    assert notices(smtp) == 1


def test_nobody_is_told_of_a_driver_that_was_resumed_meanwhile(
    tenant: Tenant, user: User, driver: Driver, service: MailService, smtp: SMTPSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(tenant)
    untold(driver, service, monkeypatch)
    lifecycle.resume(tenant, user)
    driver_stopped.tell(driver.id)
    assert driver_stopped.tell_forgotten() == 0 and notices(smtp) == 0


def stop(driver: Driver) -> None:
    """As if the provider refused it at this moment."""
    execute(update(Driver).values(state="stopped", reason="bad_credentials", told_at=None))
    driver_stopped.tell(driver.id)


def test_only_who_has_come_is_told(tenant: Tenant, user: User, driver: Driver, smtp: SMTPSink) -> None:
    for name in ("anna", "ben", "carla"):
        people.invite(tenant, user, f"{name}@elsewhere.example", "admin")
    drain("interactive")
    smtp.clear()
    stop(driver)
    drain("interactive")
    assert [mail.rcpt_to for mail in smtp.received] == [(user.email,)]


def test_one_mailbox_is_told_once_however_many_names_it_has(tenant: Tenant, driver: Driver, smtp: SMTPSink) -> None:
    for number in range(5):
        launches.accept(launches.make_token("acme", email=f"admin+{number}@shop.example"))
    stop(driver)
    assert notices(smtp) == 1


def test_a_driver_that_stops_again_and_again_is_told_of_once_in_six_hours_and_then_if_it_still_is(
    tenant: Tenant, user: User, driver: Driver, smtp: SMTPSink
) -> None:
    for _ in range(20):
        stop(driver)
        assert driver_stopped.tell_forgotten() == 0
    assert notices(smtp) == 1
    assert lifecycle.get(tenant).told_at is None
    with time_machine.travel(utcnow() + timedelta(hours=6, seconds=1), tick=False):
        assert driver_stopped.tell_forgotten() == 1
        assert driver_stopped.tell_forgotten() == 0
    execute(update(Message).values(due_at=now(-1)))
    assert notices(smtp) == 2


def test_a_mailbox_gets_two_notices_a_day_of_all_shops(tenant: Tenant, user: User, driver: Driver) -> None:
    execute(insert(MailCount).values([{"mailbox": user.email, "kind": "notice", "at": utcnow()}] * 2))
    stop(driver)
    assert db.session.scalars(select(Message).where(Message.kind == "notice")).all() == []
    assert driver_stopped.tell_forgotten() == 0, "and isn't asked for again and again"


@pytest.mark.parametrize("locale", ["en", "de"])
@pytest.mark.parametrize(
    ("reason", "names"),
    [
        ("bad_credentials", {"en": "The username or the password is wrong.", "de": "Passwort ist falsch."}),
        ("ip_blocked", {"en": "The sending server is on a block list.", "de": "steht auf einer Sperrliste."}),
        ("send_as_denied", {"en": "may not send from this address.", "de": "darf nicht von dieser Adresse senden."}),
        ("account_suspended", {"en": "The mail account is suspended.", "de": "Das Mailkonto ist gesperrt."}),
        ("tls_failed", {"en": "No secure connection", "de": "Es kam keine sichere Verbindung"}),
        ("unknown", {"en": "The mail server refused it.", "de": "Der Mailserver hat abgelehnt."}),
    ],
)
def test_the_admins_mail_names_the_cause_and_speaks_of_passwords_only_where_one_may_be_wrong(
    tenant: Tenant, driver: Driver, locale: str, reason: str, names: dict[str, str]
) -> None:
    driver.reason = reason
    content = contents.driver_stopped(tenant, driver, locale)
    for text in (content.text, content.html):
        assert text and names[locale] in text
        about_passwords = {"en": "Enter the new password", "de": "das neue Passwort"}[locale] in text
        assert about_passwords == (reason == "bad_credentials")


def test_mail_accepted_while_the_driver_stopped_waits_too(tenant: Tenant, user: User, driver: Driver) -> None:
    lifecycle.pause(tenant, user)
    accept(tenant)
    assert states() == {"held": 1}
    lifecycle.resume(tenant, user)
    drain_driver(driver)
    assert states() == {"sent": 1}


def test_mail_accepted_while_the_password_is_wrong_says_so_and_not_that_somebody_paused_it(
    tenant: Tenant, driver: Driver, service: MailService
) -> None:
    service.password = "changed-at-the-provider"
    first = accept(tenant, 1)
    drain_driver(driver)
    later = accept(tenant, 2)
    assert again(first).reason == again(later).reason == "bad_credentials"
    held = db.session.scalars(select(LogEntry).where(LogEntry.message_id == later.id, LogEntry.event == "held")).one()
    assert held.reason == "bad_credentials"


def test_mail_of_a_driver_chosen_while_paused_says_why_it_waits(tenant: Tenant, user: User, driver: Driver) -> None:
    lifecycle.pause(tenant, user)
    identities.use_default(tenant, user)
    waiting = accept(tenant, 1)
    lifecycle.use(tenant, user)
    assert (again(waiting).state, again(waiting).reason) == ("held", "driver_paused")


def test_held_time_does_not_count_towards_giving_up(tenant: Tenant, user: User, driver: Driver) -> None:
    message = accept(tenant)
    lifecycle.pause(tenant, user)
    execute(update(Message).values(held_at=now(-7200)))
    before = db.session.get_one(Message, message.id, populate_existing=True).expires_at
    lifecycle.resume(tenant, user)
    after = db.session.get_one(Message, message.id, populate_existing=True).expires_at
    assert 7199 < (after - before).total_seconds() < 7300


def test_by_choice_held_mail_goes_by_the_default_sender_and_the_log_says_so(
    tenant: Tenant, user: User, driver: Driver, smtp: SMTPSink
) -> None:
    message = accept(tenant)
    lifecycle.pause(tenant, user)
    lifecycle.set_held_mail(tenant, user, "default")
    drain()
    assert smtp.received[0].message["From"] == "Marketplace <notifications@marketplace.example>"
    assert "shop@acme.example" in smtp.received[0].message["Reply-To"]  # answers still reach the shop
    assert events(message) == ["queued", "sender_changed", "sent"]
    assert sender_settings(tenant).stands_in


def test_mail_accepted_while_the_default_sender_stands_in_is_marked_in_the_log(
    tenant: Tenant, user: User, driver: Driver, smtp: SMTPSink
) -> None:
    lifecycle.set_held_mail(tenant, user, "default")
    lifecycle.pause(tenant, user)
    with transaction():
        accepted = outbox.write(
            [
                outbox.Draft(tenant, "order_update", Mailbox("", "a@customer.example"), "A", text="x"),
                outbox.Draft(tenant, "notice", Mailbox("", "b@customer.example"), "B", text="x", route="interactive"),
            ]
        )
    marked, interactive = (db.session.get_one(Message, one.id) for one in accepted)
    drain()
    assert smtp.received[0].message["From"] == "Marketplace <notifications@marketplace.example>"
    assert events(marked) == ["queued", "sender_changed", "sent"]
    assert events(interactive) == ["queued"]


def test_mail_that_waited_when_the_driver_was_stopped_is_marked_once_when_the_default_sender_stands_in(
    tenant: Tenant, user: User, driver: Driver, service: MailService, smtp: SMTPSink
) -> None:
    lifecycle.set_held_mail(tenant, user, "default")
    at_hand, behind, deferred = (accept(tenant, number) for number in range(3))
    with transaction() as session:
        later = update(Message).where(Message.id == deferred.id)
        session.execute(later.values(state="deferred", due_at=now(3600)))
    service.password = "changed-at-the-provider"
    drain_driver(driver)
    lifecycle.set_held_mail(tenant, user, "wait")
    lifecycle.set_held_mail(tenant, user, "default")
    execute(update(Message).values(due_at=now(-1)))
    drain()
    assert [mail.message["From"] for mail in smtp.received] == ["Marketplace <notifications@marketplace.example>"] * 3
    assert events(at_hand) == ["queued", "held", "sender_changed", "sent"]
    for message in (behind, deferred):
        assert events(message) == ["queued", "sender_changed", "sent"]


def test_another_senders_mail_is_marked_once_the_default_stands_in(tenant: Tenant, user: User, driver: Driver) -> None:
    lifecycle.set_held_mail(tenant, user, "default")
    lifecycle.pause(tenant, user)
    identities.use_default(tenant, user)
    message = accept(tenant)
    lifecycle.use(tenant, user)
    lifecycle.use(tenant, user)
    assert events(message) == ["queued", "sender_changed"]


def test_mail_claimed_when_the_driver_was_paused_is_marked_too(tenant: Tenant, user: User, driver: Driver) -> None:
    lifecycle.set_held_mail(tenant, user, "default")
    message = accept(tenant)
    lane = db.session.scalars(select(Lane).where(Lane.route == driver.route)).one()
    lease = lanes.take(lane.id)
    assert lease is not None
    (attempt,) = claims.claim(lease)
    lifecycle.pause(tenant, user)
    assert prepare.prepare(attempt) is None
    lanes.release(lease)
    drain()
    assert events(message) == ["queued", "sender_changed", "sent"]


def test_a_normal_mail_costs_no_statement_for_it(tenant: Tenant, driver: Driver, service: MailService) -> None:
    accept(tenant)
    with recorded() as asked:
        accept(tenant)
        drain_driver(driver)
    assert len([text for text, _ in asked if "INTO log_entry" in text]) == 3  # one queued, two sent
    assert not [text for text, values in asked if "driver_stopped" in f"{text}{values}"]
