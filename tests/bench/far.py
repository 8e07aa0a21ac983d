"""Sending to servers a tenth of a second away by one mail worker: many lanes, many accounts, a small shop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from portal.models import Message
from portal.services.accounts import tenants
from tests.bench.at_work import Pace, go, hand_in, pace, standing, waits
from tests.bench.near import note
from tests.bench.peers import postfix
from tests.bench.postgres import without_fsync
from tests.bench.processes import Place, far_away, mail_server
from tests.bench.product import Product, accept_one
from tests.bench.shops import Certificate, open_shops
from tests.bench.table import Row, median, percentile, say, spread
from tests.support import processes
from tests.support.postgres import NoPostgres
from tests.support.valkey import Valkey

_ROUND_TRIP = 0.1  # seconds
_MANY = 64  # lanes, and Postfix's processes
_MOST_MEGABYTES = 300
_AN_ACCOUNT = 5  # mails
_A_SECOND = 256  # what is accepted for each second, so that something waits to the end
_PLACE = f"server {_ROUND_TRIP * 1000:.0f} ms away"


@dataclass(frozen=True)
class Size:
    seconds: float  # that are measured
    lanes: tuple[int, ...]  # beside the many
    rounds: int
    accounts: int
    shop_seconds: float
    waiting: int  # of the big shop


FULL = Size(seconds=20, lanes=(1, 2, 8, 32), rounds=3, accounts=500, shop_seconds=40, waiting=20_000)
QUICK = Size(seconds=8, lanes=(), rounds=1, accounts=80, shop_seconds=6, waiting=3_000)


def measure(folder: Path, valkey: Valkey, size: Size) -> list[Row]:
    product = Product(folder, valkey)
    product.create()
    with mail_server() as port, far_away(port, 1000 * _ROUND_TRIP / 2) as distant:
        empty = product.keep("empty.db")
        rows = _lanes(product, distant, size)
        rows += _on_postgres(folder, valkey, distant, size)
        rows += _postfix(distant, size)
        product.restore(empty)
        rows += _small_shop(product, distant, size)
    product.restore(empty)
    return [*rows, *_accounts(product, folder, size)]


def _lanes(product: Product, distant: Place, size: Size) -> list[Row]:
    say(f"One worker for {size.seconds:.0f} s, {_PLACE}")
    product.accept(_enough(size))
    full = product.keep("full.db")

    def send(count: int, seconds: float) -> Pace:
        product.restore(full)
        return pace(product, seconds, relay=f"smtp://127.0.0.1:{distant.port}", relay_lanes=count)

    few = [_info(count, send(count, size.seconds / 2)) for count in size.lanes]
    return [*few, *_many("SQLite", partial(send, _MANY, size.seconds), distant, size)]


def _enough(size: Size) -> int:
    return int(1.5 * _A_SECOND * size.seconds)


def _info(count: int, found: Pace) -> Row:
    share = found.rate / _possible(count)
    what = f"{_PLACE}, SQLite, one worker, {count} lane{'s' if count > 1 else ''}: mails/s / (lanes / two round trips)"
    return Row(what, f"{found.rate:.1f}/s, {found.megabytes:.0f} MB, one run", share, note=note())


def _possible(count: int) -> float:
    """Mails a second over so many lanes: each takes two round trips."""
    return count / (2 * _ROUND_TRIP)


def _many(where: str, send: Callable[[], Pace], distant: Place, size: Size) -> list[Row]:
    found, busy = [], []
    for number in range(size.rounds):
        say(f"  {where}, {_MANY} lanes, {number + 1} of {size.rounds}")
        before = distant.process.cpu_seconds
        found.append(send())
        busy.append((distant.process.cpu_seconds - before) / size.seconds)
    rates, memory, cpu = ([getattr(one, name) for one in found] for name in ("rate", "megabytes", "cpu"))
    what = f"{_PLACE}, {where}, one worker, {_MANY} lanes"
    spent = f"{spread(cpu, ' ms', 2)} of its CPU a mail; the proxy used {median(busy):.0%} of a core"
    return [
        Row(
            f"{what}: mails/s / (lanes / two round trips)",
            f"{spread(rates, '/s')}, {spent}",
            median(rates) / _possible(_MANY),
            least=0.8,
            note=note(),
        ),
        Row(f"{what}: memory of its processes, in MB", spread(memory, " MB"), max(memory), most=_MOST_MEGABYTES),
    ]


def _on_postgres(folder: Path, valkey: Valkey, distant: Place, size: Size) -> list[Row]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(without_fsync())
        except NoPostgres as reason:
            return [Row(f"{_PLACE}, PostgreSQL", f"not measured: {reason}")]
        product = Product(folder, valkey, server.url)
        product.create()

        def send() -> Pace:
            product.forget_mail()
            product.accept(_enough(size))
            return pace(product, size.seconds, relay=f"smtp://127.0.0.1:{distant.port}", relay_lanes=_MANY)

        return _many("PostgreSQL", send, distant, size)


def _postfix(distant: Place, size: Size) -> list[Row]:
    what = f"{_PLACE}: Postfix, {_MANY} smtp processes"
    if reason := postfix.why_not():
        return [Row(what, f"not measured: {reason}")]
    say("Postfix")
    rates = []
    try:
        with postfix.Postfix(distant.port, _MANY) as peer:
            for _ in range(size.rounds):
                rates.append(peer.rate(int(_A_SECOND * size.seconds), size.seconds))
                memory = peer.process.megabytes
                peer.empty()
    except postfix.Trouble as trouble:
        return [Row(what, f"not measured: {trouble}")]
    return [Row(what, f"{spread(rates, '/s')}, {memory:.0f} MB", median(rates) / _possible(_MANY))]


def _small_shop(product: Product, distant: Place, size: Size) -> list[Row]:
    say(f"A small shop behind {size.waiting} mails")
    product.accept(size.waiting)
    full = product.keep("big-shop.db")
    settings = {"relay": f"smtp://127.0.0.1:{distant.port}", "relay_lanes": _MANY}

    def wait() -> list[float]:
        product.restore(full)
        with standing(product, processes.WORKER_MAIL, **settings) as worker:
            small = tenants.upsert("small-shop", name="Small shop")[0]
            go()
            hand_in(size.shop_seconds, 1, partial(accept_one, small))
            found = waits(Message.tenant_id == small.id, grace=10)
            worker.kill()
        return found

    rounds = [wait() for _ in range(size.rounds)]
    p95 = [percentile(one, 95) for one in rounds]
    what = f"{_PLACE}: a shop with a mail a second behind one with {size.waiting:,}: seconds from accepted to sent"
    return [Row(what, f"p50 {median(map(median, rounds)):.2f} s, p95 {spread(p95, ' s', 2)}", median(p95))]


def _accounts(product: Product, folder: Path, size: Size) -> list[Row]:
    count = size.accounts * _AN_ACCOUNT
    say(f"{size.accounts} accounts with TLS and sign-in")
    certificate = Certificate(folder)
    with certificate.service() as service, far_away(service.port, 1000 * _ROUND_TRIP / 2) as distant:
        with product.app():
            names = open_shops("account", size.accounts, distant.port)
        product.accept(count, names)
        full = product.keep("accounts.db")
        found, servers = [], []
        for number in range(size.rounds):
            say(f"  {number + 1} of {size.rounds}")
            product.restore(full)
            before = service.process.cpu_seconds + distant.process.cpu_seconds
            found.append(pace(product, 1.5 * size.seconds, **certificate.allowing(distant.port)))
            servers.append(service.process.cpu_seconds + distant.process.cpu_seconds - before)
    rates, memory, cpu = ([getattr(one, name) for one in found] for name in ("rate", "megabytes", "cpu"))
    measured = f"{spread(rates, '/s')}, {spread(cpu, ' ms', 1)} of its CPU a mail, {max(memory):.0f} MB"
    return [
        Row(
            f"{_PLACE}, {size.accounts} accounts with TLS and sign-in, {_AN_ACCOUNT} mails each, one worker: mails/s",
            f"{measured}; server and proxy {median(servers):.1f} s of CPU",
            median(rates),
            least=60,
        )
    ]
