"""A database that nobody gets a connection to, and one whose disk is full; for a test's own process."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import Dialect, event, make_url, text

from portal.extensions import db
from tests.conftest import POSTGRES


@contextmanager
def no_connection_left(app: Flask) -> Iterator[None]:
    """PostgreSQL refuses every connection of a role whose connections are used up; SQLite's file can't be opened."""
    with app.app_context():
        engine = db.engine
        engine.dispose()
    if POSTGRES:
        with engine.begin() as connection:
            connection.execute(text("DROP ROLE IF EXISTS nobody_left"))
            connection.execute(text("CREATE ROLE nobody_left LOGIN CONNECTION LIMIT 0"))
        engine.dispose()

    def refused(_dialect: Dialect, _record: Any, arguments: list[Any], options: dict[str, Any]) -> None:
        if POSTGRES:
            options["user"] = "nobody_left"
        else:
            arguments[0] = str(Path(arguments[0]).parent / "gone" / "portal.db")

    event.listen(engine, "do_connect", refused)
    try:
        yield
    finally:
        event.remove(engine, "do_connect", refused)
        engine.dispose()


@contextmanager
def a_full_disk(database_url: str) -> Iterator[None]:
    """SQLite's write-ahead log can't grow; nor can any other file of this process grow beyond its size."""
    log = Path((make_url(database_url).database or "") + "-wal")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
