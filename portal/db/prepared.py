"""Statements that run for every mail: compiled once, and handed to the database's driver as they are.

A session costs ten times what the database itself does for such a statement. Those of drains run within `connected()`,
on a connection of the drain's own, which is never in a transaction but within `transaction()`. On SQLite it commits at
synchronous=NORMAL: what is committed survives the process, but the last moments may not survive a power cut
(docs/decisions/0009). Everything else commits at FULL. A session's person is looked up by such a statement, too.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from sqlalchemy import Dialect, Engine, Executable
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.selectable import ReturnsRows

from portal.db.sqlite import DRAINS_PAGES
from portal.extensions import db

# The name of a value to be given, what turns it into the driver's, and the value where the statement names one itself.
_Slot = tuple[str | None, Callable[[Any], Any] | None, Any]


class Statement:
    """A Core statement whose open values are `bindparam`s; its rows have the columns' names and the driver's values."""

    def __init__(self, core: Executable) -> None:
        self._core = core
        names = core.exported_columns.keys() if isinstance(core, ReturnsRows) else []
        self._named = namedtuple("Row", names, rename=True)._make  # type: ignore[misc,attr-defined]
        self._compiled: dict[str, tuple[str, list[_Slot], list[str] | None]] = {}

    def run(self, **values: Any) -> Any:
        """Run it and return the driver's cursor, which holds until the next statement. Raises OperationalError."""
        kept = _connection.get()
        return kept.execute(*self._bound(kept.dialect, values))

    def glance(self, **values: Any) -> tuple[Any, ...] | None:
        """Its first row, outside of drains: by a connection of the pool. It only reads. Raises OperationalError."""
        engine = db.engine
        text, given = self._bound(engine.dialect, values)
        pooled = _dialled(engine)
        try:
            cursor = pooled.cursor()
            cursor.execute(text, given)
            return cursor.fetchone()
        except engine.dialect.loaded_dbapi.Error as error:
            pooled.invalidate(error)
            raise OperationalError(text, None, error, hide_parameters=True) from error
        finally:
            pooled.close()  # ends the read

    def row(self, **values: Any) -> Any | None:
        found = self.run(**values).fetchone()
        return None if found is None else self._named(found)

    def rows(self, **values: Any) -> list[Any]:
        return [self._named(found) for found in self.run(**values).fetchall()]

    def count(self, **values: Any) -> int:
        """How many rows it changed."""
        return int(self.run(**values).rowcount)

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


def _dialled(engine: Engine) -> PoolProxiedConnection:
    """A connection of the pool, which has its own errors for having none: whoever writes again later waits for one."""
    try:
        return engine.raw_connection()
    except (engine.dialect.loaded_dbapi.Error, NoConnectionLeft) as error:
        raise OperationalError("connect", None, error, hide_parameters=True) from error


def _slot(name: str, bind: Any, dialect: Dialect) -> _Slot:
    convert: Callable[[Any], Any] | None = bind.type.dialect_impl(dialect).bind_processor(dialect)
    if bind.required:  # a bindparam() without a value of its own
        return name, convert, None
    return None, None, convert(bind.effective_value) if convert else bind.effective_value


class transaction:
    """Begin to write, commit at the end, roll back on an exception.

    Not `durable`: PostgreSQL need not wait for its disk; a crash of its machine may lose the last moments' commits.
    """

    def __init__(self, *, durable: bool = True) -> None:
        self._durable = durable

    def __enter__(self) -> None:
        self._kept = _connection.get()
        self._kept.begin(self._durable)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._kept.execute("COMMIT")
        elif not self._kept.closed:
            self._kept.execute("ROLLBACK")


@contextmanager
def connected() -> Iterator[None]:
    """A connection for the statements of the block; after an error of its database the next statement dials anew."""
    kept = _Connection(db.engine)
    token = _connection.set(kept)
    try:
        yield
    finally:
        _connection.reset(token)
        kept.close()


class _Connection:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dialect = engine.dialect
        self.closed = True
        self._cursor: Any = None
        self._driver_connection: Any = None

    def execute(self, text: str, values: Any = ()) -> Any:
        if self.closed:
            self._open()
        try:
            if values:
                self._cursor.execute(text, values)
            else:
                self._cursor.execute(text)
        except self.dialect.loaded_dbapi.Error as error:
            self.close()  # which also ends its transaction
            raise OperationalError(text, None, error, hide_parameters=True) from error
        return self._cursor

    def begin(self, durable: bool) -> None:
        if self.dialect.name == "sqlite":
            self.execute("BEGIN IMMEDIATE")
        else:
            self.execute("BEGIN" if durable else "BEGIN; SET LOCAL synchronous_commit TO off")

    def close(self) -> None:
        self.closed = True
        if self._driver_connection is not None:
            self._driver_connection.close()
            self._driver_connection = None

    def _open(self) -> None:
        pooled = _dialled(self.engine)
        self._driver_connection = pooled.driver_connection
        pooled.detach()  # its settings differ from the pool's, so it never goes back there
        if self.dialect.name != "sqlite":
            self._driver_connection.autocommit = True
        self._cursor = self._driver_connection.cursor()
        if self.dialect.name == "sqlite":
            self._cursor.execute("PRAGMA synchronous=NORMAL")
            self._cursor.execute(f"PRAGMA wal_autocheckpoint={DRAINS_PAGES}")
        self.closed = False


_connection: ContextVar[_Connection] = ContextVar("direct_connection")
