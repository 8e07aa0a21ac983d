"""Connections that are lost, and replies that never come, at each point of a session."""

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import Driver, Message, Tenant
from portal.services.delivery import drain as delivery
from portal.services.outbox import accept as outbox
from portal.transport.base import Timeouts
from tests.chaos.steps import HOST, Run, allow, give_driver, pass_time
from tests.support.figures import Figure, size
from tests.support.hostile_server import CLOSE, POINTS, SILENCE, HostileServer, Talk
from tests.support.steps import lane_id

# What a withheld reply costs, once; it must be longer than what twenty drains of one process make one another wait.
WITHHELD = Timeouts(connect=30, command=size(4, 10), dot=size(4, 10), session=300)
EXTENSIONS = ("PIPELINING", "STARTTLS", "AUTH PLAIN LOGIN")
WAYS = {"lost": CLOSE, "withheld": SILENCE}
# After the first try: nothing was accepted and it is tried again; nobody knows; the mail is through.
FIRST = dict.fromkeys(POINTS, "deferred") | {".": "queued", "reply": "queued", "QUIT": "sent"}


@dataclass
class Case:
    """A merchant whose server goes wrong at one point, in one way, in every other session."""

    point: str
    way: str
    server: HostileServer
    name: str
    wrong: bool = False

    def __call__(self, talk: Talk, point: str) -> str | None:
        return WAYS[self.way] if self.wrong and point == self.point else None


@pytest.fixture
def cases(app: Flask, authority: trustme.CA, tmp_path: Path) -> Iterator[list[Case]]:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    with ExitStack() as stack:
        made = []
        for number, point in enumerate(POINTS):
            if point == "body":  # nothing is said there
                continue
            for way in WAYS:
                server = stack.enter_context(HostileServer(extensions=EXTENSIONS, tls=context))
                server.script = case = Case(point, way, server, f"shop-{number}-{way}")
                made.append(case)
        allow(app, ca_file, [case.server.port for case in made])
        with app.app_context():
            for case in made:
                give_driver(case.name, case.server.port)
        yield made


def one_mail(app: Flask, case: Case, number: int) -> str:
    """Send one mail with the server going wrong, and again when it is well. Returns what is not as it should be."""
    recipient = f"c{number}@{case.name}.example"
    with app.app_context():
        tenant = db.session.scalars(select(Tenant).where(Tenant.external_id == case.name)).one()
        driver = db.session.scalars(select(Driver).where(Driver.tenant_id == tenant.id)).one()
        outbox.accept(tenant, kind="order_update", to=recipient, subject="Your order", text="On its way.")
        case.wrong = True
        first = drain(app, driver.route, recipient, WITHHELD if case.way == "withheld" else Timeouts())
        case.wrong = False
        if first != "sent":
            pass_time(driver.route)
        last = drain(app, driver.route, recipient) if first != "sent" else first
        state = db.session.get_one(Driver, driver.id, populate_existing=True).state
    copies = case.server.copies()[recipient]
    wanted = (FIRST[case.point], "sent", 2 if case.point == "reply" else 1, "active")
    found = (first, last, copies, state)
    return "" if found == wanted else f"{case.point} {case.way}: {found} instead of {wanted}"


def drain(app: Flask, route: str, recipient: str, timeouts: Timeouts | None = None) -> str:
    """One drain, as in a worker; the message's state after it."""
    lane = lane_id(route)
    db.session.rollback()
    with app.app_context():
        delivery.drain(lane, timeouts or Timeouts())
    return db.session.scalars(select(Message.state).where(Message.to_address == recipient)).one()


@pytest.mark.chaos("connection lost or reply withheld at each point of a session")
def test_whatever_is_lost_the_state_is_right(app: Flask, cases: list[Case], run: Run, figure: Figure) -> None:
    rounds = size(1, 25)
    wrong = []
    with ThreadPoolExecutor(len(cases)) as threads:
        for number in range(rounds):
            wrong += [text for text in threads.map(lambda case: one_mail(app, case, number), cases) if text]  # noqa: B023
    copies = [count for case in cases for count in case.server.copies().values()]
    doubles = sum(count - 1 for count in copies)
    figure(f"{2 * rounds} each at {len(FIRST) - 1} points: {len(wrong)} wrong states, {doubles} duplicates, all after "
           f"the final dot, at most {max(copies) - 1} each")  # fmt: skip
    assert not wrong, wrong


@pytest.mark.chaos("a server that always drops after accepting")
def test_a_server_that_always_drops_after_accepting_gets_two_copies(
    app: Flask, run: Run, smtp: HostileServer, figure: Figure
) -> None:
    mails = size(5, 50)
    smtp.script = lambda talk, point: CLOSE if point == "reply" else None
    recipients = run.accept(mails)
    drains = 0
    with app.app_context():
        while any(run.states()[state] for state in ("queued", "deferred")) and drains < 4 * mails:
            pass_time("relay")
            delivery.drain(lane_id("relay"), Timeouts())
            drains += 1
    twice = run.duplicates()
    figure(f"{mails} mails: {len(twice)} in two copies, then {dict(run.states())}")
    assert sorted(twice) == sorted(recipients) and run.states() == {"unconfirmed": mails}
    assert set(run.events("unconfirmed").values()) == {1}
