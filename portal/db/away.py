"""Whether the database is away: it restarts, has no connection left, or can't write. Everything else is a defect."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft

# SQLite's BUSY, LOCKED, READONLY, IOERR, FULL and CANTOPEN (sqlite.org/rescode.html); the lower octet names the kind.
_SQLITE = (5, 6, 8, 10, 13, 14)
# PostgreSQL's classes and codes (postgresql.org/docs, appendix A): connections, resources, the operator's doing, its
# own files, a server that only reads, and waiting in vain for a lock.
_POSTGRESQL = ("08", "53", "57", "58", "25006", "55P03", "40P01")
# What psycopg raises without a code: no connection was to be had, or it broke.
_BROKEN = ("OperationalError", "InterfaceError")
_QUIET_SECONDS = 10.0

log = logging.getLogger(__name__)


def is_away(error: BaseException) -> bool:
    """Whether another try may succeed once the database is well: SQLAlchemy's error, or its driver's own."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, NoConnectionLeft):
        return True
    number = getattr(cause, "sqlite_errorcode", None)
    if number is not None:
        return number & 0xFF in _SQLITE
    if not hasattr(cause, "sqlstate"):
        return False
    if cause.sqlstate is not None:
        return str(cause.sqlstate).startswith(_POSTGRESQL)
    return any(kind.__name__ in _BROKEN for kind in type(cause).__mro__)


class Outage:
    """Says once that the database is away, and once that it is back; safe for threads.

    Back is what has worked for some seconds: a full disk is read without fail, and fails the next who writes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began: float | None = None
        self._last = 0.0

    @property
    def is_on(self) -> bool:
        return self._began is not None

    def met(self, error: BaseException) -> None:
        """Somebody has found the database away."""
        with self._lock:
            self._last = time.monotonic()
            if self._began is not None:
                return
            self._began = self._last
        cause = getattr(error, "orig", None) or error
        said = str(cause).partition("\n")[0]  # an infrastructure's words: they quote no mail
        log.error("the database is away (%s): %s", type(error).__name__, said)

    def worked(self) -> None:
        """Somebody has found it well."""
        if self._began is None:
            return
        with self._lock:
            now = time.monotonic()
            if self._began is None or now - self._last < _QUIET_SECONDS:
                return
            seconds, self._began = now - self._began, None
        log.warning("the database is back after %.0f s", seconds)
