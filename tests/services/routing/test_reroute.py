"""Waiting mail follows its tenant's sender."""

from __future__ import annotations

from portal.models import Driver, Tenant, User
from portal.services.accounts import tenants
from portal.services.drivers import lifecycle
from portal.services.drivers.settings import DriverSettings
from portal.services.senders import identities
from portal.services.senders.settings_page import driver_status, sender_settings
from tests.support.driver_steps import accept, drain_driver, saved
from tests.support.mail_service import MailService
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain


def test_saving_a_driver_takes_along_the_mail_that_waited(tenant: Tenant, user: User, service: MailService) -> None:
    accept(tenant)
    wanted = DriverSettings(
        "other", "127.0.0.1", service.port, "starttls", "shop@acme.example", service.password, "shop@acme.example", ""
    )
    driver = saved(tenant, user, wanted)
    service.sink.clear()
    drain_driver(driver)
    assert len(service.sink.received) == 1


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
