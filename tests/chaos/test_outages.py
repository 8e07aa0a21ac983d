"""Valkey and PostgreSQL that go away and come back while mail is accepted and sent."""

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import flask_migrate
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal import create_app
from portal.extensions import db
from portal.models import LogEntry, Message
from portal.services.accounts import api_keys, tenants
from portal.services.routing import lanes
from tests.chaos.steps import DRAINS, SQLITE, Run, Start
from tests.support import postgres
from tests.support.figures import Figure, size
from tests.support.hostile_server import HostileServer
from tests.support.postgres import NoPostgres, Postgres
from tests.support.valkey import Valkey


class Backend:
    """The platform's backend: hands in messages over the API and counts the refusals."""

    def __init__(self, app: Flask) -> None:
        with app.app_context():
            tenants.upsert("acme", name="Acme")
            key = api_keys.create("backend")
        self.client: FlaskClient = app.test_client()
        self.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        self.accepted = 0
        self.refused = 0

    def post(self) -> bool:
        """Hand in the next message. Returns whether it was accepted."""
        number = self.accepted
        message = {
            "tenant": "acme", "kind": "order_update", "to": f"c{number}@customer.example", "subject": "Your order",
            "text": "On its way.",
        }  # fmt: skip
        response = self.client.post("/api/v1/messages", json=message, headers={"Idempotency-Key": f"order-{number}"})
        accepted = response.status_code == 202
        self.accepted += accepted
        self.refused += not accepted
        return accepted


@pytest.mark.chaos("Valkey flushed or restarted in the run, and away")
def test_valkey_may_be_lost_at_any_time(
    app: Flask, run: Run, smtp: HostileServer, valkey: Valkey, figure: Figure
) -> None:
    mails, faults, away = size(60, 2000), size(2, 5), size(50, 1000)
    run.use_lanes(DRAINS)
    run.workers(2)
    run.clock()
    backend = Backend(app)
    losses = itertools.cycle((valkey.flush, valkey.restart))
    for number in range(mails):
        if number % (mails // (faults + 1)) == 1 and number > 1:
            next(losses)()
        backend.post()
    run.wait_until_settled(180)

    with valkey.away():
        for _ in range(away):
            backend.post()
    began = time.monotonic()
    run.wait_until_settled(180)
    seconds = time.monotonic() - began

    lost, twice = run.lost(), run.duplicates()
    figure(f"Valkey lost {faults} times in {mails} mails: {lost} lost, {len(twice)} duplicates; away while {away} were "
           f"accepted: {backend.refused} refused, drained {seconds:.1f} s after its return")  # fmt: skip
    assert (lost, twice, backend.refused) == (0, [], 0)
    assert seconds <= size(180, 60)


@pytest.fixture
def server() -> Iterator[Postgres]:
    if SQLITE:
        pytest.skip("not applicable: SQLite")
    try:
        server = postgres.start_durable()
    except NoPostgres as reason:
        pytest.skip(f"not applicable: {reason}")
    yield server
    server.stop()


@pytest.mark.chaos("PostgreSQL restarted in the run")
def test_postgresql_may_restart_at_any_time(
    server: Postgres, options: dict[str, Any], smtp: HostileServer, start: Start, figure: Figure
) -> None:
    mails, restarts = size(60, 2000), size(2, 5)
    app = create_app(**options | {"database_url": server.url})
    with app.app_context():
        flask_migrate.upgrade()
        lanes.forget()
        lanes.ensure()
        db.session.remove()
    own: Callable[..., Any] = lambda command, **more: start(command, database_url=server.url, **more)  # noqa: E731
    run = Run(app, smtp, own)
    run.use_lanes(DRAINS)
    run.workers(2)
    run.clock()
    backend = Backend(app)
    left = restarts
    while backend.accepted < mails:
        if left and backend.accepted > (restarts + 1 - left) * mails // (restarts + 1):
            left -= 1
            server.restart(("immediate", "fast")[left % 2])
        for _ in range(50):
            if backend.post():
                break
        else:
            raise AssertionError("50 times in a row a message was not accepted")
    run.end_dead_leases()
    run.wait_until_settled(180)

    lost, twice, odd = run.lost(), run.duplicates(), disagreements(app)
    figure(f"PostgreSQL restarted {restarts} times in {mails} mails: {lost} lost, {len(twice)} duplicates, all "
           f"flagged; log and outbox disagree about {len(odd)}")  # fmt: skip
    assert lost == 0 and not odd, odd
    with app.app_context():
        db.engine.dispose()


def disagreements(app: Flask) -> list[tuple[str, str]]:
    """Messages whose state is not what their last log entry says, or that were finished twice."""
    with app.app_context():
        rows = db.session.execute(select(Message.public_id, Message.state, LogEntry.event).join(LogEntry)
                                  .order_by(LogEntry.id)).all()  # fmt: skip
        states = {row.public_id: row.state for row in rows}
    events: dict[str, list[str]] = {}
    for row in rows:
        events.setdefault(row.public_id, []).append(row.event)
    return [
        (state, ", ".join(events[message]))
        for message, state in states.items()
        if events[message][-1] != state or events[message].count(state) != 1 or events[message][0] != "queued"
    ]
