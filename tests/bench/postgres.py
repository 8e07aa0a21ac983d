"""Sending with PostgreSQL on loopback: one drain, many drains in a process, two processes; with and without fsync."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.near import note, shop_names
from tests.bench.processes import mail_server
from tests.bench.product import Product
from tests.bench.table import Row, interleaved, median, say, spread
from tests.support.postgres import NoPostgres, Postgres, find_or_start, start_syncing
from tests.support.valkey import Valkey

_MANY = 32  # drains in one process
_ONE, _DRAINS, _WORKERS = "one drain", f"{_MANY} drains", "two workers"


@dataclass(frozen=True)
class Size:
    mails: int
    tenants: int  # of a last run; 0: none
    rounds: int


FULL = Size(mails=2000, tenants=1000, rounds=3)
QUICK = Size(mails=500, tenants=0, rounds=1)


def measure(folder: Path, valkey: Valkey, size: Size) -> list[Row]:
    rows = []
    with mail_server() as port:
        for start, disk, budgets in (
            (start_syncing, "fsync on", {_DRAINS: 1.3, _WORKERS: 1.5}),
            (find_or_start, "fsync off", {}),
        ):
            try:
                server = start()
            except NoPostgres as reason:
                rows.append(Row(f"delivery, PostgreSQL, {disk}", f"not measured: {reason}"))
                continue
            try:
                rows += _measured(Product(folder, valkey, server.url), port, size, disk, budgets)
            finally:
                server.stop()
    return rows


@contextmanager
def without_fsync() -> Iterator[Postgres]:
    """A server that costs no time at the disk. Raises NoPostgres."""
    server = find_or_start()
    try:
        yield server
    finally:
        server.stop()


def _measured(product: Product, port: int, size: Size, disk: str, budgets: dict[str, float]) -> list[Row]:
    product.create()
    say(f"Delivery of {size.mails} mails with PostgreSQL, {disk}")

    def deliver(tenants: int = 1, workers: int = 1, drains: int = 1) -> float:
        product.accept(size.mails, shop_names(tenants))
        seconds = product.deliver(port, size.mails, workers=workers, drains=drains)
        product.forget_mail()
        return size.mails / seconds

    runs = interleaved(
        size.rounds,
        {_ONE: deliver, _DRAINS: partial(deliver, drains=_MANY), _WORKERS: partial(deliver, workers=2)},
    )
    what, one = f"delivery, PostgreSQL, {disk}, {size.mails:,} mails", runs[_ONE]
    rows = [
        Row(
            f"{what}: {name} / one",
            f"{spread(runs[name], '/s')} against {spread(one, '/s')}",
            median(runs[name]) / median(one),
            least=budgets.get(name),
            note=note(),
        )
        for name in (_DRAINS, _WORKERS)
    ]
    if size.tenants:
        over_many = deliver(size.tenants)
        rows.append(Row(f"{what}, one drain, {size.tenants:,} tenants", f"{over_many:.0f}/s, one run", note=note()))
    return rows
