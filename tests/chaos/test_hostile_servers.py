"""Servers that mean no good: they drip, answer without end, or can't prove their name."""

import json
import ssl
import subprocess
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import Driver, Message
from portal.services.delivery import drain as delivery
from portal.services.outbox import accept as outbox
from tests.chaos.steps import HOST, allow, give_driver, merchant
from tests.support.figures import Figure, size
from tests.support.hostile_server import DRIP, FLOOD, GIGABYTE, HostileServer, Script
from tests.support.processes import ROOT, python
from tests.support.steps import lane_id

DEADLINE = size(1.0, 5.0)  # seconds
LATE = size(5.0, 1.0)  # seconds beyond it; generous where other tests load the machine
MEGABYTES = 10
EVIL = [(point, how) for how in (DRIP, FLOOD, GIGABYTE) for point in ("connect", "EHLO", "MAIL", "reply")]
NAMES = {DRIP: "dripping", FLOOD: "answering for ever", GIGABYTE: "1 GB of reply"}


def at(point: str, how: str) -> Script:
    return lambda talk, here: how if here == point else None


@pytest.mark.chaos("a server that drips, answers for ever, sends 1 GB of reply")
def test_a_server_without_end_is_left_in_time_and_costs_no_memory(figure: Figure) -> None:
    with ExitStack() as stack:
        well = stack.enter_context(HostileServer())  # first: what a session needs anyway is loaded with it
        servers = {stack.enter_context(HostileServer(at(*evil))).port: evil for evil in size(EVIL[::3], EVIL)}
        command = python("-m", "tests.chaos.session", str(DEADLINE), str(well.port), *map(str, servers))
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=60 + 10 * DEADLINE * len(servers), check=True
        )
    first, *found = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["became"] == "250 2.0.0 queued", first
    longest, most = max(one["seconds"] for one in found), max(one["grown"] for one in found) / 1024
    kinds = ", ".join(NAMES[how] for how in (DRIP, FLOOD, GIGABYTE) if how in {how for _, how in servers.values()})
    figure(f"{len(found)} servers ({kinds}): session over {longest:.1f} s after its begin, deadline {DEADLINE:g} s; "
           f"memory + {most:.1f} MB at most")  # fmt: skip
    assert len(found) == len(servers)
    for one in found:
        point, how = servers[one["port"]]
        assert ": 0 " in one["became"], f"{how} at {point} ended as {one['became']}"
    assert longest <= DEADLINE + LATE and most <= MEGABYTES


@pytest.mark.chaos("TLS: wrong name, expired, unknown CA, STARTTLS stripped")
def test_a_server_that_cannot_prove_its_name_hears_no_password(
    app: Flask, authority: trustme.CA, tmp_path: Path, figure: Figure
) -> None:
    def context(authority: trustme.CA, name: str = HOST, until: datetime | None = None) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name, not_after=until).configure_cert(made)
        return made

    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    offered = ("STARTTLS", "AUTH PLAIN LOGIN")
    wrong = {
        "wrong name": context(authority, "mail.elsewhere.example"),
        "expired": context(authority, until=datetime(2020, 1, 1, tzinfo=UTC)),
        "unknown CA": context(trustme.CA()),
        "stripped": None,
    }
    told, sent, held, spoke = 0, 0, 0, 0
    with ExitStack() as stack:
        servers = {
            kind: stack.enter_context(HostileServer(extensions=offered if tls else offered[1:], tls=tls))
            for kind, tls in (wrong | {"right": context(authority)}).items()
        }
        allow(app, ca_file, [server.port for server in servers.values()])
        with app.app_context():
            for kind, server in servers.items():
                name = kind.replace(" ", "-").lower()
                driver = give_driver(name, server.port)
                outbox.accept(merchant(name)[0], kind="order_update", to="c@customer.example", subject="Hi", text="Hi")
                delivery.drain(lane_id(driver.route))
        for kind in wrong:
            server = servers[kind]
            told += bool(server.commands("AUTH"))
            sent += len(server.kept)
            spoke += bool(server.commands("EHLO"))
        right = servers["right"]
    with app.app_context():
        held = list(db.session.scalars(select(Message.state).where(Message.kind == "order_update"))).count("held")
        broken = list(db.session.scalars(select(Driver.state))).count("stopped")
    figure(f"no credentials sent to {len(wrong) - told} of {len(wrong)}; {sent} mails sent, {held} held")
    assert (told, sent, held, broken, spoke) == (0, 0, 4, 4, 4)
    assert len(right.commands("AUTH")) == 1 and len(right.kept) == 1, "with a certificate that holds, all works"
