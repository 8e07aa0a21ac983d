"""The log page of a tenant with millions of messages, against that of one with thousands."""

import sqlite3
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.browser import Browser
from tests.bench.processes import serving
from tests.bench.product import Product
from tests.bench.table import Row, interleaved, median, say, spread
from tests.bench.web import LOG_PAGE, gunicorn, sign_in
from tests.support.ports import free_port
from tests.support.valkey import Valkey

SMALL = 5_000
# One in a hundred failed: a filter has to find them among the others.
VIEWS = {
    "log page": "",
    "log page, state filter": "?state=failed",
    "log page, kind and period filter": "?kind=order_update&period=24h",
    "log page, in the middle": "?before=msg_{middle:026d}",
}


@dataclass(frozen=True)
class Size:
    rows: int
    requests: int
    rounds: int


FULL = Size(rows=5_000_000, requests=100, rounds=3)
QUICK = Size(rows=500_000, requests=30, rounds=3)

_NUMBERS = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {count})"
# One message every half minute up to now, each with the entry of its end.
_AT = "strftime('%Y-%m-%d %H:%M:%f', 'now', ((n - {count}) * 30) || ' seconds') || '000'"
_MESSAGES = """
INSERT INTO message (id, public_id, tenant_id, kind, to_address, subject, message_id, state, reason, sender,
                     accepted_at, due_at, expires_at, finished_at, route, attempt, retries, ambiguous)
SELECT n, printf('msg_%026d', n), :tenant,
       CASE n % 3 WHEN 0 THEN 'order_update' WHEN 1 THEN 'vendor_notification' ELSE 'customer_message' END,
       'customer' || n || '@customer.example', 'Your order ' || n || ' is on its way',
       '<' || n || '@marketplace.example>', CASE n % 100 WHEN 0 THEN 'failed' ELSE 'sent' END,
       CASE n % 100 WHEN 0 THEN 'expired' END, 'Marketplace <notifications@marketplace.example>',
       {at}, {at}, {at}, {at}, 'relay', 1, 0, 0
FROM number"""
_ENTRIES = """
INSERT INTO log_entry (id, tenant_id, message_id, at, event, reason, code, text)
SELECT n, :tenant, n, {at}, CASE n % 100 WHEN 0 THEN 'failed' ELSE 'sent' END, CASE n % 100 WHEN 0 THEN 'expired' END,
       CASE n % 100 WHEN 0 THEN NULL ELSE 250 END, CASE n % 100 WHEN 0 THEN NULL ELSE '2.0.0 Ok: queued' END
FROM number"""


def measure(folder: Path, valkey: Valkey, size: Size) -> list[Row]:
    counts = {"short": SMALL, "long": size.rows}
    with ExitStack() as stack:
        readers: dict[str, Browser] = {}
        for name, count in counts.items():
            (folder / name).mkdir()
            product = Product(folder / name, valkey)
            product.create()
            product.accept(1)
            bearer = f"Bearer {sign_in(product)}"
            say(f"A log of {count:,} rows")
            fill(product.database, count)
            port = free_port()
            stack.enter_context(serving(gunicorn("wsgi:app", port), port, **product.settings))
            readers[name] = stack.enter_context(Browser(port, Authorization=bearer))
        rows = []
        for what, query in VIEWS.items():
            say(what)
            runs = interleaved(
                size.rounds,
                {
                    name: partial(_time, readers[name], LOG_PAGE + query.format(middle=count // 2), size.requests)
                    for name, count in counts.items()
                },
            )
            rows.append(
                Row(
                    f"{what}, {size.rows:,} rows / {SMALL:,}, time",
                    f"{spread(runs['long'], ' ms', 1)} against {spread(runs['short'], ' ms', 1)}",
                    median(runs["long"]) / median(runs["short"]),
                    most=1.3,
                    note="" if size.rows == FULL.rows else "the small form",
                )
            )
        return rows


def fill(database: Path, count: int) -> None:
    """Rows for the tenant that is there; the indexes are made afterwards, which takes a fraction of the time."""
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        for pragma in ("synchronous=OFF", "journal_mode=OFF", "cache_size=-500000", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        for table in ("message_body", "log_entry", "message"):
            connection.execute(f"DELETE FROM {table}")
        tenant = connection.execute("SELECT max(id) FROM tenant").fetchone()[0]
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master "
            "WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('message', 'log_entry')"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("BEGIN")
        for insert in (_MESSAGES, _ENTRIES):
            connection.execute(_with_numbers(insert, count), {"tenant": tenant})
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _with_numbers(insert: str, count: int) -> str:
    """`INSERT ... SELECT ...` over the numbers from 1 to `count`."""
    head, select, rest = insert.partition("SELECT")
    return f"{head}{_NUMBERS.format(count=count)} {select}{rest.format(at=_AT.format(count=count))}"


def _time(reader: Browser, path: str, count: int) -> float:
    """The median of `count` page loads, in milliseconds."""
    taken = []
    for _ in range(count):
        started = time.monotonic()
        answer = reader.get(path)
        taken.append((time.monotonic() - started) * 1000)
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {answer.body[:300]!r}")
    return median(taken)
