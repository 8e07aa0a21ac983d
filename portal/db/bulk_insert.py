"""Hundreds of rows of one table in one go: the statement is made once, and the driver does the rest.

What SQLAlchemy does for each row of an executemany takes three times as long as SQLite's insert; accepting batches is
where that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Dialect, Table

from portal.db import by_driver
from portal.db.transaction import connection

Row = dict[str, Any]
Process = Callable[[Any], Any]


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
    on = connection()
    made = _insert(on.dialect, table, tuple(rows[0]), tuple((written_out or {}).items()), unless_there)
    for column, process in made.processes:
        rows = _converted(rows, column, process)
    if len(rows) == 1:  # a list of one costs the driver more
        return int(by_driver.execute(on, made.text, rows[0]).rowcount)
    return int(by_driver.execute_each(on, made.text, rows).rowcount)


def _converted(rows: Sequence[Row], column: str, process: Process) -> Sequence[Row]:
    """With the column's values as the driver wants them; a moment that is the same in every row is converted once."""
    moments: dict[datetime, Any] = {}
    converted = []
    for row in rows:
        value = row[column]
        if value is None:
            converted.append(row)
            continue
        if not isinstance(value, datetime):
            value = process(value)
        elif value in moments:
            value = moments[value]
        else:
            value = moments[value] = process(value)
        converted.append(row | {column: value})
    return converted


class _Insert(NamedTuple):
    text: str
    processes: list[tuple[str, Process]]  # of the columns whose values the driver doesn't take as they are


@lru_cache(maxsize=64)
def _insert(
    dialect: Dialect,
    table: Table,
    columns: tuple[str, ...],
    written_out: tuple[tuple[str, ColumnElement[Any]], ...],
    unless_there: tuple[str, ...],
) -> _Insert:
    quote = dialect.identifier_preparer.quote
    mark = "%({})s" if dialect.paramstyle == "pyformat" else ":{}"
    names = [*columns, *(name for name, _ in written_out)]
    values = [mark.format(column) for column in columns]
    for _, expression in written_out:
        values.append(str(expression.compile(dialect=dialect, compile_kwargs={"literal_binds": True})))
    text = f"INSERT INTO {quote(table.name)} ({', '.join(map(quote, names))}) VALUES ({', '.join(values)})"
    if unless_there:
        text += f" ON CONFLICT ({', '.join(map(quote, unless_there))}) DO NOTHING"
    processes = {column: table.c[column].type.dialect_impl(dialect).bind_processor(dialect) for column in columns}
    return _Insert(text, [(column, process) for column, process in processes.items() if process is not None])
