"""A test send tells nothing about what listens where: one sentence for all, and nobody's banner."""

import html
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import DriverTest, Message
from portal.services.drivers import probe
from portal.transport.base import Timeouts
from tests.support.figures import Figure
from tests.support.person import Person
from tests.support.ports import free_port
from tests.support.settings import configure

SHORT = Timeouts(connect=0.5, command=0.5, dot=0.5, session=3)
TEST, ROW = r'<section id="test".*?</section>', r'<li id="row-[^>]*row-open.*?<p class="muted">Message number'
SECRET_WORD = "canary"  # stands in what each of them says


@contextmanager
def server(greeting: bytes, answer: bytes) -> Iterator[int]:
    """Something that says `greeting` at once and `answer` to whatever comes."""

    class Talk(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(5)
            try:
                self.request.sendall(greeting)
                while self.request.recv(1000):
                    self.request.sendall(answer)
            except OSError:
                pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk) as listening:
        listening.daemon_threads = True
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening.server_address[1]
        listening.shutdown()


@contextmanager
def filtered() -> Iterator[int]:
    """A port whose packets vanish: nobody takes the connections, and its queue is full."""
    with ExitStack() as stack:
        silent = stack.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(silent.getsockname())
        yield silent.getsockname()[1]


@contextmanager
def refused() -> Iterator[int]:
    yield free_port()


KINDS: dict[str, Callable[[], Any]] = {
    "refused": refused,
    "filtered": filtered,
    "SSH": lambda: server(b"SSH-2.0-canary_9.9\r\n", b"Protocol canary\r\n"),
    "HTTP": lambda: server(b"", b"HTTP/1.1 400 canary\r\nServer: canary\r\n\r\n"),
    "Redis": lambda: server(b"", b"-ERR unknown command 'canary'\r\n"),
    "another database": lambda: server(b"5.5.5-canary\x00\x00\x00", b"\x00canary"),
}


@pytest.mark.security("test sends at refused, filtered, SSH, HTTP and Redis ports")
def test_every_port_that_speaks_no_smtp_looks_the_same(app: Flask, person: Person, figure: Figure) -> None:
    said: dict[str, set[str]] = {}
    banners, stored = 0, []
    with ExitStack() as stack:
        ports = {kind: stack.enter_context(start()) for kind, start in KINDS.items()}
        configure(app, smtp_allowed_networks="127.0.0.0/8", smtp_allowed_ports=",".join(map(str, ports.values())))
        for kind, port in ports.items():
            for encryption in ("starttls", "tls"):
                page = try_one(app, person, port, encryption)
                log = person.get(f"/settings/email/logs?open={public_id(app)}").text
                said.setdefault(what_is_said(page, log), set()).add(f"{kind} by {encryption}")
                banners += SECRET_WORD in page or SECRET_WORD in log
                with app.app_context():
                    stored += [test.text for test in db.session.scalars(select(DriverTest))]
    figure(f"{len(KINDS)} kinds of port, each by STARTTLS and by TLS: {len(said)} answer, {banners} banners")
    assert len(said) == 1, said
    assert banners == 0
    assert not any(SECRET_WORD in (text or "") for text in stored), "nor is it kept"


def what_is_said(page: str, log: str) -> str:
    """Result, steps and reason on the page, and the message's row in the log, without times and numbers."""
    parts = [re.search(pattern, text, re.S) for pattern, text in ((TEST, page), (ROW, log))]
    text = " ".join(part[0] for part in parts if part)
    assert "test-why" in text and "row-state" in text
    text = re.sub(r"<time.*?</time>|<span class=\"step-time\">.*?</span>|<[^>]*>|msg_\w+", " ", text, flags=re.S)
    return " ".join(html.unescape(text).split())


def public_id(app: Flask) -> str:
    """Of the newest message."""
    with app.app_context():
        newest = db.session.scalars(select(Message.public_id).order_by(Message.id.desc())).first()
        assert newest is not None
        return newest


def try_one(app: Flask, person: Person, port: int, encryption: str) -> str:
    """The page after a test send to this port has ended."""
    form = {
        "preset": "other", "host": "127.0.0.1", "port": port, "encryption": encryption, "username": "shop@acme.example",
        "secret": "typed", "from_address": "shop@acme.example", "from_name": "Acme", "version": 0,
    }  # fmt: skip
    assert person.post("/settings/email/service/test", form).status_code == 303
    with app.app_context():
        newest = db.session.scalars(select(DriverTest.id).order_by(DriverTest.id.desc())).first()
        assert newest is not None
        probe.run(newest, SHORT)
    return person.get("/settings/email/service").text
