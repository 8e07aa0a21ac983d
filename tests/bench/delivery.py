"""Sending: against django-post_office and bare smtplib, over a thousand tenants, far away, and with much waiting."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.processes import far_away, mail_server, measured, smtp_sink_program
from tests.bench.product import Product
from tests.bench.table import Row, Runs, interleaved, median, say, spread
from tests.support.postgres import NoPostgres, Postgres, find_or_start, start_with_fsync
from tests.support.valkey import Valkey

OURS, SPREAD, PEER, BARE = "Absender", "Absender, many tenants", "django-post_office", "smtplib"
_EACH_WAY = 15  # milliseconds


@dataclass(frozen=True)
class Size:
    mails: int
    tenants: int
    far: int
    waiting: int  # for the growth: a hundred times as many as are sent
    rounds: int


FULL = Size(mails=2000, tenants=1000, far=100, waiting=100_000, rounds=3)
QUICK = Size(mails=400, tenants=200, far=20, waiting=20_000, rounds=3)


def measure(folder: Path, valkey: Valkey, size: Size) -> list[Row]:
    product = Product(folder, valkey)
    product.create()
    empty = product.keep("empty.db")

    def prepared(name: str, count: int, tenants: int = 1) -> Path:
        product.restore(empty)
        product.accept(count, tenants)
        return product.keep(name)

    one, many = prepared("one-tenant.db", size.mails), prepared("many-tenants.db", size.mails, size.tenants)
    few = prepared("few-mails.db", size.far)
    short, long = prepared("short-queue.db", size.waiting // 100), prepared("long-queue.db", size.waiting)
    peers = folder / "post-office.db"
    measured("tests.bench.peers.post_office", "fill", peers, size.mails)

    def ours(kept: Path, port: int, count: int, workers: int = 1) -> float:
        product.restore(kept)
        return count / product.deliver(port, count, workers=workers)

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
                size.rounds, {OURS: lambda: ours(few, distant, size.far), BARE: lambda: smtplib(distant, size.far)}
            )
        say(f"The first {size.waiting // 100} of {size.waiting} mails")
        grown = interleaved(
            size.rounds,
            {
                "short": lambda: ours(short, port, size.waiting // 100),
                "long": lambda: ours(long, port, size.waiting // 100),
            },
        )
        pairs = {"one tenant": one, f"{size.tenants:,} tenants": many}
        on_sqlite = [
            _reported("SQLite", 2, name, size, partial(ours, kept, port, size.mails, 2)) for name, kept in pairs.items()
        ]
        rows = [*_near(near, size), _far(far, size), _growth(grown, size), *on_sqlite]
        return [*rows, *_on_postgres(folder, valkey, port, size)]


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
        for peer, least in ((PEER, 1.5), (BARE, 0.3))
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


def _growth(runs: Runs, size: Size) -> Row:
    return Row(
        f"time per mail, {size.waiting:,} waiting / {size.waiting // 100:,} waiting",
        f"{spread(runs['long'], '/s')} against {spread(runs['short'], '/s')}",
        median(runs["short"]) / median(runs["long"]),
        most=1.2,
        note=_note(),
    )


def _reported(where: str, workers: int, name: str, size: Size, deliver: Callable[[], float]) -> Row:
    what = f"delivery, {where}, {workers} worker{'s' if workers > 1 else ''}, {name}, {size.mails:,} mails"
    say(what)
    return Row(what, f"{deliver():.0f}/s, one run", note=_note())


def _on_postgres(folder: Path, valkey: Valkey, port: int, size: Size) -> list[Row]:
    one, many = ("one tenant", 1), (f"{size.tenants:,} tenants", size.tenants)
    return [
        *_on(find_or_start, "PostgreSQL (fsync off)", [one, many], folder, valkey, port, size),
        *_on(start_with_fsync, "PostgreSQL with fsync on", [one], folder, valkey, port, size),
    ]


def _on(
    start: Callable[[], Postgres], where: str, tenants: list[tuple[str, int]],
    folder: Path, valkey: Valkey, port: int, size: Size,
) -> list[Row]:  # fmt: skip
    try:
        server = start()
    except NoPostgres as reason:
        return [Row(f"delivery, {where}", f"not measured: {reason}")]
    product = Product(folder, valkey, server.url)

    def deliver(tenant_count: int, workers: int) -> float:
        product.accept(size.mails, tenant_count)
        seconds = product.deliver(port, size.mails, workers=workers)
        product.forget_mail()
        return size.mails / seconds

    try:
        product.create()
        return [
            _reported(where, workers, name, size, partial(deliver, count, workers))
            for name, count in tenants
            for workers in (1, 2)
        ]
    finally:
        server.stop()
