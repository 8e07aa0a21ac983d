"""Machines whose clocks disagree: a row that one has written is judged by another, whom alone time_machine moves.

The database's clock stays, on SQLite too: it is the C library's, which time_machine doesn't touch.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import event, update

from portal import create_app
from portal.db.clock import DatabaseClock
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import DriverTest, Message, SignInLink, Tenant, User, now, utcnow
from portal.models.base import keep_time_by
from portal.services import limits
from portal.services.accounts import api_keys, launches, login_links
from portal.services.drivers import lifecycle, probe, quota, save_gate
from portal.services.errors import LinkSent, SendLimit
from portal.services.limits import Cause
from portal.services.outbox import accept as outbox
from portal.services.routing import daily_limit
from portal.services.senders import verification
from portal.web import session as sessions
from tests.chaos.steps import give_driver
from tests.conftest import POSTGRES
from tests.support.statements import recorded

TEN_MINUTES = timedelta(minutes=10)


@pytest.fixture(autouse=True)
def database_clock(ctx: Flask) -> Iterator[DatabaseClock]:
    clock = DatabaseClock(db.engine)
    keep_time_by(clock)
    yield clock
    keep_time_by(None)
    event.remove(db.engine, "checkout", clock._look)


def on_a_machine_that_is(ahead: timedelta) -> AbstractContextManager[object]:
    return time_machine.travel(datetime.now(UTC) + ahead, tick=True)


def test_every_machine_tells_the_databases_time(database_clock: DatabaseClock) -> None:
    for ahead in (TEN_MINUTES, -TEN_MINUTES):
        with on_a_machine_that_is(ahead):
            told = db.session.scalar(db.select(now()))
            assert abs(utcnow() - told) < timedelta(seconds=5)
            assert abs(datetime.now(UTC) - told - ahead) < timedelta(seconds=5)


def test_the_application_tells_the_time_of_postgresql_and_with_sqlite_its_own_machines(options: dict[str, Any]) -> None:
    create_app(**options)
    with on_a_machine_that_is(TEN_MINUTES):
        is_ours = abs(utcnow() - datetime.now(UTC)) < timedelta(seconds=5)
    assert is_ours == (not POSTGRES)


def test_a_process_that_has_not_asked_yet_asks_before_it_tells_the_time() -> None:
    with on_a_machine_that_is(TEN_MINUTES):
        clock = DatabaseClock(db.engine)
        told = clock()
        event.remove(db.engine, "checkout", clock._look)
        assert told < datetime.now(UTC) - timedelta(minutes=9)


def test_the_time_is_read_every_few_seconds_and_not_by_each_request(ctx: Flask, database_clock: DatabaseClock) -> None:
    utcnow()
    first = database_clock._read
    with recorded() as statements:
        for _ in range(20):
            with db.engine.connect():
                utcnow()
    assert database_clock._read is first and statements == []
    assert first is not None
    database_clock._read = (first[0], first[1] - 6)
    with db.engine.connect():
        pass
    assert database_clock._read[1] > first[1]


def test_without_its_database_a_process_tells_its_own_time() -> None:
    nowhere = db.create_engine("sqlite:////nowhere/at/all.db")
    assert abs(DatabaseClock(nowhere)() - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_sign_in_link_lives_as_long_for_a_machine_that_is_ahead_or_behind(tenant: Tenant, user: User) -> None:
    address = user.email
    login_links.ask(address, "en")
    link = db.session.scalars(db.select(SignInLink)).one()
    login_links.send(link.id)
    token = login_links._token(link)
    with on_a_machine_that_is(timedelta(hours=1)):
        assert login_links.read_link(token).state == "pending"
        with pytest.raises(LinkSent):
            login_links.ask(address, "en")
    with transaction() as session:
        session.execute(update(SignInLink).values(expires_at=now(-1)))
    with on_a_machine_that_is(timedelta(hours=-1)):
        assert login_links.read_link(token).state == "expired"


def test_a_verification_link_lives_as_long_for_a_machine_that_is_ahead(tenant: Tenant, user: User) -> None:
    pending = verification.start_verification(tenant, user, "sales@acme.example", "Acme")
    with on_a_machine_that_is(timedelta(hours=25)):
        assert verification.read_link(verification._token(pending)).state == "pending"


def test_a_link_that_a_machine_behind_has_made_lives_as_long(tenant: Tenant, user: User) -> None:
    with on_a_machine_that_is(timedelta(hours=-25)):
        pending = verification.start_verification(tenant, user, "sales@acme.example", "Acme")
    assert verification.read_link(verification._token(pending)).state == "pending"


def test_a_limit_has_no_more_room_on_a_machine_that_is_ahead(tenant: Tenant) -> None:
    with transaction():
        limits.count(Cause.VERIFICATION, "jane@shop.example", tenant)
    with on_a_machine_that_is(TEN_MINUTES), transaction(), pytest.raises(SendLimit):
        limits.count(Cause.VERIFICATION, "jane@shop.example", tenant)


def test_a_limit_has_room_again_on_a_machine_where_a_count_was_written_ahead(tenant: Tenant) -> None:
    with on_a_machine_that_is(TEN_MINUTES), transaction():
        limits.count(Cause.VERIFICATION, "jane@shop.example", tenant)
    next_at = limits.next_possible(Cause.VERIFICATION, "jane@shop.example", tenant)
    assert next_at is not None and next_at <= utcnow() + timedelta(minutes=1)


def test_a_drivers_test_is_not_given_up_at_once_by_a_worker_that_is_ahead(tenant: Tenant, user: User) -> None:
    with transaction() as session:
        message = outbox.record_test(tenant, to=user.email, subject="Test")
        test = DriverTest(
            tenant_id=tenant.id, user_id=user.id, message_id=message.id, fingerprint="0" * 64, preset="other",
            host="127.0.0.1", port=9, encryption="starttls", username="a@acme.example", secret="unreadable",
            from_address="a@acme.example", from_name="Acme", steps=[],
        )  # fmt: skip
        session.add(test)
    with on_a_machine_that_is(TEN_MINUTES):
        assert save_gate.state_of(test) == "queued"
        assert probe.give_up_old() == 0
        probe.run(test.id)
    ended = save_gate.latest(tenant)
    assert ended is not None and ended.state == "failed"  # it ran, and was no job of yesterday's


def test_a_test_that_passed_may_be_saved_on_a_machine_that_is_ahead() -> None:
    passed = DriverTest(state="passed", created_at=utcnow(), finished_at=utcnow())
    with on_a_machine_that_is(timedelta(hours=1)):
        assert save_gate.is_good(passed, None)


def test_a_providers_daily_limit_counts_the_same_mail_on_a_machine_that_is_ahead(tenant: Tenant) -> None:
    give_driver("acme", 587)
    driver = lifecycle.find(tenant)
    assert driver is not None
    message = outbox.accept(tenant, kind="order_update", to="jane@shop.example", subject="Hi", text="Hi")
    with transaction() as session:
        session.execute(
            update(Message)
            .where(Message.id == message.id)
            .values(state="sent", route=driver.route, finished_at=now(), sender="a@acme.example")
        )
    with on_a_machine_that_is(timedelta(days=2)):
        assert quota.usage(driver).sent == 1


def test_it_is_the_same_day_on_a_machine_that_is_ahead() -> None:
    today = daily_limit.today()
    with on_a_machine_that_is(timedelta(days=2)):
        assert daily_limit.today() - today < timedelta(days=2)


def test_a_session_lasts_as_long_on_another_web_server(user: User) -> None:
    token = sessions.Session.of(user, "en").renewed().signed()
    with on_a_machine_that_is(timedelta(hours=1)):
        assert sessions.read(token).user_id == user.id
    ended = replace(sessions.read(token), expires=int(utcnow().timestamp()) - 1).signed()
    with on_a_machine_that_is(timedelta(hours=-1)), pytest.raises(sessions.SessionRefused, match="expired"):
        sessions.read(ended)


def test_a_launch_comes_in_on_a_web_server_whose_clock_is_wrong(tenant: Tenant) -> None:
    for ahead in (TEN_MINUTES, -TEN_MINUTES):
        token = launches.make_token("acme")
        with on_a_machine_that_is(ahead):
            assert launches.accept(token).tenant is not None


def test_an_api_key_ends_at_the_same_moment_for_every_web_server(ctx: Flask) -> None:
    secret = api_keys.create("backend", until=utcnow() + TEN_MINUTES)
    with on_a_machine_that_is(timedelta(hours=1)):
        assert api_keys.authenticate(secret) is not None
