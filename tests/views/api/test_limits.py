"""The rate limit per API key: in messages, shared by Redis, stricter and never in the way while that is away."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.services.accounts import api_keys
from portal.web import rate_limits
from tests.conftest import made_app
from tests.support.valkey import Valkey
from tests.views.api.conftest import MESSAGE, problem

BATCH = "/api/v1/messages/batch"
MakeClient = Callable[[], FlaskClient]


@pytest.fixture
def make(options: dict[str, Any]) -> Iterator[Callable[..., FlaskClient]]:
    """A client of an application with this limit, for one and the same API key."""
    keys: list[str] = []

    def client(rate: str) -> FlaskClient:
        app = stack.enter_context(made_app(**options, api_rate=rate))
        with app.app_context():
            keys.append(keys[0] if keys else api_keys.create("backend"))
        made = app.test_client()
        made.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {keys[0]}"
        return made

    with ExitStack() as stack:
        yield client


def ask(client: FlaskClient, times: int) -> list[int]:
    return [client.get("/api/v1/messages/msg_x").status_code for _ in range(times)]


def batch(client: FlaskClient, size: int) -> Any:
    return client.post(BATCH, json={"messages": [MESSAGE] * size})


def test_beyond_the_limit_the_answer_says_when_to_come_again(make: Callable[..., FlaskClient]) -> None:
    client = make("3/hour")
    assert ask(client, 3) == [404] * 3
    refused = problem(client.get("/api/v1/messages/msg_x"), 429)
    assert 1 <= refused["retry_after"] <= 3600 and "3 per 1 hour" in refused["detail"]


def test_the_limit_counts_messages(make: Callable[..., FlaskClient]) -> None:
    client = make("10/hour")
    assert batch(client, 6).status_code == 200 and batch(client, 4).status_code == 200
    problem(batch(client, 1), 429)


def test_a_batch_larger_than_the_limit_takes_all_of_it(make: Callable[..., FlaskClient]) -> None:
    client = make("10/hour")
    assert batch(client, 50).status_code == 200
    problem(batch(client, 1), 429)


def test_each_key_has_a_limit_of_its_own(make: Callable[..., FlaskClient]) -> None:
    client = make("2/hour")
    assert ask(client, 3) == [404, 404, 429]
    with client.application.app_context():
        other = api_keys.create("other")
    answer = client.get("/api/v1/messages/msg_x", headers={"Authorization": f"Bearer {other}"})
    assert answer.status_code == 404


def test_a_wrong_key_spends_nothing(make: Callable[..., FlaskClient]) -> None:
    client = make("1/hour")
    for _ in range(3):
        wrong = client.get("/api/v1/messages/msg_x", headers={"Authorization": "Bearer wrong"})
        assert wrong.status_code == 401
    assert ask(client, 2) == [404, 429]


def test_processes_share_the_limit(make: Callable[..., FlaskClient]) -> None:
    one, other = make("4/hour"), make("4/hour")
    assert ask(one, 2) + ask(other, 2) == [404] * 4
    assert ask(one, 1) == ask(other, 1) == [429]


def test_without_redis_each_process_counts_more_strictly(make: Callable[..., FlaskClient], valkey: Valkey) -> None:
    one, other = make("8/hour"), make("8/hour")
    with valkey.away():
        assert ask(one, 3) == ask(other, 3) == [404, 404, 429]


def test_a_redis_that_hangs_costs_one_wait_and_no_error(
    make: Callable[..., FlaskClient], valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.redis_client._QUIET_SECONDS", 600)
    client = make("100/hour")
    assert ask(client, 1) == [404]
    shared = client.application.extensions["portal_limits"]._shared
    waits = []
    monkeypatch.setattr(shared, "hit", lambda *a, hit=shared.hit, **k: waits.append(1) or hit(*a, **k))
    process = valkey._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        assert ask(client, 10) == [404] * 10
        assert len(waits) == 1
    finally:
        os.kill(process.pid, signal.SIGCONT)


def test_the_budget_of_a_batch_fits_into_the_usual_limit(app: Flask) -> None:
    with app.app_context():
        usual = rate_limits._parsed(rate_limits.API.rate())
    assert usual.amount / usual.get_expiry() >= 2 * 3000
