"""What is asked of the database, by sessions and by the statements that go past them alike."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import event

from portal.db import prepared
from portal.extensions import db


@contextmanager
def recorded() -> Iterator[list[tuple[str, Any]]]:
    """The statements of the block, each with its values."""
    found: list[tuple[str, Any]] = []

    def record(*details: Any) -> None:
        found.append((details[2], details[3]))

    def recording(execute: Any) -> Any:
        def execute_and_record(self: Any, text: str, values: Any = ()) -> Any:
            found.append((text, values))
            return execute(self, text, values)

        return execute_and_record

    event.listen(db.engine, "before_cursor_execute", record)
    try:
        with ExitStack() as patches:
            for kind in (prepared._Connection, prepared._Borrowed):
                patches.enter_context(patch.object(kind, "execute", recording(kind.execute)))
            yield found
    finally:
        event.remove(db.engine, "before_cursor_execute", record)
