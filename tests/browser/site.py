"""What the browser tests look at: the portal as live processes, and a dashboard on another site that frames it."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask
from playwright.sync_api import Frame, FrameLocator, Page, Route, expect
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.serving import WSGIRequestHandler, make_server

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Message, Tenant
from portal.services.accounts import launches, login_links, tenants
from portal.services.delivery import claims
from portal.services.outbox import accept as outbox
from portal.services.routing import lanes
from tests.support.mail_service import MailService
from tests.support.smtp_sink import Received, SMTPSink
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]

# The dashboard: launches the portal in its frame, obeys its messages, keeps them for the test.
HOST_PAGE = """<!doctype html><html lang="en"><title>Dashboard</title><link rel="icon" href="data:,">
<h1>Dashboard</h1>
<iframe name="portal" title="Email settings" style="width:100%;height:200px;border:0"></iframe>
<form id="launch" method="post" target="portal"><input type="hidden" name="token"></form>
<script>
window.messages = [];
const start = async () => {
  const { action, token } = await (await fetch("/token" + location.search, { method: "POST" })).json();
  const form = document.getElementById("launch");
  form.action = action;
  form.elements.token.value = token;
  form.submit();
};
addEventListener("message", (event) => {
  window.messages.push({ ...event.data, origin: event.origin });
  if (event.data.type === "portal:height") document.querySelector("iframe").style.height = event.data.height + "px";
});
start();
</script></html>"""


@contextmanager
def another_page(view: Page | Frame | FrameLocator) -> Iterator[None]:
    """Where the block's click leads to another page: goes on when the one before is gone.

    For what is expected next may hold on both, and a click on the one that is about to go would be lost.
    """
    view.locator("main").evaluate("main => { main.dataset.before = ''; }")
    yield
    expect(view.locator("main[data-before]")).to_have_count(0)


@contextmanager
def held_back(page: Page, address: str) -> Iterator[None]:
    """The block's requests to `address` (a glob) reach the server only after the block: as over a slow line."""
    held: list[Route] = []
    page.route(address, lambda route: held.append(route))
    yield
    until_any(page, held)
    page.route(address, lambda route: route.continue_())  # those that come now
    for route in held:
        route.continue_()


def without_cookies(page: Page, url: str) -> None:
    """From now on no request of the page to this site carries a cookie."""

    def strip(route: Route) -> None:
        route.continue_(headers={name: value for name, value in route.request.headers.items() if name != "cookie"})

    page.route(f"{url}/**", strip)


def until_any(page: Page, seen: list[Any]) -> None:
    """Until a listener of this page has put something into the list. Listeners run while a call is waited for."""
    eventually(lambda: page.title() is not None and seen, "the browser asks")


def a_whole_poll(page: Page, address: str = "/logs/rows") -> None:
    """Until a poll that begins now is answered: one that was under way knew nothing of what was done before."""
    with page.expect_request(lambda request: address in request.url) as asked:
        pass
    asked.value.response()


def scroll_the_top_out_of_sight(page: Page, frame: Frame | None = None) -> None:
    """Scroll the page around the log down, until the browser has noticed that the log's top was scrolled away.

    A change of page inside a frame shows its top, and Chromium carries that out in the page around it a moment later: a
    scroll before that moment is undone, so a person scrolls again.
    """
    log = frame or page
    log.evaluate(
        """() => new IntersectionObserver((entries) => {
            document.documentElement.dataset.top = entries.at(-1).isIntersecting ? "in sight" : "out of sight";
        }).observe(document.getElementById("log-top"))"""
    )
    out_of_sight = log.locator("html[data-top='out of sight']")
    for _ in range(5):
        page.evaluate("scrollTo(0, 1000)")
        # A poll that was on its way already knows nothing of it; the one after it does.
        with page.expect_response(lambda response: "/logs/rows" in response.url):
            pass
        if out_of_sight.count():
            a_whole_poll(page)  # nor does one that was put off while another was on its way
            if out_of_sight.count():
                return
    raise AssertionError("the top of the log stays in sight")


