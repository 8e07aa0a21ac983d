"""Steps of the tests about drivers: an account is tried, saved and used."""

from flask import Flask, current_app
from sqlalchemy import func, select

from portal.extensions import db
from portal.models import Driver, DriverTest, Message, Tenant, User
from portal.services.drivers import probe, save_gate
from portal.services.drivers.settings import DriverSettings
from portal.services.outbox import accept as outbox
from portal.transport.base import Timeouts
from tests.support.mail_service import MailService
from tests.support.settings import configure
from tests.support.steps import PATIENT, drain


def allow(app: Flask, service: MailService) -> None:
    """What an operator sets who lets merchants use a server on a private network."""
    ports = str(service.port)
    configure(app, smtp_ca_file=service.ca_file, smtp_allowed_networks="127.0.0.0/8", smtp_allowed_ports=ports)


def run_test(tenant: Tenant, user: User, wanted: DriverSettings, timeouts: Timeouts = PATIENT) -> DriverTest:
    """Start a test and run its job as a worker would."""
    test = save_gate.start(tenant, user, wanted)
    db.session.rollback()
    with current_app.app_context():  # type: ignore[attr-defined]
        probe.run(test.id, timeouts)
    db.session.rollback()
    latest = save_gate.latest(tenant)
    assert latest is not None and latest.id == test.id
    return latest


def saved(tenant: Tenant, user: User, wanted: DriverSettings) -> Driver:
    assert run_test(tenant, user, wanted).state == "passed"
    return save_gate.save(tenant, user, wanted, 0)


def accept(tenant: Tenant, number: int = 0) -> Message:
    return outbox.accept(tenant, kind="order_update", to=f"c{number}@customer.example", subject=f"{number}", text="Hi")


def drain_driver(driver: Driver) -> int:
    route = driver.route
    db.session.rollback()
    return drain(route)


def states() -> dict[str, int]:
    db.session.rollback()
    query = select(Message.state, func.count()).where(Message.kind == "order_update").group_by(Message.state)
    return dict(db.session.execute(query).all())
