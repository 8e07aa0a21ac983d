"""What the real processes write: one line per event, each of which a program can read, and nothing about people."""

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import RedisError
from sqlalchemy.exc import IntegrityError, OperationalError

from portal.extensions import db
from portal.job_queue import Work
from portal.log_format import Formatter, error_text
from portal.models import Message
from portal.services.accounts import api_keys, launches, tenants
from portal.services.drivers import save_gate
from portal.services.drivers.settings import DriverSettings
from portal.services.operations import heartbeat
from portal.services.outbox import accept as outbox
from portal.services.senders import verification
from tests.conftest import Environment
from tests.support import processes
from tests.support.driver_steps import allow
from tests.support.mail_service import MailService
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.smtp_sink import Received, SMTPSink
from tests.support.waiting import eventually

CANARIES = {
    "recipient": "canary-recipient", "subject": "canary-subject", "text": "canary-text", "password": "canary-parola-1",
    "account": "canary-account", "reply": "canary-reply",
}  # fmt: skip


def lines(output: str) -> list[dict[str, Any]]:
    """Every line as what it says; a line that is not JSON fails the test."""
    return [json.loads(line) for line in output.splitlines() if line.strip()]


def post(url: str, key: str, body: dict[str, Any]) -> int:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        request = urllib.request.Request(f"{url}/api/v1/messages", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_addresses_subjects_and_passwords_are_in_no_line_of_any_process(
    app: Flask, environment: Environment, smtp: SMTPSink, tmp_path: Path
) -> None:
    def refuse_some(mail: Received) -> str | None:
        bounced = "bounced" in mail.rcpt_to[0]
        return f"550 5.1.1 <{mail.rcpt_to[0]}> {CANARIES['reply']} unknown" if bounced else None

    smtp.on_data = refuse_some
    with app.app_context():
        tenant, _ = tenants.upsert("acme", name="Acme Shop", plan="enterprise")
        user = launches.accept(launches.make_token("acme", email=f"{CANARIES['recipient']}@acme.example")).user
        key = api_keys.create("backend")
        token = launches.make_token("acme")
    with ExitStack() as stack:
        service = stack.enter_context(MailService(tmp_path))
        allow(app, service)
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        values = environment(
            port=port, base_url=base, log_format="json", smtp_ca_file=service.ca_file,
            smtp_allowed_networks="127.0.0.0/8", smtp_allowed_ports=service.port,
        )  # fmt: skip
        commands = (
            processes.web(port), processes.WORKER_INTERACTIVE, processes.WORKER_MAIL, processes.CLOCK,
        )  # fmt: skip
        running = [stack.enter_context(Process(command, values)) for command in commands]
        processes.wait_for_page(f"{base}/readyz", running[0])
        mail = {
            "tenant": "acme", "kind": "order_update", "subject": CANARIES["subject"], "text": CANARIES["text"],
        }  # fmt: skip
        assert post(base, key, mail | {"to": f"{CANARIES['recipient']}@customer.example"}) == 202
        assert post(base, key, mail | {"to": f"{CANARIES['recipient']}.bounced@customer.example"}) == 202
        assert post(base, key, mail | {"to": f"{CANARIES['recipient']} is no address"}) in (400, 422)
        address = f"{CANARIES['recipient']}@customer.example"
        for path in (f"/verify/{CANARIES['text']}", f"/nowhere/{address}", f"/launch?token={token}x"):
            processes.answers(base + path)
        with app.app_context():
            verification.start_verification(tenant, user, f"{CANARIES['account']}@acme.example", "Canary")
            wanted = DriverSettings(
                "other", "127.0.0.1", service.port, "starttls", f"{CANARIES['account']}@acme.example",
                CANARIES["password"], f"{CANARIES['account']}@acme.example", "",
            )  # fmt: skip
            save_gate.start(tenant, user, wanted)

        def finished() -> bool:
            with app.app_context():
                states = [state for (state,) in db.session.execute(db.select(Message.state))]
            return sorted(states) == ["failed", "failed", "sent", "sent"]

        eventually(finished, "two are sent, one bounced, and the test mail was refused")
        for process in running:
            process.stop()
        outputs = [process.output for process in running]
    web, _, worker, _ = (lines(output) for output in outputs)
    text = "".join(outputs)
    revealing = [
        line for line in text.splitlines() if "@" in line or any(word in line for word in (*CANARIES.values(), token))
    ]
    assert revealing == []

    outcomes = [line for line in worker if line["logger"] == "portal.delivery"]
    assert {line["event"] for line in outcomes} == {"sent", "failed"}
    with app.app_context():
        known = {row.public_id: row for row in db.session.scalars(db.select(Message))}
    for line in outcomes:
        row = known[line["message"]]
        assert (line["tenant"], line["route"], line["event"]) == (row.tenant_id, row.route, row.state)
        assert line["lane"] > 0 and line["attempt"] == 1
    assert {(line.get("reason"), line["code"]) for line in outcomes} == {(None, 250), ("unknown_recipient", 550)}
    requests = [line for line in web if line["logger"] == "portal.request"]
    assert any((line.get("rule"), line["status"]) == ("/api/v1/messages", 202) for line in requests)


BROKEN = """
import sys, jobs.deliver, jobs.worker
def drain(lane_id, place):
    raise ValueError("canary-words jane@customer.example")
jobs.deliver.drain = drain
sys.exit(jobs.worker.main(["mail"]))
"""


def test_a_job_that_breaks_leaves_its_place_in_the_log_and_no_words(app: Flask, environment: Environment) -> None:
    with app.app_context():
        tenant, _ = tenants.upsert("acme", name="Acme")
    with Process(processes.python("-c", BROKEN), environment(log_format="json")) as worker:
        with app.app_context():
            outbox.accept(tenant, kind="order_update", to="jane@customer.example", subject="Order", text="Hello")
            eventually(heartbeat.failed_jobs, "it is counted")
        eventually(lambda: "failed" in worker.output, "the worker says so")
    line = next(line for line in lines(worker.output) if "failed" in line["event"])
    assert line["job"] == Work.DRAIN and line["number"] > 0
    assert line["error"].startswith("ValueError\n") and " drain" in line["error"]
    assert "canary-words" not in worker.output and "jane" not in worker.output


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    def make(
        event: str, *arguments: Any, as_json: bool = False, error: BaseException | None = None, **fields: Any
    ) -> str:
        monkeypatch.setattr(Formatter, "as_json", as_json)
        made = logging.LogRecord("portal.x", logging.WARNING, "", 0, event, arguments, None)
        made.fields, made.created = fields, datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() + 0.25
        return Formatter().format(made)

    return make


def test_text_is_logfmt(record: Callable[..., str]) -> None:
    line = record("lane %s died", 3, message="msg_abc", route="driver:3", reason="it's odd", code=None, empty="")
    assert line == (
        'at=2026-03-01T12:00:00.250Z level=warning logger=portal.x event="lane 3 died" '
        'message=msg_abc route=driver:3 reason="it\'s odd" empty=""'
    )


def test_json_says_the_same(record: Callable[..., str]) -> None:
    assert json.loads(record('a "b"\nc', as_json=True, code=250, ms=1.5, good=True, text="ü\n", gone=None)) == {
        "at": "2026-03-01T12:00:00.250Z", "level": "warning", "logger": "portal.x", "event": 'a "b"\nc', "code": 250,
        "ms": 1.5, "good": True, "text": "ü\n",
    }  # fmt: skip


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "text", ["to <jane@customer.example>", "redis://user:hunter2@redis:6379", 'x\\jane@customer.example"', "a\nb@c"]
)
def test_what_looks_like_an_address_is_masked_and_no_more(record: Callable[..., str], text: str, as_json: bool) -> None:
    for line in (
        record(text, as_json=as_json),
        record("%s", text, as_json=as_json),
        record("x", as_json=as_json, note=text),
    ):
        assert "\n" not in line and "@" not in line and "jane" not in line and "hunter2" not in line
        assert not as_json or "[address]" in str(json.loads(line))


def caught(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as raised:
        return raised


def text_of(error: BaseException) -> str:
    return error_text((type(error), error, error.__traceback__))


def test_an_exception_is_its_types_and_places() -> None:
    inner = caught(IntegrityError("INSERT", {}, Exception("DETAIL: Key (address)=(jane@customer.example)")))
    text = text_of(caught(RuntimeError("Subject: Your order"), inner))
    assert text.splitlines()[0] == "RuntimeError" and "after sqlalchemy.exc.IntegrityError" in text
    assert f"{Path(__file__).name}:" in text and " caught" in text
    assert "jane" not in text and "order" not in text


def test_what_the_infrastructure_says_is_kept() -> None:
    assert "ConnectionRefusedError: [Errno 111] refused" in text_of(caught(ConnectionRefusedError(111, "refused")))
    assert "database is locked" in text_of(caught(OperationalError("UPDATE", {}, Exception("database is locked"))))
    assert "[address]" in text_of(caught(RedisError("no redis://:hunter2@redis")))
