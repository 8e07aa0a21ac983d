"""`with transaction():` writes, and says what is to be done after its commit; `with read():` ends a read in time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.db.sqlite import WRITES
from portal.extensions import db

_AFTER = "portal_after_commit"

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
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("objects were changed outside of transaction()")
    session.commit()  # ends a read that went before; what was loaded stays loaded
    session.connection(execution_options={WRITES: True})
    session.info[_AFTER] = []
    try:
        yield session
        session.commit()
    except BaseException:
        session.info.pop(_AFTER, None)
        session.rollback()
        raise
    for action in session.info.pop(_AFTER):
        try:
            action()
        except Exception:  # what was committed stays so, and the caller must not be told otherwise
            log.exception("an action after the commit failed")


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
    db.session().info[_AFTER].append(action)


def serialize(key: str) -> None:
    """Let one transaction at a time go on under `key`, until it ends: for counting before inserting.

    SQLite has one writer anyway; PostgreSQL takes an advisory lock (postgresql.org/docs, 13.3.5).
    """
    session = db.session()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
