"""A message's state: which changes are legal, the one statement that makes them, and who is told of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Update, literal_column, update

from portal.db.bulk_insert import insert_rows
from portal.db.transaction import after_commit, transaction
from portal.extensions import db
from portal.models import LogEntry, Message, utcnow
from portal.models.message import ENDED, WAITING, State
from portal.models.route import Route

ON_THE_WAY = (*WAITING, State.SENDING, State.HELD)
# What may follow what. A message begins as queued, held, or (a driver's test) sending; what has ended stays so.
LEGAL: dict[State, tuple[State, ...]] = {
    State.QUEUED: (State.SENDING, State.HELD, State.UNCONFIRMED, State.FAILED, State.CANCELLED),
    State.DEFERRED: (State.SENDING, State.HELD, State.UNCONFIRMED, State.FAILED, State.CANCELLED),
    State.SENDING: (*WAITING, State.HELD, *ENDED),
    State.HELD: (State.QUEUED, State.UNCONFIRMED, State.CANCELLED),
} | dict.fromkeys(ENDED, ())

MESSAGE = db.metadata.tables[Message.__tablename__]
ENTRY = db.metadata.tables[LogEntry.__tablename__]
CHANGED = (MESSAGE.c.id, MESSAGE.c.tenant_id, MESSAGE.c.public_id, MESSAGE.c.route, MESSAGE.c.attempt)
log = logging.getLogger(__name__)


class IllegalChange(Exception):
    """No message in that state may get into this one."""


class Change(NamedTuple):
    """What became of a message, as committed. `event` is what its log says of it, None if nothing."""

    message_id: int
    tenant_id: int
    public_id: str
    state: State
    event: str | None
    reason: str | None
    route: Route
    attempt: int
    lane: int | None = None  # the lane of the drain that did it
    code: int | None = None  # the server's reply


Subscriber = Callable[[Sequence[Change]], object]
subscribers: list[Subscriber] = []


def change(came_from: Iterable[State], to: State, **values: Any) -> Update:
    """Return the UPDATE that takes messages from these states to another; `.where()` says which messages.

    It finds only messages that are in one of these states still, so of two changes at a time one finds nothing.
    `values` sets further columns. The caller that runs it must call tell(). Raises IllegalChange.
    """
    before = tuple(came_from)
    for state in before:
        if to not in LEGAL[state]:
            raise IllegalChange(f"{state} -> {to}")
    return update(MESSAGE).where(_is_one_of(before)).values(state=to, **values)


def _is_one_of(states: Sequence[State]) -> ColumnElement[bool]:
    """Spelled out as in the partial indexes, which SQLite then uses."""
    return MESSAGE.c.state.in_([literal_column(f"'{state}'") for state in states])


def subscribe(subscriber: Subscriber) -> None:
    """Have `subscriber` told of every change after its commit; create_app() lists them.

    It is told at most once, and not at all if the process dies in between: what must not miss one reads the log table,
    which is written in the change's own transaction.
    """
    if subscriber not in subscribers:
        subscribers.append(subscriber)


def end(came_from: Iterable[State], state: State, reason: str, which: ColumnElement[bool], **values: Any) -> int:
    """End messages with a line in the log of each, in a transaction of its own. Returns how many. Raises IllegalChange.

    `values` are further columns of the message.
    """
    statement = change(came_from, state, reason=reason, held_at=None, finished_at=utcnow(), **values).where(which)
    with transaction() as session:
        return write(session.execute(statement.returning(*CHANGED)).all(), state, state, reason)


def write(rows: Sequence[Any], state: State, event: str | None, reason: str | None) -> int:
    """Log what a change has returned (CHANGED), and tell of it after the commit. Returns how many.

    Within a transaction. `event` None: their logs say nothing of it.
    """
    if rows:
        if event is not None:
            about = {"at": utcnow(), "event": event, "reason": reason}
            insert_rows(ENTRY, [{"tenant_id": row.tenant_id, "message_id": row.id, **about} for row in rows])
        changes = [
            Change(row.id, row.tenant_id, row.public_id, state, event, reason, row.route, row.attempt) for row in rows
        ]
        after_commit(partial(tell, changes))
    return len(rows)


def tell(changes: Sequence[Change]) -> None:
    """Tell the subscribers what was committed. Never fails: what is committed stays so."""
    for subscriber in subscribers:
        try:
            subscriber(changes)
        except Exception:
            log.exception("a subscriber of message states failed")
