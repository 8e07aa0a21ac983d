"""Statements that run for every mail: compiled once, and handed to the database's driver as they are.

A session costs ten times what the database itself does for such a statement. They run on a few connections that all
drains of a process share: one is taken for a statement, or for a whole `transaction()`, and never while a mail server
is waited for. On SQLite they commit at synchronous=NORMAL: what is committed survives the process, but the last moments
may not survive a power cut (docs/decisions/0009). Everything else commits at FULL.
"""

from __future__ import annotations

import threading
import time
from collections import namedtuple
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from operator import attrgetter, methodcaller
from typing import Any

from flask import Flask, current_app
from sqlalchemy import Dialect, Engine, Executable, PoolProxiedConnection, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.sql.selectable import ReturnsRows

from portal.db import by_driver
from portal.db.sqlite import DRAINS_PAGES, turn_to_write
from portal.db.transaction import connection
from portal.extensions import db

CONNECTIONS = 8  # of one process. More gain nothing: who has one is at work, and waits for no mail server
_UNUSED = 1  # seconds after which a connection may have lost its server, and is asked first
_POOL = "portal_prepared"

# The name of a value to be given, what turns it into the driver's, and the value where the statement names one itself.
_Slot = tuple[str | None, Callable[[Any], Any] | None, Any]


_ALL, _COUNT = methodcaller("fetchall"), attrgetter("rowcount")


class Statement:
    """A Core statement whose open values are `bindparam`s; its rows have the columns' names and the driver's values.

    It runs within the transaction() that its thread has begun, else by itself. Raises OperationalError.
    """

    def __init__(self, core: Executable) -> None:
        self._core = core
        names = core.exported_columns.keys() if isinstance(core, ReturnsRows) else []
        self._named = namedtuple("Row", names, rename=True)._make  # type: ignore[misc,attr-defined]
        self._compiled: dict[str, tuple[str, list[_Slot], list[str] | None]] = {}

    def row(self, **values: Any) -> Any | None:
        """Run it and return its first row, if it has any."""
        rows = self._run(values, _ALL)
        return self._named(rows[0]) if rows else None

    def rows(self, **values: Any) -> list[Any]:
        """Run it and return all of its rows."""
        return [self._named(row) for row in self._run(values, _ALL)]

    def count(self, **values: Any) -> int:
        """Run it and return how many rows it has changed."""
        return int(self._run(values, _COUNT))

    def glance(self, **values: Any) -> tuple[Any, ...] | None:
        """Its first row, outside of drains: by a connection of the pool. It only reads. Raises OperationalError."""
        engine = db.engine
        text, given = self._bound(engine.dialect, values)
        pooled = None
        try:
            pooled = engine.raw_connection()
            cursor = pooled.cursor()
            cursor.execute(text, given)
            return cursor.fetchone()
        except (engine.dialect.loaded_dbapi.Error, NoConnectionLeft) as error:  # the pool has an error of its own
            if pooled is not None:
                pooled.invalidate(error)
            raise OperationalError(text, None, error, hide_parameters=True) from error
        finally:
            if pooled is not None:
                pooled.close()  # ends the read

    def here(self, **values: Any) -> list[Any]:
        """Its rows, outside of drains: within the running transaction (portal.db.transaction). Raises DBAPIError."""
        on = connection()
        found = by_driver.execute(on, *self._bound(on.dialect, values))
        return [self._named(row) for row in found.fetchall()]

    def _run(self, values: dict[str, Any], result: Callable[[Any], Any]) -> Any:
        begun = _begun.get()
        if begun is not None:
            return result(begun.execute(*self._bound(begun.dialect, values)))
        pool = _pool()
        kept = pool.take()
        try:
            return result(kept.execute(*self._bound(kept.dialect, values)))
        finally:
            pool.give_back(kept)

    def _bound(self, dialect: Dialect, values: dict[str, Any]) -> tuple[str, Any]:
        text, slots, names = self._compiled.get(dialect.name) or self._compile(dialect)
        given = [
            constant if name is None else values[name] if convert is None else convert(values[name])
            for name, convert, constant in slots
        ]
        return text, given if names is None else dict(zip(names, given, strict=True))

    def _compile(self, dialect: Dialect) -> tuple[str, list[_Slot], list[str] | None]:
        compiled: Any = self._core.compile(dialect=dialect)  # type: ignore[attr-defined]
        named = {name: bind for bind, name in compiled.bind_names.items()}
        names = compiled.positiontup if compiled.positional else list(named)
        slots = [_slot(name, named[name], dialect) for name in names]
        self._compiled[dialect.name] = str(compiled), slots, None if compiled.positional else names
        return self._compiled[dialect.name]


def _slot(name: str, bind: Any, dialect: Dialect) -> _Slot:
    convert: Callable[[Any], Any] | None = bind.type.dialect_impl(dialect).bind_processor(dialect)
    if bind.required:  # a bindparam() without a value of its own
        return name, convert, None
    return None, None, convert(bind.effective_value) if convert else bind.effective_value


