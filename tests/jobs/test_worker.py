"""The real worker, clock and web processes: they send what is accepted, and whatever is killed, nothing is lost."""

import importlib
import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.extensions import db
from portal.job_queue import Work
from portal.models import Lane, LogEntry, Message
from portal.services.accounts import api_keys, tenants
from portal.services.drivers import save_gate
from portal.services.drivers.settings import DriverSettings
from portal.services.operations import heartbeat
from portal.services.outbox import accept as outbox
from portal.services.routing import lanes as routing_lanes
from portal.services.senders import verification
from portal.transport.destinations import MemoryResolver
from tests.chaos.steps import Run, merchant
from tests.chaos.steps import allow as allow_server
from tests.conftest import Environment
from tests.support import processes
from tests.support.hostile_server import HOLD, SILENCE, HostileServer
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.settings import configure
from tests.support.smtp_sink import SMTPSink
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

RUN = 200  # tests/chaos kills in runs of thousands


@pytest.fixture
def start(environment: Environment) -> Iterator[Callable[[list[str]], Process]]:
    with ExitStack() as stack:
        yield lambda command: stack.enter_context(Process(command, environment(smtp_reply_timeout=15)))


def states(app: Flask) -> Counter[str]:
    with app.app_context():
        rows = db.session.execute(select(Message.state, func.count()).group_by(Message.state)).all()
    return Counter(dict(rows))


def accept(app: Flask, count: int) -> None:
    with app.app_context():
        tenant, _ = tenants.upsert("acme", name="Acme")
        for number in range(count):
            outbox.accept(
                tenant, kind="order_update", to=f"c{number}@customer.example", subject=f"Order {number}", text="Hello"
            )


def test_a_worker_sends_what_was_accepted(app: Flask, smtp: SMTPSink, start: Callable[[list[str]], Process]) -> None:
    start(processes.WORKER_MAIL)
    start(processes.CLOCK)
    accept(app, 3)
    smtp.wait_for(3)
    eventually(lambda: states(app) == {"sent": 3}, "all are written down as sent")


def test_a_worker_listens_to_one_known_queue(environment: Environment) -> None:
    with Process(processes.python("-m", "jobs.worker", "other"), environment()) as process:
        eventually(lambda: "usage: python -m jobs.worker interactive|mail" in process.output, "it says how")


def test_a_worker_that_is_asked_to_stop_ends_each_drain_after_the_mail_at_hand(
    app: Flask, environment: Environment
) -> None:
    lanes = 6
    with HostileServer(lambda talk, point: HOLD if point == "reply" else None) as server:
        configure(app, relay=server.url, relay_lanes=lanes)
        with app.app_context():
            routing_lanes.ensure()
        accept(app, 12 * lanes)
        with Process(processes.WORKER_MAIL, environment(relay=server.url, relay_lanes=lanes)) as worker:
            with app.app_context():
                routing_lanes.wake_due()
            server.wait_until(lambda server: len(server.held) == lanes, "each lane has a mail at its dot")
            worker.ask_to_stop()
            with app.app_context():
                eventually(lambda: heartbeat.workers("mail") == 0, "it takes no more jobs")
            assert not worker.has_ended, "it waits for the replies"
            server.release()
            eventually(lambda: worker.has_ended, "it ends", 60)
    assert states(app) == {"sent": lanes, "queued": 11 * lanes} and len(server.kept) == lanes
    with app.app_context():
        assert not db.session.scalar(select(func.count()).where(LogEntry.event.in_(("ambiguous", "released"))))
        assert not db.session.scalar(select(func.count()).where(Lane.lease_token.is_not(None)))


