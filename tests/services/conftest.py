"""What several tests of services need."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from portal.models import Driver, Tenant, User
from portal.services.accounts import tenants
from portal.services.drivers.settings import DriverSettings
from tests.support.driver_steps import allow, saved
from tests.support.mail_service import MailService
from tests.support.refusing_relay import RefusingRelay
from tests.support.scripted_server import ScriptedServer
from tests.support.settings import configure

RelayTo = Callable[[ScriptedServer], None]


@pytest.fixture
def relay_to(ctx: Flask) -> RelayTo:
    """Point the relay at a scripted server."""

    def point(server: ScriptedServer) -> None:
        configure(ctx, relay=f"smtp://127.0.0.1:{server.port}")

    return point


@pytest.fixture
def relay(ctx: Flask) -> Iterator[RefusingRelay]:
    """A relay in the platform's place, which refuses what a test says."""
    with RefusingRelay() as server:
        configure(ctx, relay=server.url)
        yield server


@pytest.fixture
def other(tenant: Tenant) -> Tenant:
    """Another shop."""
    return tenants.upsert("other", name="Other")[0]


@pytest.fixture
def service(ctx: Flask, tmp_path: Path) -> Iterator[MailService]:
    with MailService(tmp_path) as service:
        allow(ctx, service)
        yield service


@pytest.fixture
def wanted(service: MailService) -> DriverSettings:
    return DriverSettings(
        preset="other", host="127.0.0.1", port=service.port, encryption="starttls", username="shop@acme.example",
        secret=service.password, from_address="shop@acme.example", from_name="Acme Shop",
    )  # fmt: skip


@pytest.fixture
def driver(tenant: Tenant, user: User, service: MailService, wanted: DriverSettings) -> Driver:
    driver = saved(tenant, user, wanted)
    service.sink.clear()
    service.sign_ins = 0
    return driver
