"""What is asked of the database, by sessions and by the statements that go past them alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, event

from portal.db import by_driver
from portal.db.prepared import Statement
from portal.extensions import db


@contextmanager
def recorded() -> Iterator[list[tuple[str, Any]]]:
    """The statements of the block, each with its values."""
    found: list[tuple[str, Any]] = []

    def record(*details: Any) -> None:
        found.append((details[2], details[3]))

    bound, run = Statement._bound, by_driver._run

    def run_and_record(on: Connection, how: str, text: str, values: Any) -> Any:
        if not (found and found[-1][0] is text):  # a Statement, recorded as it was bound
            found.append((text, values))
        return run(on, how, text, values)

    def bind_and_record(self: Statement, *given: Any) -> tuple[str, Any]:
        found.append(bound(self, *given))
        return found[-1]

    event.listen(db.engine, "before_cursor_execute", record)
    try:
        with patch.object(Statement, "_bound", bind_and_record), patch.object(by_driver, "_run", run_and_record):
            yield found
    finally:
        event.remove(db.engine, "before_cursor_execute", record)
