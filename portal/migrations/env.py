"""Runs migrations on the application's own engine, one process at a time."""

from __future__ import annotations

from alembic import context
from flask import current_app
from sqlalchemy import text

from portal.extensions import WRITES, db
from portal.models import Base

_LOCK = 7_240_311  # any number, the same in every process that migrates


def run() -> None:
    options = current_app.extensions["migrate"].configure_args
    with db.engine.connect().execution_options(**{WRITES: True}) as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, **options)
        with context.begin_transaction():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            context.run_migrations()


run()
