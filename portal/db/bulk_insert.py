"""Hundreds of rows of one table in one go: the statement is made once, and the driver does the rest.

What SQLAlchemy does for each row of an executemany takes three times as long as SQLite's insert; accepting batches is
where that counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Dialect, Table

from portal.extensions import db

Row = dict[str, Any]


def insert_rows(
    table: Table,
    rows: Sequence[Row],
    written_out: Mapping[str, ColumnElement[Any]] | None = None,
    unless_there: tuple[str, ...] = (),
) -> int:
    """Insert rows that all have the same columns; returns how many went in. Within a transaction.

    `written_out`: expressions that are the same for every row. `unless_there`: the unique columns by which a row that
    is there already stays as it is. A column's default counts only if the database has it.
    """
    connection = db.session.connection()
    dialect = connection.dialect
    columns = tuple(rows[0])
    statement = _statement(dialect, table, columns, tuple((written_out or {}).items()), unless_there)
    made = [_Converter(table, column, dialect) for column in columns if any(row[column] is not None for row in rows)]
    for converter in made:
        if converter.process is not None:
            rows = [row | {converter.column: converter.convert(row[converter.column])} for row in rows]
    return connection.exec_driver_sql(statement, list(rows)).rowcount


class _Converter:
    """A column's values as the driver wants them; a moment that is the same in every row is converted once."""

    def __init__(self, table: Table, column: str, dialect: Dialect) -> None:
        self.column = column
        self.process = table.c[column].type.dialect_impl(dialect).bind_processor(dialect)
        self._moments: dict[datetime, Any] = {}

    def convert(self, value: Any) -> Any:
        assert self.process is not None
        if not isinstance(value, datetime):
            return self.process(value)
        if value not in self._moments:
            self._moments[value] = self.process(value)
        return self._moments[value]


@lru_cache(maxsize=64)
def _statement(
    dialect: Dialect,
    table: Table,
    columns: tuple[str, ...],
    written_out: tuple[tuple[str, ColumnElement[Any]], ...],
    unless_there: tuple[str, ...],
) -> str:
    quote = dialect.identifier_preparer.quote
    mark = "%({})s" if dialect.paramstyle == "pyformat" else ":{}"
    names = [*columns, *(name for name, _ in written_out)]
    values = [mark.format(column) for column in columns]
    for _, expression in written_out:
        values.append(str(expression.compile(dialect=dialect, compile_kwargs={"literal_binds": True})))
    text = f"INSERT INTO {quote(table.name)} ({', '.join(map(quote, names))}) VALUES ({', '.join(values)})"
    if unless_there:
        text += f" ON CONFLICT ({', '.join(map(quote, unless_there))}) DO NOTHING"
    return text
