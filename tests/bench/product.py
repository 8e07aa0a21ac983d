"""The product under measurement: databases filled beforehand, its real worker, its real web server."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import flask_migrate
from cryptography.fernet import Fernet
from flask import Flask
from redis import Redis
from sqlalchemy import func, select, text, update

from portal import create_app, job_queue
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane, LogEntry, Message, Tenant
from portal.models.route import RELAY
from portal.services.accounts import tenants
from portal.services.outbox import accept as outbox
from portal.services.outbox.accept import Draft
from portal.services.routing import lanes
from portal.transport.mime.addresses import Mailbox
from tests.bench import mails
from tests.bench.processes import Server, clean_environment
from tests.support import processes
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

_BATCH = 500
_SECRETS = {
    "secret_key": "sQ3v-Zr8Yx1Tn5Wc7Hb2Lp9Md4Fs6Gj0",
    "launch_secret": "lB6n-Kd2Rw9Vq4Xt8Zc1Jm7Hs3Pf5Gy0",
    "encryption_keys": Fernet.generate_key().decode(),
}


def draft(tenant: Tenant, number: int) -> Draft:
    """The mail that everybody sends, not accepted yet."""
    to = Mailbox("", mails.recipient(number))
    return Draft(tenant, "order_update", to, mails.subject(number), mails.text(number), mails.html(number))


def accept_one(tenant: Tenant, number: int) -> None:
    """Accept it as the API would, the wake included. Within the application's context."""
    with transaction():
        outbox.write([draft(tenant, number)])


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
    def app(self, **settings: object) -> Iterator[Flask]:
        """The application within its context, in this process."""
        app = create_app(**self.settings | settings)
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

    def accept(self, count: int, shops: Sequence[str] = ("shop-0",)) -> None:
        """Put mails into the outbox, in turn for each shop, by the service that the API calls."""
        with self.app():
            rows = [tenants.upsert(name, name=name.title())[0] for name in shops]
            for begin in range(0, count, _BATCH):
                with transaction():
                    outbox.write(
                        [draft(rows[number % len(rows)], number) for number in range(begin, min(begin + _BATCH, count))]
                    )
            if db.engine.dialect.name == "postgresql":  # as its autovacuum would before long
                with transaction() as session:
                    session.execute(text("ANALYZE"))
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
        with self.database.open("rb+") as copied:
            os.fsync(copied.fileno())  # else the first commit waits until hundreds of MB are on the disk

    def forget_mail(self) -> None:
        """Back to no mail at all, where there is no file to be restored."""
        with self.app(), transaction() as session:
            session.execute(text("TRUNCATE message, message_body, log_entry CASCADE"))
            session.execute(update(Lane).values(lease_token=None, leased_until=None, not_before=None))

    def process(self, command: list[str], **settings: object) -> Server:
        """One of the product's processes, not started yet."""
        return Server(command, clean_environment(**self.settings | settings))

    @contextmanager
    def working(self, command: list[str], count: int = 1, **settings: object) -> Iterator[list[Server]]:
        """So many worker processes, once they wait for work; within the application's context."""
        self.valkey.flush()
        with self.app(**settings), ExitStack() as stack:
            lanes.ensure()
            started = [stack.enter_context(self.process(command, **settings)) for _ in range(count)]
            redis = Redis.from_url(self.valkey.url)
            eventually(lambda: _idle(redis) == count, "the workers wait for work", 30)
            yield started

    def deliver(self, port: int, count: int, *, workers: int = 1, drains: int = 1, timeout: float = 300) -> float:
        """Seconds in which the worker processes send `count` mails: from the wake to that outcome in the log.

        There may be more than that waiting. `drains` is how many each worker runs at a time; each has its lane.
        """
        settings = {"relay": f"smtp://127.0.0.1:{port}", "drains": drains, "relay_lanes": workers * drains}
        with self.working(processes.WORKER_MAIL, workers, **settings) as started:
            redis = Redis.from_url(self.valkey.url)
            begin = time.time()
            for lane in db.session.scalars(select(Lane.id).where(Lane.route == RELAY)).all():
                job_queue.wake(lane, job_queue.MAIL)
            eventually(lambda: self._sent(redis) >= count, f"{count} mails are sent", timeout)
            outcomes = select(LogEntry.at).where(LogEntry.event == "sent").order_by(LogEntry.at)
            last = db.session.scalar(outcomes.offset(count - 1).limit(1))
            if last is None:
                raise RuntimeError(f"fewer than {count} mails were sent:\n{started[0].output[-2000:]}")
            return last.timestamp() - begin

    def _sent(self, redis: Redis) -> int:
        """Looked at rarely, so that it costs the workers nothing; all there is where a job has failed."""
        time.sleep(0.2)
        if redis.zcard("rq:failed:mail"):
            return 2**31
        found = db.session.scalar(select(func.count()).where(Message.route == RELAY, Message.finished_at.is_not(None)))
        db.session.rollback()
        return found or 0


def _idle(redis: Redis) -> int:
    names = redis.smembers("rq:workers")
    return sum(redis.hget(name, "state") == b"idle" for name in names)  # type: ignore[union-attr]
