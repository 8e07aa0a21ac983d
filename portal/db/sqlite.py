"""SQLite as a server's database: its settings, who writes when, and its write-ahead log."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from sqlalchemy import Connection, Dialect, Engine, event
from sqlalchemy.exc import OperationalError

from portal.db import by_driver
from portal.extensions import db

# The execution option that portal.db.transaction sets on a connection which is going to write.
WRITES = "portal_writes"
# Pages of log after which a commit carries them over: 400 MB, so that drains leave it to the clock.
DRAINS_PAGES = 100_000
PATIENCE = 15  # seconds that a writer waits for the others
_TURN = "portal_turn_to_write"


class _Turn:
    """One thread of the process at a time; the one whose turn it is may enter again."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=PATIENCE):
            raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))

    def __exit__(self, *exc: object) -> None:
        self._lock.release()


def turn_to_write() -> AbstractContextManager[None]:
    """Wait until no other thread of this process writes to SQLite; on PostgreSQL nobody has to.

    SQLite's own waiting (between processes) is by sleeping in growing steps: of 32 threads the last one got its turn
    after 230 ms, so after 7. Raises OperationalError, as SQLite does, when it isn't there within PATIENCE.
    """
    turn: AbstractContextManager[None] = current_app.extensions[_TURN]
    return turn


def checkpoint(engine: Engine) -> None:
    """Carry over what is committed, without waiting for readers or writers (sqlite.org/wal.html#ckpt)."""
    if engine.dialect.name == "sqlite":
        connection = engine.raw_connection()  # which begins no transaction
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()


def init_app(app: Flask) -> None:
    """Prepare the application's database if it is SQLite."""
    app.extensions[_TURN] = nullcontext()
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            prepare(db.engine)
            app.extensions[_TURN] = _Turn()


def _keep_private(file: str) -> None:
    """Let only our own user read the database and its write-ahead log, whatever the umask is.

    A file that is there is never opened here: closing it would end the locks that SQLite holds on it in this process
    (sqlite.org/howtocorrupt.html, 2.2).
    """
    if file.startswith((":memory:", "file:")):
        return
    with suppress(OSError):  # no such folder, or somebody else's file: SQLite says it better
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    for path in (Path(file), Path(f"{file}-wal"), Path(f"{file}-shm")):
        with suppress(OSError):
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)


def prepare(engine: Engine) -> None:
    """WAL, foreign keys, and BEGIN IMMEDIATE for writers.

    A deferred transaction that reads first and writes then fails at once with SQLITE_BUSY_SNAPSHOT, whatever the
    timeout (sqlite.org/rescode.html#busy_snapshot), so a writer takes the lock at its beginning and waits for it there.
    synchronous=FULL: an accepted message survives a power cut (sqlite.org/pragma.html#pragma_synchronous).
    """

    @event.listens_for(engine, "do_connect")
    def before_connect(_dialect: Dialect, _record: Any, arguments: list[Any], _options: dict[str, Any]) -> None:
        _keep_private(str(arguments[0]))

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin on its own
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={PATIENCE * 1000}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        # By the driver itself: as a statement of SQLAlchemy's it costs more than what most reads do.
        writes = connection.get_execution_options().get(WRITES, False)
        by_driver.execute(connection, "BEGIN IMMEDIATE" if writes else "BEGIN")
