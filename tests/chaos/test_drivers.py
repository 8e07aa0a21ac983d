"""Merchants' own servers at their worst: a password that changed, a strict provider, a server that hangs."""

import math
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import Driver, Message, Tenant
from portal.services.accounts import tenants
from portal.services.delivery import drain as delivery
from portal.services.drivers import lifecycle, quota
from portal.transport.base import Timeouts
from tests.chaos.steps import Run, allow, give_driver
from tests.support.figures import FULL, Figure, size
from tests.support.hostile_server import SILENCE, HostileServer, Talk
from tests.support.steps import lane_id
from tests.support.waiting import eventually

SUBMISSION = ("PIPELINING", "STARTTLS", "AUTH PLAIN LOGIN")
ADDRESS = "127.0.0.1"


class TLS(NamedTuple):
    """What a server on this machine shows, and the file that makes it trusted."""

    context: ssl.SSLContext
    ca_file: Path


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> TLS:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(ADDRESS).configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    return TLS(context, ca_file)


def settings(tls: TLS, *servers: HostileServer) -> dict[str, Any]:
    """What the processes need so that merchants may use these servers."""
    ports = ",".join(str(server.port) for server in servers)
    return {"smtp_ca_file": tls.ca_file, "smtp_allowed_networks": "127.0.0.0/8", "smtp_allowed_ports": ports}


@pytest.mark.chaos("535 while mail waits")
def test_a_changed_password_costs_one_sign_in_and_no_mail(app: Flask, run: Run, tls: TLS, figure: Figure) -> None:
    mails = size(60, 500)
    refusal = "535 5.7.8 Username and Password not accepted"
    with HostileServer(extensions=SUBMISSION, tls=tls.context) as server:
        server.script = lambda talk, point: refusal if point == "AUTH" else None
        run.server = server
        allow(app, tls.ca_file, [server.port])
        with app.app_context():
            give_driver("acme", server.port, host=ADDRESS)
        run.accept(mails)
        run.workers(2, **settings(tls, server))
        run.clock(**settings(tls, server))
        eventually(lambda: run.states() == {"held": mails}, "all mail is held", 60)
        signed_in = len(server.commands("AUTH"))

        server.script = lambda talk, point: None
        with app.app_context():
            lifecycle.resume(tenants.upsert("acme", name="Acme")[0])
        run.wait_until_settled()
        states, twice, lost = run.states(), run.duplicates(), run.lost()
    figure(f"535 while {mails} wait: {signed_in} AUTH command, {states['failed']} failed, {states['sent']} sent after "
           f"the repair, {len(twice)} twice")  # fmt: skip
    assert (signed_in, lost, twice) == (1, 0, []) and states == {"sent": mails}


class Provider:
    """A provider's script: one connection at a time, and so many messages in any window of seconds."""

    def __init__(self, server: HostileServer, limit: int, window: float) -> None:
        self.server, self.limit, self.window = server, limit, window
        self.refusals: list[str] = []

    def __call__(self, talk: Talk, point: str) -> str | None:
        if point == "connect" and any(other.closed_at is None for other in self.server.talks if other is not talk):
            return self._refuse("421 4.3.2 Concurrent connections limit exceeded")
        lately = [mail for mail in self.server.kept if mail.at > time.time() - self.window]
        if point == "." and len(lately) >= self.limit:
            return self._refuse("432 4.3.2 Message submission rate for this client has exceeded the configured limit")
        return None

    def _refuse(self, reply: str) -> str:
        self.refusals.append(reply)
        return reply