class Site:
    """The running portal: `url`, its dashboard `host_url`, its outgoing mail `smtp`, a merchant's own `service`."""

    service: MailService

    def __init__(self, app: Flask, url: str, smtp: SMTPSink) -> None:
        self.app, self.url, self.smtp = app, url, smtp
        self.host_url = ""

    def make_tenant(self, external_id: str, **values: Any) -> Tenant:
        with self.app.app_context():
            return tenants.upsert(external_id, name=values.pop("name", "Basil Books"), **values)[0]

    def token(self, tenant: str, **claims: Any) -> str:
        with self.app.app_context():
            return launches.make_token(tenant, **{"tenant_name": "Basil Books"} | claims)

    def launch_url(self, tenant: str, **claims: Any) -> str:
        return f"{self.url}/launch?token={self.token(tenant, **claims)}"

    def send(self, tenant: str, subject: str, to: str = "carla@customer.example") -> str:
        """Accept a message as the API would; returns its public id."""
        with self.app.app_context():
            found = tenants.find(tenant)
            assert found is not None
            return outbox.accept(found, kind="order_update", to=to, subject=subject, text="Hello").public_id

    def change(self, write: Callable[[], None]) -> None:
        with self.app.app_context(), transaction():
            write()

    def mail_to(self, address: str, count: int = 1) -> list[Received]:
        """The mails to an address, as soon as there are `count`."""

        def come() -> list[Received]:
            found = [mail for mail in self.smtp.received if address in mail.rcpt_to]
            return found if len(found) >= count else []

        return eventually(come, f"{count} mails to {address} came")

    def until_sent(self, *public_ids: str) -> None:
        """Until the workers have written these messages down as sent, which is a moment after the mail came."""
        sent = select(Message.id).where(Message.public_id.in_(public_ids), Message.state == "sent")

        def written() -> bool:
            with self.app.app_context():
                return len(db.session.scalars(sent).all()) == len(public_ids)

        eventually(written, "they are sent")

    def link_to(self, address: str, count: int = 1, path: str = "/verify/") -> str:
        return next(word for word in self.mail_to(address, count)[-1].text.split() if path in word)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        logging.getLogger("tests.web").debug(message, *args)


class WithoutCookies:
    """The application behind something that lets no cookie through, neither in nor out; counts what it let through."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.requests = self.cookies = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        self.requests += 1
        self.cookies += environ.pop("HTTP_COOKIE", None) is not None

        def without(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [header for header in headers if header[0].lower() != "set-cookie"], *error)

        return self.app.wsgi_app(environ, without)


@contextmanager
def serve(app: Any) -> Iterator[str]:
    """The application on a free port of this machine."""
    with running(make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)) as port:
        yield f"http://localhost:{port}"


@contextmanager
def running(server: HTTPServer) -> Iterator[int]:
    """The server's port, as long as it serves."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


@contextmanager
def dashboard(site: Site) -> Iterator[str]:
    """A host page on 127.0.0.1, which to a browser is another site than localhost."""

    class Host(BaseHTTPRequestHandler):
        def answer(self, kind: str, body: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Cache-Control", "no-store")  # or Back would replay a used token
            self.end_headers()
            self.wfile.write(body.encode())

        def do_GET(self) -> None:
            self.answer("text/html; charset=utf-8", HOST_PAGE)

        def do_POST(self) -> None:
            wanted = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            token = site.token(
                wanted.pop("tenant", ""), **{"parent": f"http://127.0.0.1:{self.server.server_port}"} | wanted
            )  # type: ignore[attr-defined]
            self.answer("application/json", json.dumps({"action": f"{site.url}/launch", "token": token}))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Host)) as port:
        yield f"http://127.0.0.1:{port}/"


@contextmanager
def workers(environment: dict[str, str]) -> Iterator[None]:
    """The worker processes that send the mail."""
    started = [
        subprocess.Popen([sys.executable, "-m", "jobs.worker", queue], cwd=ROOT, env=environment)
        for queue in ("interactive", "mail")
    ]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def heartbeat(app: Flask) -> Iterator[None]:
    """What of the clock's work mail depends on: lost wakes are made again, dead lanes come back. It deletes nothing."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(1):
            with app.app_context():
                for step in (claims.reclaim_expired, lanes.wake_due, login_links.send_forgotten):
                    with suppress(SQLAlchemyError):
                        step()
                    db.session.remove()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)
