"""A connection outlives its drain, for the next one of the same lane, and is closed in time."""

from collections.abc import Iterator

import pytest
from flask import Flask, current_app
from sqlalchemy import update

from portal.encryption import encrypt
from portal.extensions import db
from portal.models import Driver, Tenant
from portal.services.delivery import drain as delivery
from portal.services.delivery.connections import Connections
from portal.services.delivery.place import Place, Shared
from portal.transport.fake import FakeServer
from portal.transport.smtp.account import Account
from tests.support.hostile_server import HostileServer
from tests.support.mail_service import MailService
from tests.support.settings import configure
from tests.support.steps import PATIENT, accept, again, execute, lane_id

ACCOUNT = Account("smtp.example", 587, username="shop", password="first")


@pytest.fixture
def shared() -> Iterator[Shared]:
    shared = Shared(2)
    yield shared
    shared.connections.close_all()


@pytest.fixture
def relay(ctx: Flask) -> Iterator[HostileServer]:
    with HostileServer() as server:
        configure(ctx, relay=server.url)
        yield server


def send(tenant: Tenant, shared: Shared, route: str = "relay") -> str:
    """One mail in one drain; what became of it."""
    message = accept(tenant)
    lane = lane_id(route)
    db.session.rollback()
    with current_app.app_context():  # type: ignore[attr-defined]
        delivery.drain(lane, PATIENT, Place(shared))
    return again(message).state


def test_the_next_drain_of_a_lane_goes_on_where_the_last_one_ended(
    tenant: Tenant, relay: HostileServer, shared: Shared
) -> None:
    assert [send(tenant, shared) for _ in range(3)] == ["sent"] * 3
    assert len(relay.talks) == 1 and not relay.commands("QUIT")
    shared.connections.close_all()
    relay.wait_until(lambda server: server.commands("QUIT"), "it is closed with a farewell")


def test_an_own_account_is_signed_in_to_once(
    driver: Driver, service: MailService, tenant: Tenant, shared: Shared
) -> None:
    assert [send(tenant, shared, driver.route) for _ in range(3)] == ["sent"] * 3
    assert service.sign_ins == 1


def test_a_connection_by_an_earlier_password_carries_nothing_more(
    driver: Driver, service: MailService, tenant: Tenant, shared: Shared
) -> None:
    assert send(tenant, shared, driver.route) == "sent"
    service.password = "another one"
    assert send(tenant, shared, driver.route) == "sent", "the server hasn't thrown it out"
    execute(update(Driver).values(secret=encrypt("another one")))
    assert send(tenant, shared, driver.route) == "sent"
    assert service.sign_ins == 2


def test_a_connection_that_the_server_has_closed_meanwhile_costs_nothing(
    tenant: Tenant, relay: HostileServer, shared: Shared
) -> None:
    relay.script = lambda talk, point: "close" if point == "MAIL" and talk.accepted else None
    assert [send(tenant, shared) for _ in range(3)] == ["sent"] * 3
    assert len(relay.talks) == 3 and set(relay.copies().values()) == {3}


def test_no_connection_is_kept_where_the_operator_says_so(
    ctx: Flask, tenant: Tenant, relay: HostileServer, shared: Shared
) -> None:
    configure(ctx, smtp_idle_seconds=0)
    assert [send(tenant, shared) for _ in range(2)] == ["sent"] * 2
    assert len(relay.talks) == 2
    relay.wait_until(lambda server: len(server.commands("QUIT")) == 2, "both are closed")


def test_a_failed_session_leaves_no_connection(tenant: Tenant, relay: HostileServer, shared: Shared) -> None:
    relay.script = lambda talk, point: "close" if point == "." and talk.number == 1 else None
    assert send(tenant, shared) == "queued"
    assert shared.connections.take(lane_id("relay"), current_app.extensions["settings"].relay_account) is None


def opened(server: FakeServer, account: Account = ACCOUNT):  # type: ignore[no-untyped-def]
    transport = server.transport(account)
    transport.open()
    return transport


def test_only_the_same_account_gets_it_and_once_only() -> None:
    server, kept = FakeServer(), Connections(2)
    transport = opened(server)
    kept.keep(1, ACCOUNT, transport, 60)
    assert kept.take(2, ACCOUNT) is None
    assert kept.take(1, ACCOUNT) is transport
    assert kept.take(1, ACCOUNT) is None
    kept.keep(1, ACCOUNT, transport, 60)
    assert kept.take(1, Account("smtp.example", 587, username="shop", password="second")) is None
    kept.close_all()
    assert kept.take(1, ACCOUNT) is None


def test_none_is_kept_beside_another_worker() -> None:
    server, kept = FakeServer(), Connections(2)
    first, second, third = (opened(server) for _ in range(3))
    kept.keep(1, ACCOUNT, first, 60)
    kept.close_old(alone=False)
    kept.keep(2, ACCOUNT, second, 60)
    assert kept.take(1, ACCOUNT) is None and kept.take(2, ACCOUNT) is None
    kept.close_old(alone=True)
    kept.keep(3, ACCOUNT, third, 60)
    assert kept.take(3, ACCOUNT) is third


def test_old_ones_and_too_many_are_closed() -> None:
    server, kept = FakeServer(), Connections(2)
    first, second, third, old = (opened(server) for _ in range(4))
    for lane, transport in enumerate((first, second, third)):
        kept.keep(lane, ACCOUNT, transport, 60)
    assert kept.take(0, ACCOUNT) is None and kept.take(2, ACCOUNT) is third
    kept.keep(3, ACCOUNT, old, 0.000001)
    kept.close_old()
    assert kept.take(3, ACCOUNT) is None
    kept.close_all()
    assert not second.usable and not first.usable and not old.usable
