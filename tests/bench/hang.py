"""How long mail waits for one worker while the servers of others hang: from a standing start, theirs first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import func, select

from portal.extensions import db
from portal.models import Message, Tenant, User
from portal.models.message import Kind
from portal.models.route import RELAY
from portal.services.accounts import tenants
from portal.services.drivers import save_gate
from portal.services.senders import verification
from tests.bench.at_work import go, hand_in, standing, waits
from tests.bench.peers.shop_server import POINTS
from tests.bench.processes import mail_server
from tests.bench.product import Product, accept_one
from tests.bench.shops import Certificate, account, open_shops
from tests.bench.table import Row, median, percentile, say, spread
from tests.support import processes
from tests.support.valkey import Valkey

_HANGING = 30  # shops whose servers hang
_OTHERS = 20  # shops of each kind that wait for nobody's server but their own
_A_SECOND = 10  # mails of the others together
_TESTS = 10  # tests of drivers that hang or drip
_VERIFICATIONS_A_SECOND = 2
_MOST = 2.0  # seconds: 95 % of the mails wait no longer
_TESTED = "connect,drip,EHLO,drip,STARTTLS,drip,AUTH,drip,MAIL,."

Waits = list[list[float]]  # of each round


@dataclass(frozen=True)
class Size:
    seconds: float  # in which mail is handed in
    grace: float  # seconds until what wasn't sent counts with its wait so far
    rounds: int
    idle: bool  # also while nothing hangs, to compare with


FULL = Size(seconds=25, grace=15, rounds=2, idle=True)
QUICK = Size(seconds=8, grace=4, rounds=1, idle=False)


def measure(folder: Path, valkey: Valkey, size: Size) -> list[Row]:
    product = Product(folder, valkey)
    product.create()
    empty = product.keep("empty.db")
    certificate = Certificate(folder)
    rows = []
    with (
        mail_server() as relay,
        certificate.service() as healthy,
        certificate.service("connect") as silent,
        certificate.service(",".join(POINTS)) as stuck,
        certificate.service(_TESTED) as tested,
    ):
        ports = [server.port for server in (healthy, silent, stuck, tested)]
        product.settings |= {"relay": f"smtp://127.0.0.1:{relay}", **certificate.allowing(*ports)}
        for what, port in (
            *([("no server hangs", None)] if size.idle else []),
            (f"{_HANGING} servers accept and never speak", silent.port),
            (f"{_HANGING} servers hang at a command", stuck.port),
        ):
            product.restore(empty)
            kept = _waiting_for(product, port, healthy.port)
            say(f"Others' mail while {what}")
            rounds = [_others(product, kept, size) for _ in range(size.rounds)]
            for whose, number in (("the relay", 0), ("their own accounts", 1)):
                rows.append(_row(f"{what}, one worker: others' mail by {whose}", [one[number] for one in rounds]))
        say(f"Verification mail while {_TESTS} tests hang or drip")
        for what, count in (
            *([("no test runs", 0)] if size.idle else []),
            (f"{_TESTS} driver tests hang or drip", _TESTS),
        ):
            found = [
                _verifications(product, empty, partial(_test, count, tested.port), size) for _ in range(size.rounds)
            ]
            rows.append(_row(f"{what}, one interactive worker: verification mail", found))
    return rows


def _row(what: str, rounds: Waits) -> Row:
    p95 = [percentile(one, 95) for one in rounds]
    p50 = median([median(one) for one in rounds])
    measured = f"p50 {p50:.2f} s, p95 {spread(p95, ' s', 2)}, longest {max(map(max, rounds)):.1f} s"
    return Row(f"{what}: seconds from accepted to sent", measured, median(p95), most=_MOST)


def _waiting_for(product: Product, hanging: int | None, healthy: int) -> Path:
    """A database in which mail waits for the servers that hang, if any do, and others have handed in none yet."""
    with product.app():
        open_shops("plain", _OTHERS)
        open_shops("own", _OTHERS, healthy)
        names = open_shops("hanging", _HANGING, hanging) if hanging else []
    if names:
        product.accept(3 * _HANGING, names)
    return product.keep("waiting.db")


def _others(product: Product, kept: Path, size: Size) -> tuple[list[float], list[float]]:
    """The waits by the relay, and by accounts of the shops' own."""
    product.restore(kept)
    with standing(product, processes.WORKER_MAIL) as worker:
        last = db.session.scalar(select(func.max(Message.id))) or 0
        go()
        shops = [_shop(f"{kind}-{number}") for number in range(_OTHERS) for kind in ("plain", "own")]
        hand_in(size.seconds, _A_SECOND, lambda number: accept_one(shops[number % len(shops)], number))
        by_relay = waits((Message.id > last) & (Message.route == RELAY), size.grace)
        by_account = waits((Message.id > last) & (Message.route != RELAY), grace=0)
        worker.kill()  # it would wait for the servers
    return by_relay, by_account


def _shop(name: str) -> Tenant:
    shop = tenants.find(name)
    assert shop is not None
    return shop


def _verifications(product: Product, empty: Path, start_tests: Callable[[], None], size: Size) -> list[float]:
    product.restore(empty)
    count = int(size.seconds * _VERIFICATIONS_A_SECOND)
    with product.app():
        open_shops("asking", count)
        open_shops("testing", _TESTS)
    with standing(product, processes.WORKER_INTERACTIVE) as worker:
        start_tests()
        go()

        def ask(number: int) -> None:
            shop = _shop(f"asking-{number}")
            verification.start_verification(shop, _person(shop), f"hello@asking-{number}.example", "Acme")

        hand_in(size.seconds, _VERIFICATIONS_A_SECOND, ask)
        found = waits(Message.kind == Kind.VERIFICATION, size.grace)
        worker.kill()
    return found


def _test(count: int, port: int) -> None:
    """Start the driver tests of so many shops, as their pages do."""
    for number in range(count):
        shop = _shop(f"testing-{number}")
        save_gate.start(shop, _person(shop), account(shop.external_id, port))


def _person(shop: Tenant) -> User:
    person = db.session.scalar(select(User).where(User.tenant_id == shop.id))
    assert person is not None
    return person
