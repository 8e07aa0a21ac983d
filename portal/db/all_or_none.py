"""What is written together and costs one round trip on PostgreSQL: for what is written with each mail."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Insert,
    Select,
    Update,
    exists,
    func,
    insert,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.exc import OperationalError

from portal.db.prepared import Statement, is_postgresql, transaction

_DIVISION_BY_ZERO = "22012"


class NewRow:
    """A row to be added to a table, of values or `bindparam`s."""

    def __init__(self, table: FromClause, **values: Any) -> None:
        self._table: Any = table
        self._names = list(values)
        self._values = [type_coerce(value, table.c[name].type) for name, value in values.items()]

    def where(self, *conditions: ColumnElement[bool]) -> Insert:
        """Return the INSERT, which adds nothing unless the conditions hold."""
        return insert(self._table).from_select(self._names, select(*self._values).where(*conditions))


class AllOrNone:
    """Updates of one row each, and rows to be added: written in this order, all of them or none.

    On SQLite they are a transaction. On PostgreSQL they are one statement, and cost one round trip instead of one each
    and two for the transaction. `durable` as in prepared.transaction().
    """

    def __init__(self, *steps: Update | NewRow, durable: bool = True) -> None:
        self._durable = durable
        self._each = [Statement(step.where() if isinstance(step, NewRow) else step) for step in steps]
        self._as_one = Statement(_as_one(steps, durable))

    def run(self, **values: Any) -> bool:
        """Return whether all was written. Not within a transaction; raises OperationalError."""
        if is_postgresql():
            return self._run_as_one(values)
        try:
            with transaction(durable=self._durable):
                for one in self._each:
                    if one.count(**values) != 1:
                        raise _NotAll
        except _NotAll:
            return False
        return True

    def _run_as_one(self, values: dict[str, Any]) -> bool:
        try:
            self._as_one.rows(**values)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) == _DIVISION_BY_ZERO:
                return False
            raise
        return True


class _NotAll(Exception):
    """What was to be changed wasn't there; takes back what was written before."""


def _as_one(steps: tuple[Update | NewRow, ...], durable: bool) -> Select[Any]:
    """Each step asks whether the one before it has written, so PostgreSQL locks the rows in this order.

    If one has found nothing, the last one has written nothing, and dividing by that takes back everything.
    """
    one: ColumnElement[int] = literal_column("1")
    conditions: list[ColumnElement[bool]] = []
    for number, step in enumerate(steps):
        written = step.where(*conditions).returning(one.label("written")).cte(f"step{number}")
        conditions = [exists(select(one).select_from(written))]
    wait_for_no_disk = [] if durable else [func.set_config("synchronous_commit", "off", True)]
    return select(literal_column("1 / count(*)"), *wait_for_no_disk).select_from(written)
