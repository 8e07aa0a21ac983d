"""A driver at work: its pace, its limits, and its mail's way to and from it."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from portal.extensions import db
from portal.models import Driver, Lane, Tenant, User
from portal.services.delivery import claims, prepare
from portal.services.drivers import lifecycle, probe, save_gate, setup_page
from portal.services.errors import SettingsUntested
from portal.services.routing import lanes
from portal.services.senders.settings_page import sender_settings
from tests.support.driver_steps import accept, drain_driver, run_test, states
from tests.support.mail_service import MailService
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain


def test_mail_goes_out_by_the_own_account(tenant: Tenant, driver: Driver, service: MailService, smtp: SMTPSink) -> None:
    accept(tenant)
    assert drain_driver(driver) == 1
    mail = service.sink.received[0]
    assert mail.mail_from == "shop@acme.example" and mail.message["From"] == "Acme Shop <shop@acme.example>"
    assert smtp.received == []


def test_three_unknown_failures_in_a_row_stop_the_driver(tenant: Tenant, driver: Driver, service: MailService) -> None:
    service.reply = lambda: "599 what nobody knows"
    for number in range(5):
        accept(tenant, number)
    drain_driver(driver)
    assert states() == {"failed": 2, "held": 3}
    assert lifecycle.get(tenant).state == "stopped"


def test_they_are_in_a_row_however_many_drains_they_take(tenant: Tenant, driver: Driver, service: MailService) -> None:
    for number, reply in enumerate(("599 what", "599 what", "250 2.0.0 ok", "599 what", "599 what", "599 what")):
        service.reply = lambda: reply  # noqa: B023
        accept(tenant, number)
        drain_driver(driver)
    assert states() == {"failed": 4, "sent": 1, "held": 1}
    assert lifecycle.get(tenant).state == "stopped"


def test_removing_it_goes_back_to_the_sender_before(tenant: Tenant, user: User, driver: Driver, smtp: SMTPSink) -> None:
    lifecycle.pause(tenant, user)
    accept(tenant)
    lifecycle.remove(tenant, user)
    assert sender_settings(tenant).mode == "platform"
    drain()
    assert len(smtp.received) == 1
    lanes.ensure()
    assert db.session.scalar(select(func.count(Lane.id)).where(Lane.route.startswith("driver:"))) == 0


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


@pytest.mark.parametrize("paused", [False, True])
def test_resuming_asks_at_once_again_for_what_waited_for_the_account(
    tenant: Tenant, user: User, driver: Driver, service: MailService, paused: bool
) -> None:
    service.reply = lambda: "550 5.4.5 Daily user sending limit exceeded."
    accept(tenant)
    drain_driver(driver)
    service.reply = lambda: None
    if paused:
        lifecycle.pause(tenant, user)
    lifecycle.resume(tenant, user)
    drain_driver(driver)
    assert states() == {"sent": 1}


def test_a_test_from_before_opens_nothing(tenant: Tenant, user: User, driver: Driver, service: MailService) -> None:
    accept(tenant)
    service.password = "changed-at-the-provider"
    drain_driver(driver)
    tested = probe.driver_settings.of(lifecycle.get(tenant))
    assert setup_page.read(tenant).gate(tested) == "expired"
    with pytest.raises(SettingsUntested):
        save_gate.save(tenant, user, replace(tested, secret=""), 1)
    assert lifecycle.get(tenant).state == "stopped"


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