@pytest.mark.chaos("a provider simulator: 1 connection, 30 messages a minute")
def test_a_providers_pace_is_kept_and_used(
    app: Flask, run: Run, tls: TLS, figure: Figure, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, minutes = 30, size(2, 4)
    minute = size(2.5, 60.0)  # the short form's minutes are short
    with HostileServer(extensions=SUBMISSION, tls=tls.context) as server:
        server.script = provider = Provider(server, limit, minute)
        run.server = server
        allow(app, tls.ca_file, [server.port])
        with app.app_context():
            give_driver("acme", server.port, host=ADDRESS, preset="microsoft365")
        run.accept(limit * (minutes + 1))
        if FULL:
            run.workers(2, **settings(tls, server))
            run.clock(**settings(tls, server))
            run.wait_until_settled((minutes + 2) * minute)
        else:
            monkeypatch.setattr(quota, "MINUTE", timedelta(seconds=minute))
            eventually(lambda: drained(app), "all is sent")
        times = sorted(mail.at for mail in server.kept)
    # The first minute's worth goes out at once; from then on the pace is the provider's.
    rate = (len(times) - limit) / ((times[-1] - times[limit - 1]) / minute)
    refusals = len(provider.refusals)
    figure(f"{len(times)} mails: {refusals} refusals at {rate:.1f} a minute of {minute:g} s")
    assert refusals == 0 and run.states() == {"sent": limit * (minutes + 1)}
    assert rate >= size(2, 28)


def drained(app: Flask) -> bool:
    """Do what is due, as the clock and a worker would. Returns whether nothing waits any more."""
    with app.app_context():
        route = db.session.scalars(select(Driver)).one().route
        delivery.drain(lane_id(route), Timeouts())
    with app.app_context():
        return db.session.scalar(select(Message.id).where(Message.state.in_(("queued", "deferred"))).limit(1)) is None


@pytest.mark.chaos("merchants' servers hang from a standing start, one worker: the others' wait")
def test_servers_that_hang_hold_up_nobody_else(app: Flask, run: Run, tls: TLS, figure: Figure) -> None:
    others, rounds = size(9, 49), size(3, 60)
    bad = [f"hanging-{number}" for number in range(size(8, 30))]
    with (
        HostileServer(extensions=SUBMISSION, tls=tls.context) as well,
        HostileServer(lambda talk, point: SILENCE) as hanging,
    ):
        allow(app, tls.ca_file, [well.port, hanging.port])
        names = [f"shop-{number}" for number in range(others)]
        with app.app_context():
            for name in bad:
                give_driver(name, hanging.port, host=ADDRESS)
            for name in names[::2]:  # every other merchant has an account of his own, the rest use the relay
                give_driver(name, well.port, host=ADDRESS)
        for name in bad:
            run.accept(1, name)
        run.workers(1, drains=size(6, 64), **settings(tls, well, hanging))
        run.clock(**settings(tls, well, hanging))
        hanging.wait_until(lambda server: server.talks, "the hanging servers are dialled")
        steady = eventually_every(1.0, rounds)
        for _ in steady:
            for name in bad:
                run.accept(1, name)
            for name in names[:: size(1, 5)]:
                run.accept(1, name)
            names = names[1:] + names[:1]
        eventually(lambda: not waiting(app), "the others' mail is sent", 120)
        waits = sorted(seconds_waited(app))
        p95 = waits[math.ceil(len(waits) * 0.95) - 1]
        hung = len(hanging.talks)
    figure(f"{len(bad)} hang ({hung} sessions), {others} others, {len(waits)} mails: p95 {p95:.2f} s, "
           f"most {waits[-1]:.2f} s")  # fmt: skip
    assert hung >= size(6, 30) and p95 <= size(10.0, 2.0)


def eventually_every(seconds: float, times: int) -> Iterator[int]:
    """Go round so many times, a round every so many seconds: mail comes in at a steady rate."""
    began = time.monotonic()
    for number in range(times):
        eventually(lambda: time.monotonic() >= began + number * seconds, "the next round", 600)  # noqa: B023
        yield number


def _others() -> Any:
    hanging = Tenant.external_id.startswith("hanging")
    return select(Message).join(Tenant).where(~hanging, Message.kind == "order_update")


def waiting(app: Flask) -> bool:
    with app.app_context():
        return any(message.state != "sent" for message in db.session.scalars(_others()))


def seconds_waited(app: Flask) -> list[float]:
    with app.app_context():
        found = db.session.scalars(_others()).all()
        return [(message.finished_at - message.accepted_at).total_seconds() for message in found if message.finished_at]