def test_tests_of_servers_that_hang_keep_no_verification_mail_waiting(
    app: Flask, smtp: SMTPSink, environment: Environment
) -> None:
    with HostileServer(lambda talk, point: SILENCE) as hanging:
        allow_server(app, None, [hanging.port], MemoryResolver({}))
        network = {"smtp_allowed_networks": "127.0.0.0/8", "smtp_allowed_ports": hanging.port, "drains": 4}
        with app.app_context():
            for number in range(5):
                shop, person = merchant(f"shop-{number}")
                save_gate.start(shop, person, settings_for(hanging.port, number))
        with Process(processes.WORKER_INTERACTIVE, environment(**network)):
            hanging.wait_until(lambda server: len(server.talks) == 2, "half of the places are held by tests")
            with app.app_context():
                for number in range(3):
                    shop, person = merchant(f"other-{number}")
                    verification.start_verification(shop, person, f"hello@other-{number}.example", "Other")
            smtp.wait_for(3)
        assert len(hanging.talks) == 2


def settings_for(port: int, number: int) -> DriverSettings:
    return DriverSettings(
        preset="other", host="127.0.0.1", port=port, encryption="starttls", username=f"shop-{number}@acme.example",
        secret="correct horse battery", from_address="shop@acme.example", from_name="Acme",
    )  # fmt: skip


def post(url: str, key: str, number: int) -> None:
    """Hand in one message as a careful backend does: again, under the same key, until it is accepted."""
    body = {
        "tenant": "acme", "kind": "order_update", "to": f"c{number}@customer.example", "subject": f"Order {number}",
        "text": "Hello\n" * 20,
    }  # fmt: skip
    request = urllib.request.Request(
        f"{url}/api/v1/messages",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Idempotency-Key": f"order-{number}"},
    )

    def accepted() -> bool:
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return bool(response.status == 202)
        except urllib.error.HTTPError as refused:
            if refused.code not in (409, 503):  # the same key is at work still, or the database is busy
                raise
            return False
        except OSError:
            return False

    eventually(accepted, f"message {number} is accepted")


def test_killing_worker_web_and_valkey_in_one_run_loses_none(
    app: Flask, smtp: SMTPSink, valkey: Valkey, start: Callable[[list[str]], Process]
) -> None:
    with app.app_context():
        tenants.upsert("acme", name="Acme")
        key = api_keys.create("backend")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    web = start(processes.web(port))
    workers = [start(processes.WORKER_MAIL) for _ in range(2)]
    start(processes.CLOCK)
    processes.wait_for_page(f"{url}/readyz", web)
    run = Run(app, smtp, start)
    kills = 0

    def kill_workers() -> None:
        nonlocal kills
        run.kill(*workers)
        kills += len([worker.start() for worker in workers])

    def kill_along_the_way() -> None:
        steps = ((20, kill_workers), (50, web.restart), (80, valkey.restart), (110, kill_workers), (140, web.restart))
        for arrived, step in steps:
            smtp.wait_for(arrived, timeout=300)
            step()

    killer = threading.Thread(target=kill_along_the_way)
    killer.start()
    with ThreadPoolExecutor(4) as backend:
        list(backend.map(lambda number: post(url, key, number), range(RUN)))
    killer.join(600)
    assert not killer.is_alive()

    eventually(lambda: states(app) == {"sent": RUN}, f"all are sent: {states(app)}", 300)
    copies = Counter(mail.rcpt_to[0] for mail in smtp.received)
    assert len(copies) == RUN, f"{RUN - len(copies)} lost"
    twice = [address for address, number in copies.items() if number > 1]
    with app.app_context():
        flagged = db.session.scalar(select(func.count()).where(LogEntry.event == "ambiguous")) or 0
    print(f"\n{RUN} messages, {kills} workers killed: 0 lost, {len(twice)} sent twice, {flagged} flagged as ambiguous")
    assert len(twice) <= kills and max(copies.values()) <= 2
    assert len(twice) <= flagged, "each duplicate is flagged"
    for address in twice:
        first, second = (mail.content for mail in smtp.received if mail.rcpt_to[0] == address)
        assert first == second, "a second copy has the same bytes"


@pytest.mark.parametrize("work", Work)
def test_every_job_is_a_function_that_a_worker_can_import(work: Work) -> None:
    module, _, name = work.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))
