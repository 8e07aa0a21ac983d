"""Sending on loopback: against django-post_office and bare smtplib, over a thousand tenants, with much waiting."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.processes import far_away, mail_server, measured, smtp_sink_program
from tests.bench.product import Product
from tests.bench.table import Row, Runs, interleaved, median, say, spread
from tests.support.valkey import Valkey

OURS, SPREAD, TWO, PEER, BARE = (
    "Absender",
    "Absender, many tenants",
    "Absender, two lanes",
    "django-post_office",
    "smtplib",
)
_EACH_WAY = 15  # milliseconds


@dataclass(frozen=True)
class Size:
    mails: int
    tenants: int
    far: int
    waiting: int  # for the growth: a hundred times as many as are sent
    rounds: int
    two_workers: int  # rounds with two worker processes


FULL = Size(mails=2000, tenants=1000, far=100, waiting=100_000, rounds=3, two_workers=1)
QUICK = Size(mails=400, tenants=200, far=20, waiting=20_000, rounds=2, two_workers=0)


def measure(folder: Path, valkey: Valkey, size: Size) -> list[Row]:
    product = Product(folder, valkey)
    product.create()
    empty = product.keep("empty.db")

    def prepared(name: str, count: int, tenants: int = 1) -> Path:
        product.restore(empty)
        product.accept(count, shop_names(tenants))
        return product.keep(name)

    one, many = prepared("one-tenant.db", size.mails), prepared("many-tenants.db", size.mails, size.tenants)
    few = prepared("few-mails.db", size.far)
    short, long = prepared("short-queue.db", size.waiting // 100), prepared("long-queue.db", size.waiting)
    peers = folder / "post-office.db"
    measured("tests.bench.peers.post_office", "fill", peers, size.mails)

    def ours(kept: Path, port: int, count: int, workers: int = 1, drains: int = 1) -> float:
        product.restore(kept)
        return count / product.deliver(port, count, workers=workers, drains=drains)

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
                TWO: lambda: ours(one, port, size.mails, drains=2),
                PEER: lambda: post_office(port),
                BARE: lambda: smtplib(port, size.mails),
                SPREAD: lambda: ours(many, port, size.mails),
            },
        )
        say(f"Delivery of {size.far} mails, {2 * _EACH_WAY} ms away")
        with far_away(port, _EACH_WAY) as distant:
            far = interleaved(
                size.rounds,
                {
                    OURS: lambda: ours(few, distant.port, size.far),
                    BARE: lambda: smtplib(distant.port, size.far),
                },
            )
        say(f"The first {size.waiting // 100} of {size.waiting} mails")
        grown = interleaved(
            size.rounds,
            {
                "short": lambda: ours(short, port, size.waiting // 100),
                "long": lambda: ours(long, port, size.waiting // 100),
            },
        )
        by_two = interleaved(
            size.two_workers,
            {"one tenant": partial(ours, one, port, size.mails, 2), "many": partial(ours, many, port, size.mails, 2)},
        )
    return [*_near(near, size), _far(far, size), _growth(grown, size), *_two_workers(by_two, size)]


def shop_names(count: int) -> list[str]:
    return [f"shop-{number}" for number in range(count)]


def note() -> str:
    """What the figures must not be taken for, where Postfix's sink is missing."""
    return "" if smtp_sink_program() else "NOT comparable: without smtp-sink, to a server in Python"


def _near(runs: Runs, size: Size) -> list[Row]:
    ours = runs[OURS]
    what = f"delivery, SQLite, one worker, {size.mails:,} mails"
    against_peers = [
        Row(
            f"{what}: {OURS} / {peer}",
            f"{spread(ours, '/s')} against {spread(runs[peer], '/s')}",
            median(ours) / median(runs[peer]),
            least=least,
            note=note(),
        )
        for peer, least in ((PEER, 1.5), (BARE, 0.3))
    ]
    against_itself = [
        Row(
            f"the same {difference}",
            f"{spread(runs[name], '/s')} against {spread(ours, '/s')}",
            median(runs[name]) / median(ours),
            least=least,
            note=note(),
        )
        for name, difference, least in (
            (SPREAD, f"over {size.tenants:,} tenants / over one", 0.5),
            (TWO, "on two lanes / on one", 0.9),
        )
    ]
    return against_peers + against_itself


def _far(runs: Runs, size: Size) -> Row:
    return Row(
        f"{size.far} mails, server {2 * _EACH_WAY} ms away: {OURS} / smtplib.sendmail, one connection each",
        f"{spread(runs[OURS], '/s', 1)} against {spread(runs[BARE], '/s', 1)}",
        median(runs[OURS]) / median(runs[BARE]),
        least=1.8,
        note=note(),
    )


def _growth(runs: Runs, size: Size) -> Row:
    return Row(
        f"time per mail, {size.waiting:,} waiting / {size.waiting // 100:,} waiting",
        f"{spread(runs['long'], '/s')} against {spread(runs['short'], '/s')}",
        median(runs["short"]) / median(runs["long"]),
        most=1.2,
        note=note(),
    )


def _two_workers(runs: Runs, size: Size) -> list[Row]:
    named = {"one tenant": runs["one tenant"], f"{size.tenants:,} tenants": runs["many"]}
    return [
        Row(f"delivery, SQLite, 2 workers, {name}, {size.mails:,} mails", f"{rates[0]:.0f}/s, one run", note=note())
        for name, rates in named.items()
        if rates
    ]
