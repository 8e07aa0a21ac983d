"""`with transaction():` writes, and says what is to be done after its commit; `with read():` ends a read in time.

`with plain_transaction():` writes rows without a session, which costs as much as all of a message's statements
(docs/benchmarks.md). What runs in either kind takes `connection()`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from portal.db.sqlite import WRITES, turn_to_write
from portal.extensions import db

_AFTER = "portal_after_commit"
# Of a plain transaction: its connection, and what is to be done after its commit.
_plain: ContextVar[tuple[Connection, list[Callable[[], object]]] | None] = ContextVar("plain", default=None)

log = logging.getLogger(__name__)


@contextmanager
def transaction() -> Iterator[Session]:
    """Begin to write, commit at the end, roll back on an exception; inside another one, join it.

    On SQLite this takes the write lock at once (BEGIN IMMEDIATE), so that reading first and writing then can't fail.
    """
    session = db.session()
    if _AFTER in session.info:
        yield session
        return
    if _plain.get() is not None:
        raise RuntimeError("a session can't write within plain_transaction()")
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("objects were changed outside of transaction()")
    if session.in_transaction():
        session.commit()  # ends a read that went before; what was loaded stays loaded
    with turn_to_write():
        session.connection(execution_options={WRITES: True})
        session.info[_AFTER] = []
        try:
            yield session
            session.commit()
        except BaseException:
            session.info.pop(_AFTER, None)
            session.rollback()
            raise
    _run(session.info.pop(_AFTER))


@contextmanager
def plain_transaction() -> Iterator[None]:
    """The same without a session: nothing in it may be an object of one. Not within another transaction."""
    actions: list[Callable[[], object]] = []
    with turn_to_write(), db.engine.connect() as connection:
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            token = _plain.set((connection, actions))
            try:
                yield
            finally:
                _plain.reset(token)
    _run(actions)


def connection() -> Connection:
    """That of the running transaction, of either kind; what its session has changed is written by now."""
    plain = _plain.get()
    if plain is not None:
        return plain[0]
    session = db.session()
    session.flush()
    return session.connection()


@contextmanager
def read() -> Iterator[Session]:
    """Read, and hold no transaction open afterwards; what was loaded stays loaded. Inside transaction(), join it.

    For what reads and then takes its time: a job that speaks to a server, a download in batches. A commit and no
    rollback, which would forget what was loaded. Raises RuntimeError if the block has changed something.
    """
    session = db.session()
    yield session
    if _AFTER in session.info:
        return
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("objects were changed within read()")
    session.commit()


def end_session() -> None:
    """Forget what was loaded and give the connection back; for what runs without requests. Never fails.

    A roll-back that a broken connection can't answer is done already: the database has done it.
    """
    try:
        db.session.remove()
    except Exception as error:
        log.warning("a connection broke before its roll-back (%s)", type(error).__name__)
        db.session.registry.clear()


def after_commit(action: Callable[[], object]) -> None:
    """Run `action` once the running transaction has committed; never if it rolls back."""
    plain = _plain.get()
    (plain[1] if plain is not None else db.session().info[_AFTER]).append(action)


def _run(actions: list[Callable[[], object]]) -> None:
    for action in actions:
        try:
            action()
        except Exception:  # what was committed stays so, and the caller must not be told otherwise
            log.exception("an action after the commit failed")


def serialize(key: str) -> None:
    """Let one transaction at a time go on under `key`, until it ends: for counting before inserting.

    SQLite has one writer anyway; PostgreSQL takes an advisory lock (postgresql.org/docs, 13.3.5).
    """
    session = db.session()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
