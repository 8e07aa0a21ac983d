"""The real application on a database of its own, with everything outside of it put in place by a schedule."""

import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest.mock import patch

import flask_migrate
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import Dialect, event

from portal import create_app, job_queue
from portal.config import load_settings
from portal.db import prepared
from portal.extensions import db
from portal.models.base import keep_time_by
from portal.redis_client import Line
from portal.services.accounts import tenants
from portal.services.routing import lanes
from portal.transport import factory
from tests.model.connection import Connection, Observer
from tests.model.server import Server
from tests.model.surroundings import ForgetfulRedis, Time, seeded

TENANTS = 3
_EMPTIED = ("log_entry", "message_body", "message", "refusal", "tenant_usage", "lane")


class Laboratory:
    """Made once for many schedules: `with Laboratory() as laboratory`."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._errors = _Errors()

    def __enter__(self) -> "Laboratory":
        memory = Path("/dev/shm")
        place = memory if os.access(memory, os.W_OK) else None
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="absender-model-", dir=place))
        self._options: dict[str, Any] = {
            "instance_path": folder, "database_url": f"sqlite:///{folder}/model.db",
            "secret_key": "kQ3v-Zr8Yx1Tn5Wc7Hb2Lp9Md4Fs6Gj0", "launch_secret": "lB6n-Kd2Rw9Vq4Xt8Zc1Jm7Hs3Pf5Gy0",
            "encryption_keys": [Fernet.generate_key().decode()], "relay": "smtp://127.0.0.1:1025",
            "default_sender": "Marketplace <notifications@marketplace.example>",
            "support_email": "help@marketplace.example", "support_url": "https://marketplace.example/tickets",
        }  # fmt: skip
        # An actor that others have overtaken holds its connection: here nobody waits for one.
        with patch.object(prepared, "CONNECTIONS", 64):
            self.app: Flask = create_app(**self._options)
        keep_time_by(None)
        self._settings = {number: load_settings(**self._options, relay_lanes=number) for number in (1, 2, 3)}
        with self.app.app_context():
            flask_migrate.upgrade()
            db.engine.dispose()
            event.listen(db.engine, "do_connect", _use_ours)
            self.tenants = [tenants.upsert(f"t{n}", name=f"Shop {n}", plan="enterprise")[0].id for n in range(TENANTS)]
            db.session.remove()
        self.database = sqlite3.connect(f"{folder}/model.db", isolation_level=None)
        self._stack.callback(self._close)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def _close(self) -> None:
        self.database.close()
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()

    @contextmanager
    def schedule(self, seed: int, lane_count: int, time: Time, redis: ForgetfulRedis, server: Server) -> Iterator[None]:
        """Within the block the engine's world is this one: its time, its Redis, its mail server, an empty outbox."""
        settings = self._settings[lane_count]
        self._time = time
        Connection.strftime = staticmethod(time.strftime)
        self._empty(lane_count)
        self.app.extensions["settings"] = settings
        self.app.extensions["portal_redis"] = Line(redis)  # type: ignore[arg-type]
        self._errors.found.clear()
        lanes.forget()
        put = lambda client, queue, work, argument: client.put(argument)  # noqa: E731
        with (
            time.in_force(),
            seeded(seed),
            factory.in_place_of(settings.relay_account, server.transport),
            patch.object(job_queue, "_put", put),
            self._errors.heard(),
        ):
            yield

    def errors(self) -> list[str]:
        """What the engine has logged as a defect of its own."""
        return self._errors.found

    @contextmanager
    def observed(self, observer: Observer) -> Iterator[None]:
        Connection.observer = observer
        try:
            yield
        finally:
            Connection.observer = None

    def finds(self, condition: str) -> bool:
        """Whether an SQL condition holds now, by a connection of the laboratory's own."""
        return bool(self.database.execute(f"SELECT {condition}", {"now": self._time.text()}).fetchone()[0])

    def _empty(self, lane_count: int) -> None:
        relay = [f"('relay', {number}, 0, 0)" for number in range(lane_count)]
        wanted = ", ".join([*relay, "('interactive', 0, 0, 0)"])
        self.database.executescript(
            "BEGIN IMMEDIATE;"
            + "".join(f"DELETE FROM {table};" for table in _EMPTIED)
            + f"INSERT INTO lane (route, number, failures, turn) VALUES {wanted}; COMMIT"
        )


def _use_ours(_dialect: Dialect, _record: Any, _arguments: list[Any], options: dict[str, Any]) -> None:
    options["factory"] = Connection


class _Errors(logging.Handler):
    """Hears what the engine logs with a traceback: a defect that it survived."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.found.append(f"{record.getMessage()}: {_place(record.exc_info[1], record.exc_info[2])}")

    @contextmanager
    def heard(self) -> Iterator[None]:
        root = logging.getLogger()
        before, disabled = root.handlers[:], root.manager.disable
        root.handlers[:] = [self]
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(disabled)
            with suppress(ValueError):
                root.handlers[:] = before


def _place(error: BaseException, at: TracebackType | None) -> str:
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    where = f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at is not None else "?"
    return f"{type(error).__name__} {error} ({where})"
