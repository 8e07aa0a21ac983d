"""Pages: what accepting, polling and rendering cost the server, against an empty Flask view behind the same server."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from portal.services.accounts import api_keys, launches, tenants
from portal.web.session import Session
from tests.bench import mails, page_weight
from tests.bench.browser import Browser
from tests.bench.processes import Server, mail_server, serving
from tests.bench.product import Product
from tests.bench.table import Row, interleaved, median, say, spread
from tests.support.ports import free_port
from tests.support.processes import python
from tests.support.valkey import Valkey

TENANT = "shop-0"
BUYING = "shop-1"  # whose mail is handed in one by one, so that the other's log stays as it is
SETTINGS_PAGE, LOG_PAGE, POLL = "/settings/email", "/settings/email/logs", "/settings/email/logs/rows"
CLIENTS = 4
BATCH = 500
_MESSAGES = 60  # more than a page of the log


@dataclass(frozen=True)
class Size:
    requests: int
    accepted: int
    batches: int
    rounds: int


FULL = Size(requests=1000, accepted=2000, batches=40, rounds=3)
QUICK = Size(requests=200, accepted=300, batches=12, rounds=3)


def gunicorn(application: str, port: int) -> list[str]:
    """As in the Procfile: one process, eight threads."""
    return python(
        "-m", "gunicorn", application, "--worker-class", "gthread", "--threads", "8",
        "--bind", f"127.0.0.1:{port}", "--no-control-socket",
    )  # fmt: skip


def sign_in(product: Product, tenant: str = TENANT) -> str:
    """A session's bearer token, as a launch makes it."""
    with product.app():
        launch = launches.accept(launches.make_token(tenant))
        return Session.of(launch.user, "en").renewed().signed()


def measure(folder: Path, valkey: Valkey, size: Size) -> list[Row]:
    product = Product(folder, valkey)
    product.create()
    product.accept(_MESSAGES)
    with mail_server() as mail_port:
        product.deliver(mail_port, _MESSAGES)
    bearer = f"Bearer {sign_in(product)}"
    with product.app():
        key = api_keys.create("bench")
        tenants.upsert(BUYING, name="Shop 1")
    port, empty_port = free_port(), free_port()
    with ExitStack() as stack:
        ours = stack.enter_context(serving(gunicorn("wsgi:app", port), port, **product.settings))
        empty = stack.enter_context(serving(gunicorn("tests.bench.empty:app", empty_port), empty_port))
        reader = stack.enter_context(Browser(port, Authorization=bearer))
        visitor = stack.enter_context(Browser(empty_port))
        backend = stack.enter_context(Browser(port, Authorization=f"Bearer {key}"))
        numbers = count(1)

        say(f"Pages, {size.requests} requests each")
        runs = interleaved(
            size.rounds,
            {
                "empty view": lambda: _cost(empty, visitor, "/", size.requests),
                "poll": lambda: _poll_cost(ours, reader, size.requests),
                "settings page": lambda: _cost(ours, reader, SETTINGS_PAGE, size.requests),
                "log page": lambda: _cost(ours, reader, LOG_PAGE, size.requests),
                "accepting": lambda: _accepting_cost(ours, backend, numbers, size.requests),
            },
        )
        base = runs["empty view"]
        rows = [
            Row(
                f"{what}, server CPU / empty Flask view",
                f"{spread(runs[name], ' ms', 2)} against {spread(base, ' ms', 2)}",
                median(runs[name]) / median(base),
                most=most,
            )
            for name, what, most in (
                ("poll", "unchanged log poll (304)", 2),
                ("settings page", "settings page", 10),
                ("log page", "log page, first page of a full log", 10),
                ("accepting", "accepting by API, one by one, each with a key", 4),
            )
        ]
        return [*_accepting(port, key, size), *rows, *page_weight.measure(port, bearer, SETTINGS_PAGE)]


def _cost(server: Server, client: Browser, path: str, count: int) -> float:
    """Milliseconds of the server's processor time for one request."""
    for _ in range(10):
        client.get(path)
    before = server.cpu_seconds
    for _ in range(count):
        answer = client.get(path)
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {answer.body[:300]!r}")
    return (server.cpu_seconds - before) / count * 1000


