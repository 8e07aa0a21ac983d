"""Secrets after their use: nowhere but, where they must be kept, encrypted or as a digest."""

import io
import json
import logging
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask, request
from sqlalchemy import text

from portal import encryption, log_format
from portal.extensions import db
from portal.models import Base, Tenant
from portal.services.accounts import api_keys, launches, tenants
from portal.services.drivers import save_gate
from portal.services.outbox import accept as outbox
from portal.services.outbox import idempotency
from tests.conftest import Environment
from tests.support import processes
from tests.support.figures import Figure
from tests.support.mail_service import MailService
from tests.support.person import Person
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.smtp_sink import SMTPSink
from tests.support.waiting import eventually

CANARY = "canary-41c7-parola"


class Browser:
    """Fetches pages with the session's bearer and keeps every answer."""

    def __init__(self, base: str, token: str) -> None:
        self.base, self.seen = base, ""
        landing = self.fetch("/launch", {"token": token})
        self.fetch("/launch", {"token": token})  # used by now: refused, and said so in the log
        found = re.search(r'name="portal-session" content="([^"]+)"', landing)
        assert found
        self.bearer = found.group(1)

    def fetch(self, path: str, form: dict[str, Any] | None = None, bearer: str = "", *, as_json: bool = False) -> str:
        bearer = bearer or getattr(self, "bearer", "")
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        if as_json:
            data, headers["Content-Type"] = json.dumps(form).encode(), "application/json"
        request = urllib.request.Request(self.base + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                page = answer.read().decode()
        except urllib.error.HTTPError as refused:
            page = refused.read().decode()
        self.seen += page
        return str(page)


def command_lines() -> str:
    lines = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            lines.append((entry / "cmdline").read_text(errors="replace"))
        except OSError:
            continue
    return "\n".join(lines)


def redis_contents(url: str) -> bytes:
    client = redis.Redis.from_url(url)
    # DUMP compresses long strings, so the values themselves are read.
    found = [b"".join([key, repr(_value(client, key)).encode()]) for key in client.scan_iter()]
    return b"\n".join(found)


def _value(client: Any, key: bytes) -> Any:
    readers = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda k: client.lrange(k, 0, -1),
        b"set": client.smembers,
        b"zset": lambda k: client.zrange(k, 0, -1, withscores=True),
        b"stream": client.xrange,
        b"none": lambda k: None,  # expired since it was listed
    }
    return readers[client.type(key)](key)


def database_contents(app: Flask) -> str:
    with app.app_context():
        return "\n".join(
            str(db.session.execute(text(f'SELECT * FROM "{t.name}"')).all()) for t in Base.metadata.sorted_tables
        )


@pytest.mark.security("canary secrets searched in HTML, logs, Redis, process arguments, database")
def test_no_secret_is_found_anywhere_after_its_use(
    app: Flask, environment: Environment, options: dict[str, Any], smtp: SMTPSink, tmp_path: Path, figure: Figure
) -> None:
    with app.app_context():
        tenant, _ = tenants.upsert("acme", name="Acme Shop", plan="enterprise")
        api_key = api_keys.create("backend")
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with MailService(tmp_path) as service:
        values = environment(
            port=port, base_url=base, smtp_ca_file=service.ca_file, smtp_allowed_networks="127.0.0.0/8",
            smtp_allowed_ports=service.port,
        )  # fmt: skip
        service.password = CANARY
        web = Process(processes.web(port), values)
        commands = (processes.WORKER_INTERACTIVE, processes.WORKER_MAIL, processes.CLOCK)
        others = [Process(command, values) for command in commands]
        with web, others[0], others[1], others[2]:
            processes.wait_for_page(f"{base}/readyz", web)
            with app.app_context():  # a token is good for a minute
                posted, in_url = launches.make_token("acme"), launches.make_token("acme", email="second@shop.example")
            browser = Browser(base, posted)
            use_the_driver(app, tenant, browser, service)
            browser.fetch(f"/launch?token={in_url}")
            browser.fetch(f"/launch?token={in_url}")
            sign_in_link = use_a_sign_in_link(browser, smtp)
            message = {"tenant": "acme", "kind": "order_update", "to": "jane@customer.example", "subject": "Order"}
            assert "msg_" in browser.fetch("/api/v1/messages", message | {"text": "Hi"}, bearer=api_key, as_json=True)
            browser.fetch("/api/v1/messages", {"nothing": api_key}, bearer=api_key, as_json=True)
            browser.fetch("/api/v1/messages", message, bearer=f"{api_key}x", as_json=True)
            places = {
                "HTML and JSON": browser.seen,
                "logs": "".join(process.output for process in (web, *others)),
                "Redis": redis_contents(options["redis_url"]).decode(errors="replace"),
                "process arguments": command_lines(),
                "database": database_contents(app),
            }
    if app.extensions["settings"].database_url.startswith("sqlite"):
        places["database file"] = b"".join(file.read_bytes() for file in tmp_path.glob("portal.db*")).decode("latin-1")
    assert "Acme" in places["HTML and JSON"] and "shop@acme.example" in places["database"], "it looks where things are"
    assert "portal.request" in places["logs"] and "launch refused" in places["logs"]
    secrets = {
        "SMTP password": CANARY,
        "API key": api_key[-30:],
        "launch token, posted": posted.rpartition(".")[2],
        "launch token, in a URL": in_url.rpartition(".")[2],
        "sign-in token": sign_in_link.rpartition(".")[2],
        "launch secret": options["launch_secret"],
        "encryption key": options["encryption_keys"][0],
    }
    hits = [
        f"{name} in {place}" for name, secret in secrets.items() for place, text in places.items() if secret in text
    ]
    figure(f"{len(secrets)} secrets searched in {', '.join(places)}: {len(hits)} hits")
    assert hits == []


