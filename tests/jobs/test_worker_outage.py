"""The real mail worker lives through a full disk, and sends when that is over: each mail once."""

import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import Message
from portal.services.accounts import tenants
from tests.conftest import POSTGRES, Environment
from tests.support.processes import CLOCK, WORKER_MAIL
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import accept_many
from tests.support.waiting import eventually
from tests.support.warm import Warm, WarmProcess


@pytest.fixture
def processes(warm: Warm, environment: Environment) -> Iterator[list[WarmProcess]]:
    with ExitStack() as stack:
        yield [stack.enter_context(warm(command, environment())) for command in (WORKER_MAIL, CLOCK)]


def states(app: Flask) -> set[str]:
    with app.app_context():
        return set(db.session.scalars(select(Message.state)))


@pytest.mark.skipif(bool(POSTGRES), reason="not applicable: PostgreSQL")
def test_sqlites_disk_is_full(app: Flask, processes: list[WarmProcess], smtp: SMTPSink, database_url: str) -> None:
    worker = processes[0]
    with app.app_context():
        tenant, _ = tenants.upsert("acme", name="Acme")
        accept_many(tenant, 1)
    smtp.wait_for(1)
    eventually(lambda: states(app) == {"sent"}, "the first is sent", 60)
    size = Path(database_url.removeprefix("sqlite:///") + "-wal").stat().st_size
    usual = [full(process, size) for process in processes]
    with app.app_context():
        accept_many(tenant, 5)
    eventually(lambda: "OperationalError" in worker.output, "the worker meets it", 60)
    for process, limits in zip(processes, usual, strict=True):
        assert process.pid is not None
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
    smtp.wait_for(6)
    eventually(lambda: states(app) == {"sent"}, "all are sent", 100)
    assert len(smtp.received) == 6


def full(process: WarmProcess, size: int) -> tuple[int, int]:
    """Have no file of the process grow beyond this many octets. Returns its limits of before."""
    assert process.pid is not None
    return resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
