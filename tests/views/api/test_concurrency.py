"""Equal requests at the same time, over HTTP, to real web processes: one message, whatever the database."""

import http.client
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.extensions import db
from portal.models import IdempotencyKey, LogEntry, Message
from portal.services.accounts import tenants
from tests.conftest import Environment
from tests.support import processes
from tests.support.at_once import at_once
from tests.support.ports import free_port
from tests.support.warm import Warm
from tests.views.api.conftest import MESSAGE

Ask = Callable[[int, str, Any, dict[str, str]], tuple[int, Any, Any]]


@pytest.fixture
def ask(app: Flask, key: str, environment: Environment, warm: Warm) -> Iterator[Ask]:
    """Post to one of two web processes, in turn: status, headers, and the answer's JSON."""
    with app.app_context():
        tenants.upsert("acme", name="Acme")
    ports = [free_port(), free_port()]

    def post(number: int, path: str, content: Any, headers: dict[str, str]) -> tuple[int, Any, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", ports[number % 2], timeout=60)
        always = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request("POST", f"/api/v1{path}", json.dumps(content), always | headers)
        answer = connection.getresponse()
        said = answer.status, answer.headers, json.loads(answer.read())
        connection.close()
        return said

    with ExitStack() as stack:
        for port in ports:
            process = stack.enter_context(warm(processes.web(port), environment(port=port)))
            processes.wait_for_page(f"http://127.0.0.1:{port}/readyz", process)
        yield post


def all_at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    return at_once(*(partial(work, number) for number in range(count)))


def counts(app: Flask) -> list[int]:
    with app.app_context():
        return [
            db.session.scalar(select(func.count()).select_from(m)) or 0 for m in (Message, LogEntry, IdempotencyKey)
        ]


def test_fifty_equal_requests_at_once_make_one_message(app: Flask, ask: Ask) -> None:
    answers = all_at_once(50, lambda number: ask(number, "/messages", MESSAGE, {"Idempotency-Key": "order-1"}))
    for status, headers, said in answers:
        assert status == 202 or (status == 409 and int(headers["Retry-After"]) >= 1), (status, said)
    made = {said["id"] for status, _, said in answers if status == 202}
    assert len(made) == 1 and counts(app) == [1, 1, 1]
    status, _, said = ask(0, "/messages", MESSAGE, {"Idempotency-Key": "order-1"})
    assert status == 202 and {said["id"]} == made


def test_of_equal_keys_with_different_bodies_one_wins_and_the_others_are_told(app: Flask, ask: Ask) -> None:
    answers = all_at_once(
        20, lambda number: ask(number, "/messages", MESSAGE | {"subject": f"{number}"}, {"Idempotency-Key": "order-1"})
    )
    assert Counter(status for status, _, _ in answers) == {202: 1, 409: 19}
    assert counts(app) == [1, 1, 1]


def test_batches_at_once_with_the_same_keys_make_one_message_each(app: Flask, ask: Ask) -> None:
    """Eight batches of 60 over 100 keys, each from another end: every message once, every answer the right one."""
    keys = [f"order-{number}" for number in range(100)]

    def batch(number: int) -> tuple[list[str], tuple[int, Any, Any]]:
        chosen = (keys * 2)[number * 12 : number * 12 + 60][:: 1 if number % 2 else -1]
        messages = [MESSAGE | {"subject": key, "idempotency_key": key} for key in chosen]
        return chosen, ask(number, "/messages/batch", {"messages": messages}, {})

    made: dict[str, set[str]] = {}
    for chosen, (status, _, said) in all_at_once(8, batch):
        assert status == 200, said
        for key, result in zip(chosen, said["results"], strict=True):
            assert result["status"] == 202 or (result["status"] == 409 and result["retry_after"]), result
            if result["status"] == 202:
                made.setdefault(key, set()).add(result["id"])
    assert made.keys() == set(keys) and all(len(ids) == 1 for ids in made.values())
    assert counts(app) == [100, 100, 100]
    with app.app_context():
        subjects = dict(db.session.execute(select(Message.subject, Message.public_id)).all())
    assert {key: {public_id} for key, public_id in subjects.items()} == made
