"""Statements of the session's transaction, handed to the database's driver as they are.

By the session such a statement costs many times what the database does for it (docs/benchmarks.md).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from portal.extensions import db


def execute(text: str, values: Any) -> Any:
    """Run it on the session's connection and return the driver's cursor. Raises as the session would (DBAPIError)."""
    return _run("execute", text, values)


def execute_each(text: str, rows: Any) -> Any:
    """The same for each of many rows; the cursor's rowcount is that of all of them."""
    return _run("executemany", text, rows)


def _run(how: str, text: str, values: Any) -> Any:
    connection = db.session.connection()
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
