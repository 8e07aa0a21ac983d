"""The database's time in every process, so that no two machines' clocks are ever compared.

Each process reads it from PostgreSQL every few seconds, by a connection that it takes from the pool anyway, and
counts on by a clock that nobody sets. SQLite is used on one machine only, whose clock is the database's.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from sqlalchemy import Engine, event
from sqlalchemy.exc import SQLAlchemyError

from portal.extensions import db
from portal.models.base import keep_time_by

_FRESH = 5.0  # seconds in which a process may not know that the database's time was set
_READ = {
    "postgresql": "SELECT clock_timestamp()",
    "sqlite": "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now') || '+00:00'",
}


def init_app(app: Flask) -> None:
    """Have portal.models.utcnow tell the time of the application's database."""
    with app.app_context():
        keep_time_by(DatabaseClock(db.engine) if db.engine.dialect.name == "postgresql" else None)


class DatabaseClock:
    """Tells the time of one database. Without ever having reached it, this machine's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._read: tuple[datetime, float] | None = None  # the database's time, and time.monotonic() at that moment
        event.listen(engine, "checkout", self._look)

    def __call__(self) -> datetime:
        if self._read is None:
            with suppress(SQLAlchemyError), self._engine.connect():
                pass  # which looks
        if self._read is None:
            return datetime.now(UTC)
        at, then = self._read
        return at + timedelta(seconds=time.monotonic() - then)

    def _look(self, connection: Any, *_: Any) -> None:
        """Read the time, unless that was done lately, on a connection that is just being taken from the pool."""
        before = time.monotonic()
        if self._read is not None and 0 <= before - self._read[1] < _FRESH:
            return
        dialect = self._engine.dialect
        with suppress(dialect.loaded_dbapi.Error):  # a broken connection: whoever takes it says so
            cursor = connection.cursor()
            cursor.execute(_READ[dialect.name])
            (told,) = cursor.fetchone()
            after = time.monotonic()
            cursor.close()
            connection.rollback()
            at = told if isinstance(told, datetime) else datetime.fromisoformat(told)
            self._read = at.astimezone(UTC), (before + after) / 2
