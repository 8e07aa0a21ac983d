"""The clock: what is due runs, and a step that fails stops no other."""

import logging

import pytest
from flask import Flask
from sqlalchemy import select

from jobs.clock import PERIODIC, Clock, Step
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Message, Tenant
from portal.models.route import RELAY, Route
from portal.services.accounts import tenants
from portal.services.operations import heartbeat
from portal.services.routing import reroute
from tests.support.backlog import backlog
from tests.support.unwell import no_connection_left


def test_each_step_runs_at_its_own_period(ctx: Flask) -> None:
    ran: list[tuple[str, int]] = []
    second = 0
    steps = [
        Step("often", 1, lambda: ran.append(("often", second))),
        Step("seldom", 3, lambda: ran.append(("seldom", second)), first=1),
    ]
    clock = Clock(steps)
    for second in range(6):
        clock.tick(second)
    assert [at for name, at in ran if name == "often"] == [0, 1, 2, 3, 4, 5]
    assert [at for name, at in ran if name == "seldom"] == [1, 4]


def test_a_step_that_raises_anything_is_counted_and_tried_again_and_the_others_go_on(ctx: Flask) -> None:
    ran: list[int] = []
    second = 0

    def fail() -> None:
        ran.append(second)
        raise RuntimeError("a defect")

    others: list[int] = []
    clock = Clock([Step("fail", 60, fail), Step("work", 1, lambda: others.append(second))])
    for second in range(7):
        clock.tick(second)
    assert ran == [0, 5] and others == [0, 1, 2, 3, 4, 5, 6]
    assert heartbeat.clock_failures() == 2


def test_a_connection_that_breaks_between_a_steps_work_and_its_end_stops_no_other(ctx: Flask) -> None:
    """As when PostgreSQL restarts there, or ends what was idle within a transaction for too long."""

    def break_it() -> None:
        db.session.execute(select(Tenant.id))
        db.session.connection().connection.driver_connection.close()

    others: list[object] = []
    clock = Clock([Step("break it", 1, break_it), Step("work", 1, lambda: others.append(db.session.scalar(select(1))))])
    clock.tick(0)
    clock.tick(1)
    assert others == [1, 1]


def test_that_the_database_is_away_is_said_once_and_once_when_it_is_back(
    app: Flask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.db.away._QUIET_SECONDS", 0)
    with app.app_context():
        clock = Clock()
        with no_connection_left(app):
            for second in range(3):
                clock.tick(second)
        assert heartbeat.clock_failures() > 3
        clock.tick(3)
        clock.tick(100)
    assert [record.levelname for record in caplog.records if record.levelno >= logging.WARNING] == ["ERROR", "WARNING"]


def test_the_tables_names_differ() -> None:
    assert len({step.name for step in PERIODIC}) == len(PERIODIC)


def test_the_clock_continues_what_a_change_of_the_sender_has_begun(tenant: Tenant) -> None:
    backlog(tenant, Route.of_driver(7), 2 * reroute.BATCH)
    with transaction():
        reroute.reroute(tenants.lock(tenant))
    assert reroute.is_moving(tenant.id)
    clock = Clock()
    for second in range(20):  # half a second of each may be short on a busy machine
        clock.tick(second)
    assert not reroute.is_moving(tenant.id)
    assert set(db.session.scalars(select(Message.route))) == {RELAY}
