"""SQLite connections that tell an observer of each statement: there drains are stopped, killed and watched."""

import re
import sqlite3
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, NamedTuple, Protocol


class Kind(NamedTuple):
    """What a statement does: begin, commit, rollback, write or read; of a write the table, and whether to one row."""

    verb: str
    table: str = ""
    one: bool = False


class Observer(Protocol):
    def before(self, connection: "Connection", kind: Kind, text: str) -> None: ...

    def after(self, connection: "Connection", kind: Kind) -> None: ...


_BEGIN, _COMMIT, _ROLLBACK = Kind("begin"), Kind("commit"), Kind("rollback")
_WRITE = re.compile(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+\"?(\w+)", re.IGNORECASE)


@cache
def kind_of(text: str) -> Kind:
    first = text.lstrip().split(None, 1)[0].upper()
    if first in ("COMMIT", "ROLLBACK"):
        return Kind(first.lower())
    if first == "BEGIN":
        return Kind("begin" if "IMMEDIATE" in text.upper() else "read")
    if found := _WRITE.match(text):
        return Kind("write", found[1], bool(re.search(rf"WHERE {found[1]}\.id = \?", text)))
    return Kind("read")


class Connection(sqlite3.Connection):
    """What the engine gets for a connection while a schedule runs."""

    observer: ClassVar[Observer | None] = None
    strftime: ClassVar[Any] = None  # tells the schedule's time
    changed: ClassVar[Any] = None  # what a mutation makes of a statement

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.written: list[Kind] = []  # in the transaction at work
        # Whatever schedule is at work: connections outlive schedules.
        self.create_function("strftime", -1, lambda *given: Connection.strftime(*given), deterministic=True)

    def cursor(self, *_: Any) -> "Cursor":  # type: ignore[override]
        return super().cursor(Cursor)

    def execute(self, text: str, values: Any = ()) -> sqlite3.Cursor:
        return self.watched(super().execute, text, values)

    def commit(self) -> None:
        if self.in_transaction and self.written:
            self._told(_COMMIT, super().commit)
        else:
            super().commit()

    def rollback(self) -> None:
        self._told(_ROLLBACK, super().rollback)

    def watched(self, execute: Callable[..., Any], text: str, values: Any) -> Any:
        text = self.changed(text) if self.changed else text
        return self._told(kind_of(text), lambda: execute(text, values), text)

    def _told(self, kind: Kind, work: Callable[[], Any], text: str = "") -> Any:
        observer = self.observer
        if observer is None:
            return work()
        if kind.verb == "rollback" and not self.in_transaction:
            return None  # of one that was killed after its commit
        alone = kind.verb == "write" and not self.in_transaction
        if alone:
            observer.before(self, _BEGIN, text)
        observer.before(self, kind, text)
        if kind.verb == "write":
            self.written.append(kind)
        done = work()
        kind = _COMMIT if alone else kind
        observer.after(self, kind)
        if kind.verb in ("begin", "commit", "rollback"):
            self.written = []
        return done


class Cursor(sqlite3.Cursor):
    connection: Connection

    def execute(self, text: str, values: Any = ()) -> Any:
        return self.connection.watched(super().execute, text, values)

    def executemany(self, text: str, values: Any) -> Any:
        return self.connection.watched(super().executemany, text, values)
