"""Runs migrations on the application's own engine, one process at a time."""

from __future__ import annotations

from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy import Connection, text

from portal.db.sqlite import WRITES
from portal.extensions import db
from portal.models import Base

_LOCK = 7_240_311  # any number, the same in every process that migrates


def run() -> None:
    options = current_app.extensions["migrate"].configure_args | {"target_metadata": Base.metadata}
    with db.engine.connect().execution_options(**{WRITES: True}) as connection:
        if connection.dialect.name != "sqlite":
            return _on_postgresql(connection, options)
        _enforce_foreign_keys(connection, False)
        try:
            context.configure(connection=connection, **options)
            with context.begin_transaction():
                context.run_migrations()
                if broken := connection.execute(text("PRAGMA foreign_key_check")).all():
                    raise RuntimeError(f"the migration left rows that point nowhere: {broken[:5]}")
        finally:
            _enforce_foreign_keys(connection, True)


def _on_postgresql(connection: Connection, options: dict[str, Any]) -> None:
    """Each migration has a transaction of its own, so that one may leave it to build an index while mail goes on."""
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as holder:
        holder.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        try:
            context.configure(connection=connection, transaction_per_migration=True, **options)
            with context.begin_transaction():
                context.run_migrations()
        finally:
            holder.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})


def _enforce_foreign_keys(connection: Connection, enforce: bool) -> None:
    """Batch mode drops the old table, which with foreign keys on deletes every row that refers to it by cascade.

    Past SQLAlchemy, because the pragma does nothing within a transaction (sqlite.org/lang_altertable.html, 7).
    """
    driver = connection.connection.driver_connection
    assert driver is not None, "connected"
    driver.execute(f"PRAGMA foreign_keys={'ON' if enforce else 'OFF'}")


run()
