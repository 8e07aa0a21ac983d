"""Sending: against django-post_office and bare smtplib, over a thousand tenants, and to a server that is far away."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import far_away, mail_server, measured, smtp_sink_program
from tests.bench.product import Product
from tests.bench.table import Row, Runs, interleaved, median, say, spread
from tests.support.postgres import NoPostgres, find_or_start
from tests.support.valkey import Valkey

OURS, SPREAD, PEER, BARE = "Absender", "Absender, 1,000 tenants", "django-post_office", "smtplib"
_EACH_WAY = 15  # milliseconds


@dataclass(frozen=True)
class Size:
    mails: int
    tenants: int
    far: int
    rounds: int


FULL = Size(mails=2000, tenants=1000, far=100, rounds=3)
QUICK = Size(mails=400, tenants=200, far=20, rounds=3)


def measure(folder: Path, valkey: Valkey, size: Size) -> list[Row]:
    product = Product(folder, valkey)
    product.create()
    empty = product.keep("empty.db")
    product.accept(size.mails)
    one = product.keep("one-tenant.db")
    product.restore(empty)
    product.accept(size.mails, size.tenants)
    many = product.keep("many-tenants.db")
    product.restore(empty)
    product.accept(size.far)
    few = product.keep("few-mails.db")
    peers = folder / "post-office.db"
    measured("tests.bench.peers.post_office", "fill", peers, size.mails)

    def ours(kept: Path, port: int, count: int) -> float:
        product.restore(kept)
        return count / product.deliver(port, count)

    def post_office(port: int) -> float:
        used = shutil.copy(peers, folder / "post-office-used.db")
        return size.mails / float(measured("tests.bench.peers.post_office", "send", used, str(port)))

    def smtplib(port: int, count: int) -> float:
        return count / float(measured("tests.bench.peers.smtplib_sendmail", str(port), str(count)))

    with mail_server() as port:
        say(f"Delivery of {size.mails} mails")
        near = interleaved(
            size.rounds,
            {
                OURS: lambda: ours(one, port, size.mails),
                PEER: lambda: post_office(port),
                BARE: lambda: smtplib(port, size.mails),
                SPREAD: lambda: ours(many, port, size.mails),
            },
        )
        say(f"Delivery of {size.far} mails, {2 * _EACH_WAY} ms away")
        with far_away(port, _EACH_WAY) as distant:
            far = interleaved(
                size.rounds,
                {OURS: lambda: ours(few, distant, size.far), BARE: lambda: smtplib(distant, size.far)},
            )
        return [*_near(near, size), _far(far, size), on_postgres(folder, valkey, port, size)]


def _note() -> str:
    return "" if smtp_sink_program() else "NOT comparable: without smtp-sink, to a server in Python"


def _near(runs: Runs, size: Size) -> list[Row]:
    ours, spread_out = runs[OURS], runs[SPREAD]
    what = f"delivery, SQLite, one worker, {size.mails:,} mails"
    return [
        Row(
            f"{what}: {OURS} / {peer}",
            f"{spread(ours, '/s')} against {spread(runs[peer], '/s')}",
            median(ours) / median(runs[peer]),
            least=least,
            note=_note(),
        )
        for peer, least in ((PEER, 1.5), (BARE, 0.5))
    ] + [
        Row(
            f"the same over {size.tenants:,} tenants / over one",
            f"{spread(spread_out, '/s')} against {spread(ours, '/s')}",
            median(spread_out) / median(ours),
            least=0.5,
            note=_note(),
        )
    ]


def _far(runs: Runs, size: Size) -> Row:
    return Row(
        f"{size.far} mails, server {2 * _EACH_WAY} ms away: {OURS} / smtplib.sendmail, one connection each",
        f"{spread(runs[OURS], '/s', 1)} against {spread(runs[BARE], '/s', 1)}",
        median(runs[OURS]) / median(runs[BARE]),
        least=1.8,
        note=_note(),
    )


def on_postgres(folder: Path, valkey: Valkey, port: int, size: Size) -> Row:
    what = f"delivery, PostgreSQL, one worker, {size.mails:,} mails"
    try:
        server = find_or_start()
    except NoPostgres as reason:
        return Row(what, f"not measured: {reason}")
    try:
        product = Product(folder, valkey, server.url)
        product.create()
        product.accept(size.mails)
        say(what)
        return Row(what, f"{size.mails / product.deliver(port, size.mails):.0f}/s, one run, fsync off")
    finally:
        server.stop()
