"""Runs migrations on the application's own engine, one process at a time."""

from __future__ import annotations

from alembic import context
from flask import current_app
from sqlalchemy import Connection, text

from portal.db.sqlite import WRITES
from portal.extensions import db
from portal.models import Base

_LOCK = 7_240_311  # any number, the same in every process that migrates


def run() -> None:
    options = current_app.extensions["migrate"].configure_args
    with db.engine.connect().execution_options(**{WRITES: True}) as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            _enforce_foreign_keys(connection, False)
        try:
            context.configure(connection=connection, target_metadata=Base.metadata, **options)
            with context.begin_transaction():
                if not sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                context.run_migrations()
                if sqlite and (broken := connection.execute(text("PRAGMA foreign_key_check")).all()):
                    raise RuntimeError(f"the migration left rows that point nowhere: {broken[:5]}")
        finally:
            if sqlite:
                _enforce_foreign_keys(connection, True)


def _enforce_foreign_keys(connection: Connection, enforce: bool) -> None:
    """Batch mode drops the old table, which with foreign keys on deletes every row that refers to it by cascade.

    Past SQLAlchemy, because the pragma does nothing within a transaction (sqlite.org/lang_altertable.html, 7).
    """
    driver = connection.connection.driver_connection
    assert driver is not None, "connected"
    driver.execute(f"PRAGMA foreign_keys={'ON' if enforce else 'OFF'}")


run()
