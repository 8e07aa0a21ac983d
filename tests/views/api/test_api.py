"""The API of the platform's backend: tenants, messages, keys, and one clear sentence for what is refused."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from portal.extensions import db
from portal.models import Lane, Message, now, utcnow
from portal.services.accounts import api_keys, tenants
from portal.services.outbox import message_log
from tests.support.plans import limit_plans, use_up
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain, execute
from tests.views.api.conftest import MESSAGE, problem


def refusal_at(response: TestResponse, field: str) -> str:
    (error,) = problem(response, 422)["errors"]
    assert error["pointer"] == f"#/{field}"
    return str(error["detail"])


def count(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count(Message.id))) or 0


def test_a_message_is_accepted_sent_and_its_log_can_be_read(api: FlaskClient, app: Flask, smtp: SMTPSink) -> None:
    answer = api.post("/api/v1/messages", json=MESSAGE | {"html": "<p>On its way</p>", "reply_to": "shop@acme.example"})
    assert answer.status_code == 202 and answer.get_json()["state"] == "queued"
    with app.app_context():
        drain()
    shown = api.get(answer.headers["Location"]).get_json()
    assert shown["state"] == "sent" and shown["to"] == "jane@customer.example" and shown["tenant"] == "acme"
    assert [entry["event"] for entry in shown["log"]] == ["queued", "sent"]
    assert smtp.received[0].message["Subject"] == "Your order 1001"


def test_a_message_whose_route_waits_says_why_and_until_when(api: FlaskClient, app: Flask) -> None:
    place = api.post("/api/v1/messages", json=MESSAGE).headers["Location"]
    assert (api.get(place).get_json()["reason"], api.get(place).get_json()["waits_until"]) == (None, None)
    with app.app_context():
        execute(update(Lane).where(Lane.route == "relay").values(not_before=now(300), reason="rate_limited"))
    shown = api.get(place).get_json()
    assert (shown["state"], shown["reason"]) == ("queued", "rate_limited")
    assert datetime.fromisoformat(shown["waits_until"]) > utcnow()


def test_the_same_idempotency_key_answers_with_the_same_message(api: FlaskClient, app: Flask) -> None:
    headers = {"Idempotency-Key": "order-1001"}
    first = api.post("/api/v1/messages", json=MESSAGE, headers=headers)
    second = api.post("/api/v1/messages", json=MESSAGE, headers=headers)
    assert first.get_json()["id"] == second.get_json()["id"] and second.status_code == 202
    problem(api.post("/api/v1/messages", json=MESSAGE | {"text": "other"}, headers=headers), 409)
    assert count(app) == 1


def test_an_unusable_idempotency_key_is_refused(api: FlaskClient, app: Flask) -> None:
    problem(api.post("/api/v1/messages", json=MESSAGE, headers={"Idempotency-Key": "x" * 256}), 400)
    assert count(app) == 0


REFUSED: dict[str, list[Any]] = {
    "to": [
        "jane",
        "",
        "jane@customer.example, bob@customer.example",
        "jane@customer.example\r\nBcc: x@y.example",
        "a" * 255 + "@customer.example",
        "jörg@customer.example",
        "Jane <jane@customer.example>, Bob <bob@customer.example>",
        "boss@bank.example, Jane <jane@customer.example>",
        "jane@[192.0.2.1]",
        "jane@localhost",
        "Jane <>",
    ],
    "reply_to": ["nobody"],
    "locale": ["d", "de\r\nBcc: x@y.example"],
    "reference": ["x" * 101, 7],
    "metadata": [{f"k{number}": "v" for number in range(21)}, "k"],
    "send_at": ["tomorrow", "2026-12-24", "2026-12-24T18:00:00", "2199-01-01T00:00:00Z", "9999-12-31T23:59:59-23:00"],
    "thread": ["x" * 251],
    "subject": ["", "\xa0", "a\r\nBcc: x@y.example", "a\tb", "a\u2028b", "\u202egpj.exe", "x" * 501],
    "kind": ["newsletter"],
    "tenant": ["unknown", 7],
    "text": ["x" * (1024 * 1024 + 1), "ä" * (512 * 1024 + 1), "a\x00b", "\ud800"],
    "html": ["x" * (1024 * 1024 + 1)],
    "cc": ["x@y.example"],
}
EACH = [
    pytest.param(field, value, id=f"{field} {str(value)[:20]!r}")
    for field, values in REFUSED.items()
    for value in values
]


@pytest.mark.parametrize(("field", "value"), EACH)
def test_what_cannot_be_sent_is_refused(api: FlaskClient, app: Flask, field: str, value: Any) -> None:
    sentence = refusal_at(api.post("/api/v1/messages", json=MESSAGE | {field: value}), field)
    assert sentence.endswith(".") and len(sentence) > 10
    assert count(app) == 0


def test_a_missing_field_and_a_missing_body_are_named(api: FlaskClient) -> None:
    without_to = {name: value for name, value in MESSAGE.items() if name != "to"}
    assert refusal_at(api.post("/api/v1/messages", json=without_to), "to") == "This field is required."
    without_body = {name: value for name, value in MESSAGE.items() if name != "text"}
    assert "text, html" in problem(api.post("/api/v1/messages", json=without_body), 422)["errors"][0]["detail"]


def test_mailboxes_may_have_names_and_a_message_a_language(api: FlaskClient, app: Flask, smtp: SMTPSink) -> None:
    named = {"to": r'"Jane \"JD\" Döe" <jane@Customer.example>', "reply_to": '"Basil, Service" <help@acme.example>'}
    answer = api.post("/api/v1/messages", json=MESSAGE | named | {"locale": "de_AT"})
    assert answer.status_code == 202
    with app.app_context():
        drain()
    assert smtp.received[0].rcpt_to == ("jane@customer.example",)
    mail = smtp.received[0].message
    (to,), (reply_to,) = mail["To"].addresses, mail["Reply-To"].addresses
    assert (to.display_name, to.addr_spec) == ('Jane "JD" Döe', "jane@customer.example")
    assert (reply_to.display_name, reply_to.addr_spec) == ("Basil, Service", "help@acme.example")
    assert mail["Content-Language"] == "de-AT"
    assert api.get(answer.headers["Location"]).get_json()["to"] == "jane@customer.example"


@pytest.mark.parametrize(
    "to",
    [
        "jane@customer.example <jane@customer.example>",
        "boss@bank.example <jane@customer.example>",
        "J" * 9000 + " <jane@customer.example>",
        "Jane\r\nBcc: x@y.example <jane@customer.example>",
        '"\u202e" <jane@customer.example>',
        "\x07 <jane@customer.example>",
    ],
)
def test_a_recipients_name_keeps_no_mail_back(api: FlaskClient, app: Flask, smtp: SMTPSink, to: str) -> None:
    assert api.post("/api/v1/messages", json=MESSAGE | {"to": to, "reply_to": to}).status_code == 202
    with app.app_context():
        drain()
    assert smtp.received[0].rcpt_to == ("jane@customer.example",)
    mail = smtp.received[0].message
    for name in ("To", "Reply-To"):
        (address,) = mail[name].addresses
        assert address.addr_spec == "jane@customer.example"
    assert mail["Bcc"] is None


@pytest.mark.parametrize(
    "address", ['"john doe"@customer.example', '"<john>@"@customer.example', "a%b!c/d=e@customer.example"]
)
def test_every_local_part_is_a_recipients(api: FlaskClient, app: Flask, smtp: SMTPSink, address: str) -> None:
    made = api.post("/api/v1/messages", json=MESSAGE | {"to": address, "reply_to": f"Jane <{address}>"})
    assert made.status_code == 202
    with app.app_context():
        drain()
        tenant = tenants.find("acme")
        assert tenant is not None
        assert len(message_log.page(tenant, message_log.LogFilter(recipient=address)).rows) == 1
    assert smtp.received[0].rcpt_to == (address,)
    assert api.get(made.headers["Location"]).get_json()["to"] == address


@pytest.mark.parametrize(
    "subject", ["Commande\xa017\u202f!", "ご注文\u3000確認", "👩\u200d👧", "می\u200cخواهم", "\U0001fae9 a\xadb"]
)
def test_any_line_of_text_is_a_subject(api: FlaskClient, app: Flask, smtp: SMTPSink, subject: str) -> None:
    assert api.post("/api/v1/messages", json=MESSAGE | {"subject": subject}).status_code == 202
    with app.app_context():
        drain()
    assert smtp.received[0].message["Subject"] == subject


def test_an_idn_recipient_is_accepted(api: FlaskClient) -> None:
    answer = api.post("/api/v1/messages", json=MESSAGE | {"to": "jane@bücher.example"})
    assert answer.status_code == 202


def test_a_body_of_a_megabyte_is_accepted(api: FlaskClient) -> None:
    assert api.post("/api/v1/messages", json=MESSAGE | {"text": "x" * 1024 * 1024}).status_code == 202


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"\xff", b'{"a": ' + b"9" * 5000 + b"}"])
def test_what_is_no_json_object_is_refused(api: FlaskClient, body: bytes) -> None:
    refused = problem(api.post("/api/v1/messages", data=body, content_type="application/json"), 400)
    assert (refused["title"], refused["detail"]) == ("Invalid JSON", "The body must be a JSON object.")


def test_json_of_any_depth_is_refused_with_a_sentence(api: FlaskClient) -> None:
    refused = problem(api.post("/api/v1/messages", data=b"[" * 200_000, content_type="application/json"), 400)
    assert refused["title"] == "Invalid JSON"


def test_another_content_type_is_refused(api: FlaskClient) -> None:
    problem(api.post("/api/v1/messages", data={"tenant": "acme"}), 415)


def test_a_request_over_15_megabytes_is_refused(api: FlaskClient, app: Flask) -> None:
    body = b'{"text": "' + b"x" * (15 * 1024 * 1024) + b'"}'
    problem(api.post("/api/v1/messages", data=body, content_type="application/json"), 413)
    assert count(app) == 0


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic abc", "Bearer absender_" + "x" * 43])
def test_a_wrong_api_key_is_refused(client: FlaskClient, header: str) -> None:
    for method, path in (("POST", "/api/v1/messages"), ("GET", "/api/v1/messages/msg_x"), ("PUT", "/api/v1/tenants/a")):
        answer = client.open(path, method=method, json=MESSAGE, headers={"Authorization": header})
        problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_api_key_is_kept_as_a_digest_only(app: Flask, key: str) -> None:
    with app.app_context():
        stored = db.session.execute(select(api_keys.ApiKey.digest)).scalars().all()
    assert key not in stored and all(len(digest) == 64 for digest in stored)


def test_an_unknown_message_is_not_found(api: FlaskClient) -> None:
    problem(api.get("/api/v1/messages/msg_unknown"), 404)


def test_an_unknown_path_and_method_answer_as_problems(api: FlaskClient) -> None:
    problem(api.get("/api/v1/nothing"), 404)
    problem(api.delete("/api/v1/messages"), 405)


def test_a_tenant_is_created_then_changed_field_by_field(api: FlaskClient) -> None:
    put = {"plan": "pro", "locale": "de", "timezone": "Europe/Berlin", "frame_ancestors": ["https://dash.example"]}
    answer = api.put("/api/v1/tenants/acme", json=put)
    told = {"tenant": "acme", "name": "Acme Shop", "state": "active", "mails_per_day": None, "mails_today": 0}
    assert answer.status_code == 200 and answer.get_json() == told | put


@pytest.mark.parametrize("nothing", ["", " ", None])
def test_what_a_call_says_nothing_of_stays_as_it_is(api: FlaskClient, nothing: str | None) -> None:
    put = {"plan": "pro", "locale": "de", "timezone": "Europe/Berlin"}
    before = api.put("/api/v1/tenants/acme", json=put).get_json()
    same = dict.fromkeys(["name", "plan", "locale", "timezone", "state"], nothing)
    assert api.put("/api/v1/tenants/acme", json=same).get_json() == before


@pytest.mark.parametrize("name", ["Ac\xadme", "👩\u200d👧 Shop", "می\u200cخواهم", "\U0001fae9 Shop", "Acme\ufe0f"])
def test_any_line_of_text_names_a_tenant(api: FlaskClient, name: str) -> None:
    assert api.put("/api/v1/tenants/acme", json={"name": name}).get_json()["name"] == name


def test_a_tenants_daily_limit_and_its_use_are_told_and_so_is_why_a_message_waits(
    app: Flask, api: FlaskClient, tmp_path: Path
) -> None:
    with app.app_context():
        limit_plans(app, tmp_path, basic=2)
    api.put("/api/v1/tenants/acme", json={"plan": "basic"})
    with app.app_context():
        use_up(tenants.find("acme"), 2)
    told = api.put("/api/v1/tenants/acme", json={}).get_json()
    assert (told["mails_per_day"], told["mails_today"]) == (2, 2)
    accepted = api.post("/api/v1/messages", json=MESSAGE).get_json()
    assert accepted["state"] == "held"
    shown = api.get(f"/api/v1/messages/{accepted['id']}").get_json()
    assert (shown["state"], shown["reason"]) == ("held", "plan_daily_limit")
    assert [(entry["event"], entry["reason"]) for entry in shown["log"]][-1] == ("held", "plan_daily_limit")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("acme", {"plan": "platinum"}, "plan"),
        ("acme", {"timezone": "Mars"}, "timezone"),
        ("acme", {"frame_ancestors": ["*"]}, "frame_ancestors"),
        ("acme", {"frame_ancestors": "https://a.example"}, "frame_ancestors"),
        ("acme", {"colour": "red"}, "colour"),
        ("new", {"plan": "pro"}, "name"),
        ("new", {"name": "", "plan": "pro"}, "name"),
        ("acme", {"name": "\u200b"}, "name"),
        ("acme", {"name": "Ac\u202eme"}, "name"),
        ("acme", {"name": "A" * 201}, "name"),
        ("-bad-", {"name": "Bad"}, "tenant"),
    ],
)
def test_a_wrong_field_of_a_tenant_is_refused(api: FlaskClient, path: str, body: dict[str, Any], field: str) -> None:
    refusal_at(api.put(f"/api/v1/tenants/{path}", json=body), field)


def test_health_and_readiness(client: FlaskClient) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").get_json() == {"status": "ready", "database": True, "redis": True}


def test_the_product_is_ready_without_redis_and_says_so(client: FlaskClient, valkey: Any) -> None:
    with valkey.away():
        answer = client.get("/readyz")
    assert answer.status_code == 200 and answer.get_json()["redis"] is False