def _poll_cost(server: Server, client: Browser, count: int) -> float:
    """The same for a poll that finds nothing new; a whole answer, due every 15 s for relative times, isn't counted."""
    spent, unchanged, tag = 0.0, 0, ""
    headers = {"HX_Request": "true", "HX_Request_Type": "partial"}
    batch = 50
    for _ in range(20 * count // batch):
        before = server.cpu_seconds
        answers = [client.get(POLL, HX_PTag=tag, **headers) for _ in range(batch)]
        if all(answer.status == 304 for answer in answers):
            spent += server.cpu_seconds - before
            unchanged += batch
        tag = answers[-1].headers.get("HX-PTag", "")
        if unchanged >= count:
            return spent / unchanged * 1000
    raise RuntimeError(f"only {unchanged} of {count} polls were answered 304; the last one {answers[-1].status}")


def _accepting_cost(server: Server, backend: Browser, numbers: Iterator[int], many: int) -> float:
    """Milliseconds of the server's processor time for one message. Nobody sends them: a lane's job waits in Redis."""

    def hand_in() -> None:
        number = next(numbers)
        backend.headers["Idempotency-Key"] = f"alone-{number}"
        answer = backend.post("/api/v1/messages", _json(_request(number) | {"tenant": BUYING}), "application/json")
        if answer.status != 202:
            raise RuntimeError(f"a message was answered {answer.status}: {answer.body[:300]!r}")

    for _ in range(10):
        hand_in()
    before = server.cpu_seconds
    for _ in range(many):
        hand_in()
    return (server.cpu_seconds - before) / many * 1000


def _accepting(port: int, key: str, size: Size) -> list[Row]:
    """What a backend hands in by several connections at once: time from the first request to the last answer."""
    say(f"Accepting {size.accepted} messages one by one, and {size.batches} batches of {BATCH}")
    single = [_hand_in(port, key, "/api/v1/messages", [_json(_request(n)) for n in range(size.accepted)], 202)]
    rates = []
    for turn in range(size.rounds):
        bodies = [_batch(turn * size.batches + number) for number in range(size.batches)]
        rates.append(BATCH * _hand_in(port, key, "/api/v1/messages/batch", bodies, 200))
    return [
        Row(
            f"accepting by API, batch: messages a second into SQLite, {BATCH} a batch, each with a key",
            f"{spread(rates, '/s')}, {CLIENTS} clients",
            median(rates),
            least=3000,
        ),
        Row("accepting by API, one by one", f"{spread(single, '/s')}, {CLIENTS} clients, one run"),
    ]


def _hand_in(port: int, key: str, path: str, bodies: list[bytes], status: int) -> float:
    """Requests a second; each message of each is accepted, or this raises."""

    def client(first: int) -> None:
        with Browser(port, Authorization=f"Bearer {key}") as backend:
            for body in bodies[first::CLIENTS]:
                answer = backend.post(path, body, "application/json")
                if answer.status != status:
                    raise RuntimeError(f"POST {path} answered {answer.status}: {answer.body[:300]!r}")
                if path.endswith("batch"):
                    answers.append(answer.body)

    answers: list[bytes] = []
    started = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as backends:
        list(backends.map(client, range(CLIENTS)))
    taken = time.monotonic() - started
    for body in answers:
        refused = [result for result in json.loads(body)["results"] if result["status"] != 202]
        if refused:
            raise RuntimeError(f"{len(refused)} of {BATCH} were refused: {refused[0]}")
    return len(bodies) / taken


def _batch(number: int) -> bytes:
    first = number * BATCH
    return _json({"messages": [_request(n) | {"idempotency_key": f"order-{n}"} for n in range(first, first + BATCH)]})


def _json(content: object) -> bytes:
    return json.dumps(content).encode()


def _request(number: int) -> dict[str, str]:
    return {
        "tenant": TENANT,
        "kind": "order_update",
        "to": mails.recipient(number),
        "subject": mails.subject(number),
        "text": mails.text(number),
        "html": mails.html(number),
    }
