"""Flask extensions, created once and bound to the application in create_app()."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from portal.models.base import Base

# The models derive from Base and know nothing of Flask; the extension gives the session and the engine.
db = SQLAlchemy(metadata=Base.metadata, session_options={"expire_on_commit": False})
migrate = Migrate(render_as_batch=True)


def engine_options(url: str) -> dict[str, Any]:
    """How the engine is made for this database.

    No parameters in error messages: they would carry addresses and bodies into logs and, by RQ, into Redis. On
    PostgreSQL nobody waits for ever for a row that a process holds which was cut off in the middle.

    Sessions hold a connection for as long as they read or write, which is short: a mail worker's 64 threads share 16 of
    PostgreSQL's, and wait for one for 30 s at most. SQLite's cost nothing to open, so nobody waits for one; a few stay.
    """
    options: dict[str, Any] = {"hide_parameters": True, "pool_use_lifo": True}
    if url.startswith("postgresql"):
        options |= {"pool_size": 4, "max_overflow": 12, "pool_timeout": 30}
        options["pool_pre_ping"] = True  # a server can go away; a file can't
        server = "-c lock_timeout=5s -c idle_in_transaction_session_timeout=60s"
        options["connect_args"] = {"connect_timeout": 10, "options": server}
    else:
        options |= {"pool_size": 4, "max_overflow": -1}
    return options


def init_app(app: Flask) -> None:
    db.init_app(app)
    migrate.init_app(app, db, directory=app.root_path + "/migrations")
