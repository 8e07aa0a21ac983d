"""The product under measurement: databases filled beforehand, its real worker, its real web server."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flask_migrate
from cryptography.fernet import Fernet
from flask import Flask
from redis import Redis
from sqlalchemy import exists, func, select, text

from portal import create_app
from portal.extensions import db
from portal.models import LogEntry, Message
from portal.models.lane import RELAY
from portal.services import lanes, outbox, tenants
from portal.services.transaction import transaction
from tests.bench import mails
from tests.bench.processes import Server, clean_environment
from tests.support import processes
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

_SECRETS = {"secret_key": "s" * 40, "launch_secret": "l" * 40, "encryption_keys": Fernet.generate_key().decode()}


class Product:
    """One installation: a folder, a Valkey, and a database (SQLite in the folder unless a URL is given)."""

    def __init__(self, folder: Path, valkey: Valkey, database_url: str = "") -> None:
        self.folder = folder
        self.valkey = valkey
        self.database = folder / "portal.db"
        self.settings: dict[str, Any] = _SECRETS | {
            "instance_path": folder,
            "database_url": database_url or f"sqlite:///{self.database}",
            "redis_url": valkey.url,
            "relay": "smtp://127.0.0.1:9",
            "default_sender": str(mails.SENDER),
        }

    @contextmanager
    def app(self) -> Iterator[Flask]:
        """The application within its context, in this process."""
        app = create_app(**self.settings)
        with app.app_context():
            lanes.forget()
            yield app
            db.session.remove()
            db.engine.dispose()

    def create(self) -> None:
        with self.app():
            flask_migrate.upgrade()
            db.session.remove()
            lanes.ensure()

    def accept(self, count: int, tenant_count: int = 1) -> None:
        """Put mails into the outbox, in turn for each tenant, by the service that the API calls."""
        with self.app():
            rows = [tenants.upsert(f"shop-{number}", name=f"Shop {number}")[0] for number in range(tenant_count)]
            with transaction():
                for number in range(count):
                    outbox.accept(
                        rows[number % tenant_count],
                        kind="order_update",
                        to=mails.recipient(number),
                        subject=mails.subject(number),
                        text=mails.text(number),
                        html=mails.html(number),
                    )
        self.valkey.flush()  # the wakes: a worker shall wait until the clock is started

    def keep(self, name: str) -> Path:
        """Set this state of the SQLite database aside."""
        with self.app():
            db.session.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        return Path(shutil.copy(self.database, self.folder / name))

    def restore(self, kept: Path) -> None:
        for suffix in ("-wal", "-shm"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)
        shutil.copy(kept, self.database)

    def deliver(self, port: int, count: int, timeout: float = 300) -> float:
        """Seconds in which one worker process sends what is due: from the wake to the last outcome in the log."""
        settings = self.settings | {"relay": f"smtp://127.0.0.1:{port}"}
        self.valkey.flush()
        with Server(processes.WORKER_MAIL, clean_environment(**settings)) as worker, self.app():
            redis = Redis.from_url(self.valkey.url)
            eventually(lambda: _is_idle(redis), "the worker waits for work", 30)
            started = time.time()
            lanes.wake(RELAY)
            eventually(lambda: not self._has_work(redis), f"{count} mails are sent", timeout)
            sent = db.session.scalar(select(func.count()).where(Message.state == "sent"))
            if sent != count:
                raise RuntimeError(f"{sent} of {count} mails were sent; the worker said:\n{worker.output[-2000:]}")
            last = db.session.scalar(select(func.max(LogEntry.at)).where(LogEntry.event == "sent"))
            assert last is not None
            return last.timestamp() - started

    def _has_work(self, redis: Redis) -> bool:
        """Looked at rarely, so that it costs the worker nothing."""
        time.sleep(0.2)
        if redis.zcard("rq:failed:mail"):
            return False
        at_work = exists().where(Message.state.in_(("queued", "deferred", "sending")))
        found = bool(db.session.scalar(select(at_work)))
        db.session.rollback()
        return found


def _is_idle(redis: Redis) -> bool:
    names = redis.smembers("rq:workers")
    return any(redis.hget(name, "state") == b"idle" for name in names)  # type: ignore[union-attr]
