"""Flask extensions, created once and bound to the application in create_app()."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, event

from portal.models.base import Base

# The models derive from Base and know nothing of Flask; the extension gives the session and the engine.
db = SQLAlchemy(metadata=Base.metadata, session_options={"expire_on_commit": False})
migrate = Migrate(render_as_batch=True)

# The execution option that portal.services.transaction sets on a connection which is going to write.
WRITES = "portal_writes"


def engine_options(url: str) -> dict[str, Any]:
    """How the engine is made for this database.

    No parameters in error messages: they would carry addresses and bodies into logs and, by RQ, into Redis. On
    PostgreSQL nobody waits for ever for a row that a process holds which was cut off in the middle.
    """
    options: dict[str, Any] = {"hide_parameters": True}
    if url.startswith("postgresql"):
        options["pool_pre_ping"] = True  # a server can go away; a file can't
        server = "-c lock_timeout=5s -c idle_in_transaction_session_timeout=60s"
        options["connect_args"] = {"connect_timeout": 10, "options": server}
    return options


def init_app(app: Flask) -> None:
    db.init_app(app)
    migrate.init_app(app, db, directory=app.root_path + "/migrations")
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            _prepare_sqlite(db.engine)


def _prepare_sqlite(engine: Engine) -> None:
    """WAL, foreign keys, and BEGIN IMMEDIATE for writers.

    A deferred transaction that reads first and writes then fails at once with SQLITE_BUSY_SNAPSHOT, whatever the
    timeout (sqlite.org/rescode.html#busy_snapshot), so a writer takes the lock at its beginning and waits for it there.
    synchronous=FULL: an accepted message survives a power cut (sqlite.org/pragma.html#pragma_synchronous).
    """

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin on its own
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=15000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        if connection.get_execution_options().get(WRITES, False):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return
        # By the driver itself: as a statement of SQLAlchemy's it costs more than what most reads do. It fails for no
        # lock, so nothing has to be translated into SQLAlchemy's errors.
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("BEGIN")
