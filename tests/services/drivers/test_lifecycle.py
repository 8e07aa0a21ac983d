"""A driver at work: its pace, its limits, and its mail's way to and from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, select, update

from portal import providers
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Driver, Lane, Message, Tenant, User, now
from portal.services.accounts import tenants
from portal.services.delivery import claims, prepare
from portal.services.drivers import lifecycle, probe, quota, save_gate, setup_page
from portal.services.drivers.settings import DriverSettings
from portal.services.errors import SettingsUntested
from portal.services.routing import lanes
from portal.services.senders import identities
from portal.services.senders.settings_page import driver_status, sender_settings
from tests.support.driver_steps import accept, drain_driver, run_test, saved, states
from tests.support.mail_service import MailService
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain


def test_mail_goes_out_through_the_merchants_own_account(
    tenant: Tenant, driver: Driver, service: MailService, smtp: SMTPSink
) -> None:
    accept(tenant)
    assert drain_driver(driver) == 1
    mail = service.sink.received[0]
    assert mail.mail_from == "shop@acme.example" and mail.message["From"] == "Acme Shop <shop@acme.example>"
    assert smtp.received == []


def test_saving_a_driver_takes_along_the_mail_that_waited(tenant: Tenant, user: User, service: MailService) -> None:
    accept(tenant)
    wanted = DriverSettings(
        "other", "127.0.0.1", service.port, "starttls", "shop@acme.example", service.password, "shop@acme.example", ""
    )
    driver = saved(tenant, user, wanted)
    service.sink.clear()
    drain_driver(driver)
    assert len(service.sink.received) == 1


def test_a_daily_quota_makes_the_driver_wait_and_then_go_on_by_itself(
    tenant: Tenant, driver: Driver, service: MailService
) -> None:
    service.reply = lambda: "550 5.4.5 Daily user sending limit exceeded. https://support.google.com/a/answer/166852"
    accept(tenant)
    drain_driver(driver)
    status = driver_status(tenant)
    assert status is not None and status.waits_until is not None and status.waits_for == "quota_daily"
    assert states() == {"deferred": 1} and lifecycle.get(tenant).state == "active"
    service.reply = lambda: None
    with transaction() as session:
        session.execute(update(Lane).values(not_before=None))
        session.execute(update(Message).where(Message.state == "deferred").values(due_at=now(-1)))
    drain_driver(driver)
    assert states() == {"sent": 1}


def test_a_full_day_holds_mail_back_instead_of_running_into_the_providers_block(
    tenant: Tenant, driver: Driver, service: MailService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota, "daily_limit", lambda driver: 4)  # one of them the test mail's
    for number in range(5):
        accept(tenant, number)
    drain_driver(driver)
    assert states() == {"sent": 3, "queued": 2} and len(service.sink.received) == 3
    usage = quota.usage(lifecycle.get(tenant))
    assert (usage.sent, usage.percent, usage.is_near) == (4, 100, True)
    status = driver_status(tenant)
    assert status is not None and status.waits_for == "quota_daily" and status.waits_until is not None


def test_the_minutes_limit_is_kept(tenant: Tenant, driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    slow = dataclasses.replace(providers.PRESETS["other"], per_minute=3)  # one of them the test mail's
    monkeypatch.setattr(quota, "provider", lambda driver: slow)
    for number in range(5):
        accept(tenant, number)
    drain_driver(driver)
    assert states() == {"sent": 2, "queued": 3}


def test_test_mails_count_for_the_account_they_went_through(
    tenant: Tenant, user: User, driver: Driver, service: MailService
) -> None:
    assert quota.usage(driver).sent == 1
    same = DriverSettings(
        "other", "127.0.0.1", service.port, "starttls", "shop@acme.example", service.password, "shop@acme.example", "",
    )  # fmt: skip
    assert run_test(tenant, user, same).state == "passed"
    assert quota.usage(lifecycle.get(tenant)).sent == 2
    assert run_test(tenant, user, replace(same, secret="wrong-password")).state == "failed"
    assert quota.usage(lifecycle.get(tenant)).sent == 2, "what was refused was not sent"


def test_the_pace_is_counted_from_an_index_alone(tenant: Tenant, driver: Driver) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL's plans depend on its statistics")
    compiled = str(
        select(func.count())
        .where(*quota._within(driver, quota.DAY))
        .compile(db.engine, compile_kwargs={"literal_binds": True})
    )
    plan = [row[3] for row in db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")]
    assert plan == ["SEARCH message USING COVERING INDEX ix_message_route_finished (route=? AND finished_at>?)"]


@pytest.mark.parametrize("host", ["smtp.ionos.de", "smtppro.zoho.eu"])
def test_a_limit_by_the_hour_is_kept_by_the_minute(tenant: Tenant, driver: Driver, host: str) -> None:
    driver.host = host
    assert 0 < (quota.provider(driver).per_minute or 0) * 60 <= {"smtp.ionos.de": 500, "smtppro.zoho.eu": 500}[host]


def test_a_limit_that_depends_on_the_plan_holds_nothing_back(tenant: Tenant, driver: Driver) -> None:
    driver.host = "smtp.mailgun.org"
    assert quota.daily_limit(driver) is None and quota.usage(driver).limit is None
    assert quota.allowance(driver, 50).count == 50


def test_three_unknown_failures_in_a_row_stop_the_driver(tenant: Tenant, driver: Driver, service: MailService) -> None:
    service.reply = lambda: "599 what nobody knows"
    for number in range(5):
        accept(tenant, number)
    drain_driver(driver)
    assert states() == {"failed": 2, "held": 3}
    assert lifecycle.get(tenant).state == "broken"


def test_they_are_in_a_row_however_many_drains_they_take(tenant: Tenant, driver: Driver, service: MailService) -> None:
    for number, reply in enumerate(("599 what", "599 what", "250 2.0.0 ok", "599 what", "599 what", "599 what")):
        service.reply = lambda: reply  # noqa: B023
        accept(tenant, number)
        drain_driver(driver)
    assert states() == {"failed": 4, "sent": 1, "held": 1}
    assert lifecycle.get(tenant).state == "broken"


def test_removing_the_driver_goes_back_to_the_sender_before(
    tenant: Tenant, user: User, driver: Driver, smtp: SMTPSink
) -> None:
    lifecycle.pause(tenant, user)
    accept(tenant)
    lifecycle.remove(tenant, user)
    assert sender_settings(tenant).mode == "platform"
    drain()
    assert len(smtp.received) == 1
    lanes.ensure()
    assert db.session.scalar(select(func.count(Lane.id)).where(Lane.route.startswith("driver:"))) == 0


def test_a_downgrade_deletes_nothing_and_an_upgrade_brings_it_back(
    tenant: Tenant, user: User, driver: Driver, smtp: SMTPSink, service: MailService
) -> None:
    lifecycle.pause(tenant, user)
    accept(tenant)
    tenants.upsert("acme", plan="basic")
    shown = sender_settings(tenant)
    assert (shown.mode, shown.chosen_mode, shown.driver_allowed) == ("platform", "driver", False)
    drain()
    assert len(smtp.received) == 1
    tenants.upsert("acme", plan="enterprise")
    lifecycle.resume(tenant, user)
    accept(tenant)
    drain_driver(driver)
    assert len(service.sink.received) == 1


def test_choosing_another_sender_frees_held_mail(tenant: Tenant, user: User, driver: Driver, smtp: SMTPSink) -> None:
    lifecycle.pause(tenant, user)
    accept(tenant)
    identities.use_default(tenant, user)
    drain()
    assert len(smtp.received) == 1 and driver_status(tenant) is not None
    lifecycle.use(tenant, user)
    assert sender_settings(tenant).chosen_mode == "driver"


def test_a_drain_of_a_driver_removed_meanwhile_sends_by_the_sender_in_force(
    tenant: Tenant, user: User, driver: Driver, service: MailService, smtp: SMTPSink
) -> None:
    accept(tenant)
    lane = db.session.scalars(select(Lane).where(Lane.route == driver.route)).one()
    lease = lanes.take(lane.id)
    assert lease is not None
    (attempt,) = claims.claim(lease)
    lifecycle.remove(tenant, user)
    assert prepare.prepare(attempt) is None
    lanes.release(lease)
    drain()
    assert len(smtp.received) == 1 and service.sink.received == []


def test_resuming_asks_at_once_again_for_what_waited_for_the_account(
    tenant: Tenant, user: User, driver: Driver, service: MailService
) -> None:
    service.reply = lambda: "550 5.4.5 Daily user sending limit exceeded."
    accept(tenant)
    drain_driver(driver)
    service.reply = lambda: None
    lifecycle.resume(tenant, user)
    drain_driver(driver)
    assert states() == {"sent": 1}


def test_pausing_in_between_does_not_keep_waiting_mail_back(
    tenant: Tenant, user: User, driver: Driver, service: MailService
) -> None:
    service.reply = lambda: "550 5.4.5 Daily user sending limit exceeded."
    accept(tenant)
    drain_driver(driver)
    service.reply = lambda: None
    lifecycle.pause(tenant, user)
    lifecycle.resume(tenant, user)
    drain_driver(driver)
    assert states() == {"sent": 1}


def test_a_test_from_before_the_refusal_opens_nothing(
    tenant: Tenant, user: User, driver: Driver, service: MailService
) -> None:
    accept(tenant)
    service.password = "changed-at-the-provider"
    drain_driver(driver)
    tested = probe.driver_settings.of(lifecycle.get(tenant))
    assert setup_page.read(tenant).gate(tested) == "expired"
    with pytest.raises(SettingsUntested):
        save_gate.save(tenant, user, replace(tested, secret=""), 1)
    assert lifecycle.get(tenant).state == "broken"


@pytest.mark.parametrize(("paused_by", "then"), [("a person", "paused"), ("the server", "active")])
def test_a_passed_test_mends_what_the_server_stopped_and_not_what_a_person_did(
    tenant: Tenant, user: User, driver: Driver, service: MailService, paused_by: str, then: str
) -> None:
    if paused_by == "a person":
        lifecycle.pause(tenant, user)
    else:
        accept(tenant)
        service.password = "changed"
        drain_driver(driver)
        service.password = "abcdefghijklmnop"
    assert run_test(tenant, user, probe.driver_settings.of(lifecycle.get(tenant))).state == "passed"
    assert lifecycle.get(tenant).state == then
