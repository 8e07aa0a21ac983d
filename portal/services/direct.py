"""Statements that run for every mail: compiled once, and handed to the database's driver as they are.

A session costs ten times what the database itself does for such a statement. The connection is the drain's own: opened
at first use, kept while the application's context lasts or until close(), and never in a transaction in between.
On SQLite it commits at synchronous=NORMAL: what is committed survives the process, but the last moments may not survive
a power cut (docs/decisions/0009). Everything else commits at FULL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import g
from sqlalchemy import Dialect, Executable
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import PoolProxiedConnection

from portal.extensions import db

# (name, what turns its value into the driver's, the value where the statement names one itself)
_Bind = tuple[str, Callable[[Any], Any] | None, Any]


class Statement:
    """A Core statement with `bindparam`s; its rows are the driver's own, so it should read plain columns."""

    def __init__(self, core: Executable) -> None:
        self._core = core
        self._compiled: dict[str, tuple[str, list[_Bind], bool]] = {}

    def run(self, **values: Any) -> Any:
        """Run it and return the driver's cursor, which holds until the next statement. Raises OperationalError."""
        kept = _connection()
        text, binds, positional = self._compiled.get(kept.dialect.name) or self._compile(kept.dialect)
        given = [
            (name, convert(values.get(name, default)) if convert else values.get(name, default))
            for name, convert, default in binds
        ]
        return kept.execute(text, [value for _, value in given] if positional else dict(given))

    def row(self, **values: Any) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self.run(**values).fetchone()
        return found

    def rows(self, **values: Any) -> list[tuple[Any, ...]]:
        return list(self.run(**values).fetchall())

    def count(self, **values: Any) -> int:
        """How many rows it changed."""
        return int(self.run(**values).rowcount)

    def _compile(self, dialect: Dialect) -> tuple[str, list[_Bind], bool]:
        compiled: Any = self._core.compile(dialect=dialect)  # type: ignore[attr-defined]
        named = {name: bind for bind, name in compiled.bind_names.items()}
        names = compiled.positiontup if compiled.positional else list(named)
        binds = [(name, _converter(named[name], dialect), compiled.params[name]) for name in names]
        self._compiled[dialect.name] = str(compiled), binds, compiled.positional
        return self._compiled[dialect.name]


def _converter(bind: Any, dialect: Dialect) -> Callable[[Any], Any] | None:
    converter: Callable[[Any], Any] | None = bind.type.dialect_impl(dialect).bind_processor(dialect)
    return converter


@contextmanager
def transaction(*, durable: bool = True) -> Iterator[None]:
    """Begin to write, commit at the end, roll back on an exception.

    Not `durable`: PostgreSQL need not wait for its disk; a crash of its machine may lose the last moments' commits.
    """
    kept = _connection()
    if kept.dialect.name == "sqlite":
        kept.execute("BEGIN IMMEDIATE")
    else:
        kept.execute("BEGIN" if durable else "BEGIN; SET LOCAL synchronous_commit TO off")
    try:
        yield
    except BaseException:
        kept.roll_back()
        raise
    kept.execute("COMMIT")


def close() -> None:
    """Give the connection up; the next statement opens another."""
    kept: _Kept | None = g.pop("direct_connection", None)
    if kept is not None:
        kept.close()


def _connection() -> _Kept:
    kept: _Kept | None = g.get("direct_connection")
    if kept is None or kept.closed:
        kept = g.direct_connection = _Kept(db.engine.raw_connection(), db.engine.dialect)
    return kept


class _Kept:
    def __init__(self, pooled: PoolProxiedConnection, dialect: Dialect) -> None:
        self.dialect = dialect
        self.closed = False
        self._connection: Any = pooled.driver_connection
        pooled.detach()  # its settings are not those of the pool's, so it never goes back there
        if dialect.name != "sqlite":
            self._connection.autocommit = True
        self._cursor: Any = self._connection.cursor()
        if dialect.name == "sqlite":
            self.execute("PRAGMA synchronous=NORMAL")

    def execute(self, text: str, values: Any = ()) -> Any:
        try:
            if values:
                self._cursor.execute(text, values)
            else:
                self._cursor.execute(text)
        except self.dialect.loaded_dbapi.Error as error:
            self.close()  # which also ends its transaction
            raise OperationalError(text, None, error, hide_parameters=True) from error
        return self._cursor

    def roll_back(self) -> None:
        if not self.closed:
            self.execute("ROLLBACK")

    def close(self) -> None:
        self.closed = True
        self._connection.close()
