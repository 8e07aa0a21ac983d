"""A password typed once is afterwards nowhere but encrypted in the database."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from flask import Flask
from sqlalchemy import text

from portal.extensions import db
from portal.models import Base
from portal.services import driver_tests, launches, outbox, tenants
from tests.support import processes
from tests.support.mail_service import MailService
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.waiting import eventually

CANARY = "canary-41c7-parola"


class Browser:
    """Fetches pages with the session's bearer and keeps every answer."""

    def __init__(self, base: str, token: str) -> None:
        self.base, self.seen = base, ""
        landing = self.fetch("/launch", {"token": token})
        found = re.search(r'name="portal-session" content="([^"]+)"', landing)
        assert found
        self.bearer = found.group(1)

    def fetch(self, path: str, form: dict[str, Any] | None = None) -> str:
        headers = {"Authorization": f"Bearer {self.bearer}"} if hasattr(self, "bearer") else {}
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        request = urllib.request.Request(self.base + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
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


def test_a_password_is_found_nowhere(
    app: Flask, environment: Callable[..., dict[str, str]], options: dict[str, Any], tmp_path: Path
) -> None:
    with app.app_context():
        tenant, _ = tenants.upsert("acme", name="Acme Shop", plan="enterprise")
        token = launches.make_token("acme")
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with MailService(tmp_path) as service:
        values = environment(
            port=port, base_url=base, smtp_ca_file=service.ca_file, smtp_allowed_networks="127.0.0.0/8",
            smtp_allowed_ports=service.port,
        )  # fmt: skip
        service.password = CANARY
        web = Process(processes.web(port), values)
        workers = [Process(command, values) for command in (processes.WORKER_INTERACTIVE, processes.WORKER_MAIL)]
        with web, workers[0], workers[1]:
            processes.wait_for_page(f"{base}/readyz", web)
            browser = Browser(base, token)
            form = {
                "preset": "other", "host": "127.0.0.1", "port": service.port, "encryption": "starttls",
                "username": "shop@acme.example", "secret": CANARY, "from_address": "shop@acme.example",
                "from_name": "Acme", "version": 0,
            }  # fmt: skip

            def state() -> str:
                with app.app_context():
                    test = driver_tests.latest(tenant)
                    return driver_tests.state_of(test) if test else "none"

            browser.fetch(
                "/settings/email/driver/test", form | {"host": "https://wrong"}
            )  # refused, with the form again
            browser.fetch("/settings/email/driver/test", form)
            eventually(lambda: state() == "passed", "the test passes", 30)
            browser.fetch("/settings/email/driver")
            browser.fetch("/settings/email/driver", form)
            service.password = "changed"  # from here on the server refuses the stored one
            with app.app_context():
                outbox.accept(tenant, kind="order_update", to="jane@customer.example", subject="Order", text="Hello")
            eventually(lambda: service.sign_ins >= 2, "the driver is refused", 30)
            for page in ("/settings/email", "/settings/email/driver", "/settings/email/logs"):
                browser.fetch(page)
            places = {
                "HTML": browser.seen,
                "logs": "".join(process.output for process in (web, *workers)),
                "Redis": redis_contents(options["redis_url"]).decode(errors="replace"),
                "command lines": command_lines(),
                "database": database_contents(app),
            }
    if app.extensions["settings"].database_url.startswith("sqlite"):
        places["database file"] = b"".join(file.read_bytes() for file in tmp_path.glob("portal.db*")).decode("latin-1")
    assert "Acme" in places["HTML"] and "shop@acme.example" in places["database"], "the search looks where things are"
    assert "portal.request" in places["logs"]
    hits = [place for place, found in places.items() if CANARY in found]
    print(f"\ncanary password searched in {', '.join(places)}: {len(hits)} hits")
    assert hits == []
