"""Statements of a running transaction, handed to the database's driver as they are.

By SQLAlchemy such a statement costs many times what the database does for it (docs/benchmarks.md).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def execute(connection: Connection, text: str, values: Any = ()) -> Any:
    """Run it and return the driver's cursor. Raises as the connection itself would (DBAPIError)."""
    return _run(connection, "execute", text, values)


def execute_each(connection: Connection, text: str, rows: Any) -> Any:
    """The same for each of many rows; the cursor's rowcount is that of all of them."""
    return _run(connection, "executemany", text, rows)


def _run(connection: Connection, how: str, text: str, values: Any) -> Any:
    cursor = connection.connection.cursor()
    try:
        getattr(cursor, how)(text, values)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_sqlalchemy(error, text, connection) from error
    return cursor


def _as_sqlalchemy(error: Exception, text: str, connection: Connection) -> BaseException:
    dialect = connection.dialect
    lost = dialect.is_disconnect(error, connection.connection.driver_connection, None)  # type: ignore[arg-type]
    if lost:
        connection.invalidate(error)
    known = dialect.loaded_dbapi.Error
    return DBAPIError.instance(text, None, error, known, True, connection_invalidated=lost, dialect=dialect)
