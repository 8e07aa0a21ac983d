"""Waiting mail follows its tenant's sender, and what is withdrawn meanwhile stays withdrawn."""

import os
import threading

import pytest
from flask import Flask
from sqlalchemy import select, text

from portal.extensions import db
from portal.models import Driver, LogEntry, Message, Tenant, User
from portal.models.message import WAITING, State
from portal.services.accounts import tenants
from portal.services.drivers import lifecycle
from portal.services.drivers.settings import DriverSettings
from portal.services.message_state import MESSAGE, change
from portal.services.senders import identities
from portal.services.senders.settings_page import driver_status, sender_settings
from tests.support.driver_steps import accept, drain_driver, saved, states
from tests.support.mail_service import MailService
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain


def test_saving_a_driver_takes_waiting_mail_along(
    tenant: Tenant, user: User, service: MailService, wanted: DriverSettings
) -> None:
    accept(tenant)
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


@pytest.mark.skipif(not os.environ.get("PORTAL_TEST_DATABASE_URL"), reason="SQLite has one writer at a time")
def test_what_is_withdrawn_while_released_stays_so(app: Flask, tenant: Tenant, user: User, driver: Driver) -> None:
    accept(tenant)
    lifecycle.pause(tenant, user)

    def resume() -> None:
        with app.app_context():
            lifecycle.resume(db.session.get_one(Tenant, tenant.id))

    with db.engine.connect() as withdrawal:
        withdrawal.execute(change([State.HELD], State.CANCELLED))
        release = threading.Thread(target=resume)
        release.start()
        for _ in range(1000):
            if db.session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                break
        withdrawal.commit()
        release.join(20)
    assert states() == {"cancelled": 1}


def test_only_what_is_held_is_logged_as_held(tenant: Tenant, user: User, driver: Driver) -> None:
    accept(tenant)
    accept(tenant)
    ended = db.session.scalars(select(Message.id).where(Message.state == State.QUEUED)).first()
    db.session.execute(change(WAITING, State.CANCELLED).where(MESSAGE.c.id == ended))
    db.session.commit()
    lifecycle.pause(tenant, user)
    logged = db.session.scalars(select(LogEntry.message_id).where(LogEntry.event == "held")).all()
    assert len(logged) == 1 and ended not in logged