class transaction:
    """Begin to write, commit at the end, roll back on an exception. It holds a connection, so wait for nobody within.

    Not `durable`: PostgreSQL need not wait for its disk; a crash of its machine may lose the last moments' commits.
    Raises OperationalError. A class, because a generator costs as much as a statement.
    """

    def __init__(self, *, durable: bool = True) -> None:
        self._durable = durable

    def __enter__(self) -> None:
        # The turn comes first: whoever has a connection waits for no turn, so that each connection comes back.
        self._pool = _pool()
        self._turn = self._pool.turn
        self._turn.__enter__()
        try:
            self._kept = self._pool.take()
            try:
                self._kept.begin(self._durable)
            except BaseException:
                self._pool.give_back(self._kept)
                raise
        except BaseException:
            self._turn.__exit__(None, None, None)
            raise
        self._token = _begun.set(self._kept)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._kept.end("COMMIT" if kind is None else "ROLLBACK")
        finally:
            _begun.reset(self._token)
            self._pool.give_back(self._kept)
            self._turn.__exit__(None, None, None)


def is_postgresql() -> bool:
    """Whether the statements of drains go to PostgreSQL."""
    return _pool().dialect.name == "postgresql"


def _pool() -> _Pool:
    pool: _Pool = current_app.extensions[_POOL]
    return pool


class _Pool:
    """Who finds no connection waits for one. The one used last is used next, so that few are opened, and stay warm."""

    def __init__(self, engine: Engine) -> None:
        self.dialect = engine.dialect
        self.turn = turn_to_write()
        self.failed_at = 0.0  # monotonic seconds
        self._free = [_Connection(engine.dialect, self) for _ in range(CONNECTIONS)]
        self._given_back = threading.Condition()
        self._waiting = 0
        # Like the engine's pool, but apart: here nobody waits for those that sessions hold.
        self._dialler = engine.pool.recreate()
        event.listen(engine, "engine_disposed", self._close)

    def dial(self) -> PoolProxiedConnection:
        return self._dialler.connect()

    def take(self) -> _Connection:
        """An open connection, for the caller alone."""
        try:
            kept = self._free.pop()
        except IndexError:
            kept = self._wait()
        try:
            kept.make_ready()
        except BaseException:
            self.give_back(kept)
            raise
        return kept

    def give_back(self, kept: _Connection) -> None:
        kept.used_at = time.monotonic()
        self._free.append(kept)
        if self._waiting:
            with self._given_back:
                self._given_back.notify()

    def _wait(self) -> _Connection:
        with self._given_back:
            self._waiting += 1  # before the look: whoever gives one back after it sees that somebody waits
            try:
                while True:
                    self._given_back.wait_for(lambda: self._free)
                    with suppress(IndexError):  # somebody who came just now was faster
                        return self._free.pop()
            finally:
                self._waiting -= 1

    def _close(self, _engine: Engine) -> None:
        for kept in [*self._free]:
            kept.close()


class _Connection:
    """Closed by its first error, which also ends its transaction; whoever takes it next dials anew."""

    def __init__(self, dialect: Dialect, pool: _Pool) -> None:
        self.dialect = dialect
        self.closed = True
        self.used_at = 0.0  # monotonic seconds
        self._pool = pool
        self._cursor: Any = None
        self._driver_connection: Any = None

    def make_ready(self) -> None:
        """Open it where it is closed, or has lost its server while nobody used it."""
        if not self.closed and self.used_at < max(self._pool.failed_at, time.monotonic() - _UNUSED):
            with suppress(OperationalError):
                self.execute("SELECT 1")
        if self.closed:
            self._open()

    def execute(self, text: str, values: Any = ()) -> Any:
        try:
            if values:
                self._cursor.execute(text, values)
            else:
                self._cursor.execute(text)
        except self.dialect.loaded_dbapi.Error as error:
            self.close()
            self._pool.failed_at = time.monotonic()  # the others may have lost their server, too
            raise OperationalError(text, None, error, hide_parameters=True) from error
        return self._cursor

    def begin(self, durable: bool) -> None:
        if self.dialect.name == "sqlite":
            self.execute("BEGIN IMMEDIATE")
        else:
            self.execute("BEGIN" if durable else "BEGIN; SET LOCAL synchronous_commit TO off")

    def end(self, how: str) -> None:
        """End the transaction; roll it back where its commit is broken off."""
        try:
            if how == "COMMIT" or not self.closed:
                self.execute(how)
        except BaseException:
            if not self.closed:
                self.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self.closed = True
        if self._driver_connection is not None:
            self._driver_connection.close()
            self._driver_connection = None

    def _open(self) -> None:
        try:
            pooled = self._pool.dial()
        except self.dialect.loaded_dbapi.Error as error:
            raise OperationalError("", None, error, hide_parameters=True) from error
        self._driver_connection = pooled.driver_connection
        pooled.detach()  # its settings differ from a session's, and it is kept here
        if self.dialect.name != "sqlite":
            self._driver_connection.autocommit = True
        self._cursor = self._driver_connection.cursor()
        if self.dialect.name == "sqlite":
            self._cursor.execute("PRAGMA synchronous=NORMAL")
            self._cursor.execute(f"PRAGMA wal_autocheckpoint={DRAINS_PAGES}")
        self.closed = False


def init_app(app: Flask) -> None:
    with app.app_context():
        app.extensions[_POOL] = _Pool(db.engine)


_begun: ContextVar[_Connection | None] = ContextVar("prepared_transaction", default=None)
