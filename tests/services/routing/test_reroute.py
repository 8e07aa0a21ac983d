"""Waiting mail follows its tenant's sender, and what is withdrawn meanwhile stays withdrawn."""

from __future__ import annotations

import os
import threading

import pytest
from flask import Flask
from sqlalchemy import select, text

from portal.extensions import db
from portal.models import Driver, LogEntry, Message, Tenant, User
from portal.models.message import WAITING, State
from portal.services.drivers import lifecycle
from portal.services.message_state import MESSAGE, change
from tests.support.driver_steps import accept, states


@pytest.mark.skipif(not os.environ.get("PORTAL_TEST_DATABASE_URL"), reason="SQLite has one writer at a time")
def test_mail_that_is_withdrawn_while_it_is_released_stays_withdrawn(
    app: Flask, tenant: Tenant, user: User, driver: Driver
) -> None:
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