def use_a_sign_in_link(browser: Browser, smtp: SMTPSink) -> str:
    """The link's path: asked for, mailed, pressed, and of no use any more."""
    browser.fetch("/sign-in", {"address": "admin@shop.example"})
    body = ""

    def came() -> bool:
        nonlocal body
        body = "".join(mail.content.decode() for mail in smtp.received if b"/sign-in/" in mail.content)
        return bool(body)

    eventually(came, "the sign-in mail comes")
    found = re.search(r"/sign-in/[\w.=-]+", body.replace("=\r\n", ""))
    assert found
    seen = browser.seen
    assert "Sign in" in browser.fetch(found[0])
    browser.seen = seen  # before its use the page is for whoever has the link anyway
    browser.fetch(found[0], {"pressed": "yes"})
    assert "used" in browser.fetch(found[0])
    browser.fetch(found[0], {"pressed": "yes"})
    return found[0]


def use_the_driver(app: Flask, tenant: Tenant, browser: Browser, service: MailService) -> None:
    """The password is typed, refused with the form, tested, saved, used, and refused by the server later."""
    form = {
        "preset": "other", "host": "127.0.0.1", "port": service.port, "encryption": "starttls",
        "username": "shop@acme.example", "secret": CANARY, "from_address": "shop@acme.example",
        "from_name": "Acme", "version": 0,
    }  # fmt: skip

    def state() -> str:
        with app.app_context():
            test = save_gate.latest(tenant)
            return save_gate.state_of(test) if test else "none"

    browser.fetch("/settings/email/service/test", form | {"host": "https://wrong"})  # refused, with the form again
    browser.fetch("/settings/email/service/test", form)
    eventually(lambda: state() == "passed", "the test passes")
    browser.fetch("/settings/email/service")
    browser.fetch("/settings/email/service", form)
    service.password = "changed"  # from here on the server refuses the stored one
    with app.app_context():
        outbox.accept(tenant, kind="order_update", to="jane@customer.example", subject="Order", text="Hello")
    eventually(lambda: service.sign_ins >= 2, "the driver is refused")
    for page in ("/settings/email", "/settings/email/service", "/settings/email/logs", "/settings/activity"):
        browser.fetch(page)


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """The log as the processes write it; under pytest the application leaves the handlers alone."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log_format.Formatter())
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


@pytest.mark.security("canary secrets searched in tracebacks of our own defects")
def test_a_defect_does_not_write_the_secret_at_hand_into_the_log(
    app: Flask, person: Person, monkeypatch: pytest.MonkeyPatch, written: io.StringIO, figure: Figure
) -> None:
    with app.app_context():
        api_key, token = api_keys.create("backend"), launches.make_token("acme")

    def fail(*arguments: Any, **named: Any) -> None:
        """As a library does that puts what it was given into its exception's words."""
        raise ValueError(f"can't use {arguments} {named} of {request.get_data(cache=True)!r} {request.headers}")

    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    form = {
        "preset": "other", "host": "smtp.acme.example", "port": 587, "encryption": "starttls",
        "username": "shop@acme.example", "secret": CANARY, "from_address": "shop@acme.example", "from_name": "Acme",
    }  # fmt: skip
    body = {"tenant": "acme", "kind": "order_update", "to": "a@b.example", "subject": "Order", "text": "Hi"}
    with monkeypatch.context() as broken:
        broken.setattr(encryption, "encrypt", fail)
        answers = [person.as_htmx("POST", "/settings/email/service/test", data=form)]
    with monkeypatch.context() as broken:
        broken.setattr(tenants, "upsert", fail)
        answers.append(app.test_client().post("/launch", data={"token": token}))
    with monkeypatch.context() as broken:
        broken.setattr(idempotency, "accept_each", fail)
        answers.append(
            app.test_client().post("/api/v1/messages", json=body, headers={"Authorization": f"Bearer {api_key}"})
        )
    places = {"log": written.getvalue(), "answers": "".join(answer.text for answer in answers)}
    secrets = (CANARY, api_key[-30:], token.rpartition(".")[2], person.bearer.rpartition(".")[2])
    hits = [place for place, text in places.items() for secret in secrets if secret in text]
    figure(f"{len(answers)} defects with a secret in the exception's own words: {len(hits)} hits")
    assert [answer.status_code for answer in answers] == [500] * 3
    assert places["log"].count("ValueError") >= 3, "the defects are in the log"
    assert hits == []
