"""A database whose time a test sets, and a machine that it lets grow older: what no test may do to real ones.

PostgreSQL finds our functions in front of its own by the search path, SQLite replaces the one function that we call.
"""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import Dialect, event, text

from portal.extensions import db
from portal.services.operations import time_watch

_OURS = """
DROP SCHEMA IF EXISTS moved CASCADE;
CREATE SCHEMA moved;
CREATE TABLE moved.ahead (seconds float NOT NULL);
INSERT INTO moved.ahead VALUES (0);
CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
  'SELECT pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => seconds) FROM moved.ahead';
CREATE FUNCTION moved.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
  'SELECT pg_catalog.statement_timestamp() + pg_catalog.make_interval(secs => seconds) FROM moved.ahead';
"""


def _is_postgresql() -> bool:
    return db.engine.dialect.name == "postgresql"


class MovedTime:
    """The database's time: `jump` sets it, `elapse` lets time pass for the database and the machine alike."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.passed = timedelta()
        self._travels: contextlib.ExitStack = contextlib.ExitStack()

    def jump(self, by: timedelta) -> None:
        self.ahead += by
        self._tell()

    def elapse(self, time: timedelta) -> None:
        self.passed += time
        self._tell()

    @property
    def offset(self) -> timedelta:
        return self.ahead + self.passed

    def _tell(self) -> None:
        if _is_postgresql():
            with db.engine.begin() as connection:
                seconds = {"seconds": self.offset.total_seconds()}
                connection.execute(text("UPDATE moved.ahead SET seconds = :seconds"), seconds)
        self._travels.close()
        self._travels.enter_context(time_machine.travel(datetime.now(UTC) + self.offset, tick=True))

    def end(self) -> None:
        self._travels.close()

    def connect(self, dialect: Dialect, _record: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
        """Each connection, of sessions and of drains, tells our time."""
        connection = dialect.loaded_dbapi.connect(*arguments, **options)
        if dialect.name == "postgresql":
            connection.execute("SET search_path = moved, pg_catalog, public")
            connection.commit()
        else:
            connection.create_function("strftime", -1, self._strftime)
        return connection

    def _strftime(self, _format: str, base: str | None, *more: str) -> str | None:
        """As `strftime('%Y-%m-%d %H:%M:%f', ...)`, which is all that we ask for."""
        if base is None:
            return None
        at = datetime.now(UTC).replace(tzinfo=None) if base == "now" else datetime.fromisoformat(base)
        for seconds in more:
            at += timedelta(seconds=float(seconds.removesuffix(" seconds")))
        return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


@pytest.fixture
def moved_time(ctx: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[MovedTime]:
    time = MovedTime()
    if _is_postgresql():
        with db.engine.begin() as connection:
            connection.execute(text(_OURS))
    event.listen(db.engine, "do_connect", time.connect)
    db.engine.dispose()
    real = time_watch._uptime
    monkeypatch.setattr(time_watch, "_uptime", lambda: real() + time.passed.total_seconds())
    time_watch._last.clear()
    yield time
    time.end()
    db.session.remove()
    event.remove(db.engine, "do_connect", time.connect)
    db.engine.dispose()
    time_watch._last.clear()
    if _is_postgresql():
        with db.engine.begin() as connection:
            connection.execute(text("DROP SCHEMA moved CASCADE"))
