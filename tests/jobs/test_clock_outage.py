"""The real clock process lives through what may happen to its database, and works when that is over."""

import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import flask_migrate
import psycopg
import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.extensions import db
from portal.models import Lane, now
from portal.services.routing import lanes
from tests.conftest import POSTGRES, Environment, made_app
from tests.support import postgres
from tests.support.postgres import NoPostgres, Postgres
from tests.support.processes import CLOCK
from tests.support.waiting import eventually
from tests.support.warm import Warm, WarmProcess

Start = Callable[..., WarmProcess]


@pytest.fixture
def start(warm: Warm, environment: Environment) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(warm(CLOCK, environment(**changes)))


def takes_back(app: Flask) -> None:
    """The clock ends a lease that has run out."""
    with app.app_context():
        db.session.execute(update(Lane).values(lease_token="dead", leased_until=now(-1)))
        db.session.commit()

        def is_taken_back() -> bool:
            db.session.rollback()
            return db.session.scalar(select(Lane.id).where(Lane.lease_token.is_not(None)).limit(1)) is None

        eventually(is_taken_back, "the clock takes lanes back", 60)
        db.session.rollback()


@pytest.fixture
def server() -> Iterator[Postgres]:
    if not POSTGRES:
        pytest.skip("not applicable: SQLite")
    try:
        server = postgres.start_few()
    except NoPostgres as reason:
        pytest.skip(f"not applicable: {reason}")
    yield server
    server.stop()


@pytest.fixture
def served(server: Postgres, options: dict[str, Any]) -> Iterator[Flask]:
    with made_app(**options | {"database_url": server.url}) as app, app.app_context():
        flask_migrate.upgrade()
        lanes.forget()
        lanes.ensure()
        db.session.remove()
        yield app


def test_postgresql_restarts(served: Flask, server: Postgres, start: Start) -> None:
    clock = start(database_url=server.url)
    takes_back(served)
    for mode in ("fast", "immediate"):
        server.restart(mode)
        db.engine.dispose()
        takes_back(served)
    assert clock.output.count("the database is away") <= 2, clock.output


def test_postgresql_has_no_connection_left(served: Flask, server: Postgres, start: Start) -> None:
    with all_connections(served):
        clock = start(database_url=server.url)
        eventually(lambda: "the database is away" in clock.output, "the clock says so")
    takes_back(served)
    assert clock.output.count("the database is away") == 1, clock.output


@contextmanager
def all_connections(app: Flask) -> Iterator[None]:
    """Take every connection that the server gives."""
    db.session.remove()
    db.engine.dispose()
    url = db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with ExitStack() as stack:
        with pytest.raises(psycopg.OperationalError, match="too many"):
            while True:
                stack.enter_context(psycopg.connect(url))
        yield


@pytest.mark.skipif(bool(POSTGRES), reason="not applicable: PostgreSQL")
def test_sqlites_disk_is_full(app: Flask, start: Start, database_url: str) -> None:
    clock = start()
    takes_back(app)
    log = Path(database_url.removeprefix("sqlite:///") + "-wal")
    assert clock.pid is not None
    with app.app_context():
        db.session.execute(update(Lane).values(lease_token="dead", leased_until=now(-1)))
        usual = resource.prlimit(clock.pid, resource.RLIMIT_FSIZE, (log.stat().st_size, resource.RLIM_INFINITY))
        db.session.commit()
        eventually(lambda: "the database is away" in clock.output, "the clock says so", 60)
        resource.prlimit(clock.pid, resource.RLIMIT_FSIZE, usual)
    takes_back(app)
    assert clock.output.count("the database is away") == 1, clock.output
