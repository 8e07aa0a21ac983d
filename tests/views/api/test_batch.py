"""Batches: each message is checked, accepted or refused for itself, and answered in its place."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import IdempotencyKey, LogEntry, Message, MessageBody
from portal.services.accounts import tenants
from portal.services.routing import lanes
from tests.support.smtp_sink import SMTPSink
from tests.support.statements import recorded
from tests.support.steps import drain
from tests.support.valkey import Valkey
from tests.views.api.conftest import MESSAGE, problem

BATCH = "/api/v1/messages/batch"


def post(api: FlaskClient, *messages: Any) -> list[dict[str, Any]]:
    answer = api.post(BATCH, json={"messages": messages})
    assert answer.status_code == 200, answer.text
    return list(answer.get_json()["results"])


def counts(app: Flask) -> list[int]:
    with app.app_context():
        models = (Message, MessageBody, LogEntry, IdempotencyKey)
        return [db.session.scalar(select(func.count()).select_from(model)) or 0 for model in models]


def test_each_is_answered_in_its_place_and_sent(api: FlaskClient, app: Flask, smtp: SMTPSink) -> None:
    results = post(api, *(MESSAGE | {"subject": f"Order {number}"} for number in range(3)))
    assert [(r["status"], r["state"]) for r in results] == [(202, "queued")] * 3
    for number, result in enumerate(results):
        shown = api.get(f"/api/v1/messages/{result['id']}").get_json()
        assert shown["subject"] == f"Order {number}" and [e["event"] for e in shown["log"]] == ["queued"]
    with app.app_context():
        drain()
    assert [mail.message["Subject"] for mail in smtp.received] == ["Order 0", "Order 1", "Order 2"]


def test_a_bad_one_hinders_no_good_one(api: FlaskClient, app: Flask) -> None:
    post(api, MESSAGE | {"idempotency_key": "used"})
    without_to = {name: value for name, value in MESSAGE.items() if name != "to"}
    bad: list[tuple[Any, int, list[str]]] = [
        (MESSAGE | {"to": "jane"}, 422, ["to"]),
        (without_to | {"kind": "spam"}, 422, ["kind", "to"]),
        (MESSAGE | {"tenant": "unknown"}, 422, ["tenant"]),
        (MESSAGE | {"idempotency_key": "x" * 256}, 422, ["idempotency_key"]),
        (MESSAGE | {"idempotency_key": ""}, 422, ["idempotency_key"]),
        (MESSAGE | {"text": "\ud800"}, 422, ["text"]),
        (MESSAGE | {"cc": "x@y.example"}, 422, ["cc"]),
        (MESSAGE | {"text": None}, 422, [""]),
        (None, 422, [""]),
        ("text", 422, [""]),
        ([MESSAGE], 422, [""]),
        (MESSAGE | {"idempotency_key": "used", "subject": "Other"}, 409, []),
    ]
    mixed = [part for message, _, _ in bad for part in (message, MESSAGE)]
    results = post(api, *mixed)
    assert [r["status"] for r in results[1::2]] == [202] * len(bad)
    for number, (result, (_, status, fields)) in enumerate(zip(results[::2], bad, strict=True)):
        assert result["status"] == status and result["title"] and result["detail"], result
        places = [f"#/messages/{number * 2}/{field}".rstrip("/") for field in fields]
        assert sorted(e["pointer"] for e in result.get("errors", [])) == places
        assert all(e["detail"].endswith(".") for e in result.get("errors", []))
    assert counts(app) == [len(bad) + 1] * 3 + [1]


def test_keys_mean_the_same_in_a_batch_and_alone(api: FlaskClient, app: Flask) -> None:
    single = api.post("/api/v1/messages", json=MESSAGE, headers={"Idempotency-Key": "a"}).get_json()
    keyed = MESSAGE | {"idempotency_key": "a"}
    first, second, other = post(api, keyed, keyed, keyed | {"subject": "Other"})
    assert first["id"] == second["id"] == single["id"] and other["status"] == 409
    (from_batch,) = post(api, MESSAGE | {"idempotency_key": "b"})
    again = api.post("/api/v1/messages", json=MESSAGE, headers={"Idempotency-Key": "b"}).get_json()
    assert again["id"] == from_batch["id"] and counts(app)[0] == 2


def test_a_whole_batch_sent_again_makes_nothing_new(api: FlaskClient, app: Flask) -> None:
    batch = [MESSAGE | {"idempotency_key": f"order-{number}"} for number in range(50)]
    assert post(api, *batch) == post(api, *batch)
    assert counts(app) == [50] * 4


@pytest.mark.parametrize(
    "body",
    [{}, {"messages": []}, {"messages": {}}, {"messages": "x"}, {"messages": [MESSAGE] * 501}, {"messages": None}],
)
def test_what_is_no_batch_is_refused(api: FlaskClient, app: Flask, body: dict[str, Any]) -> None:
    (error,) = problem(api.post(BATCH, json=body), 422)["errors"]
    assert error["pointer"] == "#/messages" and counts(app)[0] == 0


def test_five_hundred_cost_no_more_than_five(api: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenants, senders and keys are looked up once, and rows are written together."""
    spent: list[int] = []
    monkeypatch.setattr(lanes, "_KNOWN_SECONDS", 3600)
    post(api, MESSAGE)  # which lanes there are is asked once
    for size in (5, 500):
        with app.app_context(), recorded() as statements:
            results = post(api, *(MESSAGE | {"idempotency_key": f"{size}-{number}"} for number in range(size)))
        assert {result["status"] for result in results} == {202}
        spent.append(len(statements))
    assert spent[0] == spent[1] <= 15


def test_a_batch_wakes_a_lane_once(api: FlaskClient, valkey: Valkey) -> None:
    post(api, *[MESSAGE] * 100)
    assert valkey.command("LLEN", "rq:queue:mail") == b":1\r\n"


def test_a_batch_is_accepted_while_redis_is_away(api: FlaskClient, app: Flask, valkey: Valkey) -> None:
    with valkey.away():
        assert {result["status"] for result in post(api, *[MESSAGE] * 10)} == {202}
    assert counts(app)[0] == 10


def test_a_waiting_message_is_cancelled_by_its_id(api: FlaskClient, app: Flask, smtp: SMTPSink) -> None:
    cancelled, kept = post(api, MESSAGE, MESSAGE)
    path = f"/api/v1/messages/{cancelled['id']}/cancel"
    first, second = api.post(path), api.post(path)
    assert first.get_json() == second.get_json() == {"id": cancelled["id"], "state": "cancelled"}
    assert first.status_code == second.status_code == 200
    with app.app_context():
        drain()
    assert len(smtp.received) == 1
    shown = api.get(f"/api/v1/messages/{cancelled['id']}").get_json()
    assert [entry["event"] for entry in shown["log"]] == ["queued", "cancelled"]
    refused = problem(api.post(f"/api/v1/messages/{kept['id']}/cancel"), 409)
    assert refused["state"] == "sent" and "accepted it" in refused["detail"]
    problem(api.post("/api/v1/messages/msg_unknown/cancel"), 404)


def test_the_platforms_own_log_takes_no_mail(app: Flask, api: FlaskClient) -> None:
    with app.app_context(), transaction():
        own = tenants.platform().external_id
    refused = problem(api.post("/api/v1/messages", json=MESSAGE | {"tenant": own}), 422)
    assert "There is no tenant of this id" in str(refused)
    (result,) = post(api, MESSAGE | {"tenant": own, "idempotency_key": "one"})
    assert result["status"] == 422
