"""SQLite's write-ahead log is carried over into the database by the clock: nobody who sends waits for the disk."""

from __future__ import annotations

from portal.extensions import db

# Pages after which whoever commits carries them over: a drain only where no clock has done it (400 MB of log).
DRAINS_PAGES = 100_000


def checkpoint() -> None:
    """Carry over what is committed, without waiting for readers or writers (sqlite.org/wal.html#ckpt)."""
    if db.engine.dialect.name == "sqlite":
        connection = db.engine.raw_connection()  # which begins no transaction
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()
