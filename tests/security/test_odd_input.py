"""Every route with what no browser sends: answered in words, and never as a defect of ours."""

import io
import json
import os
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Any

import pytest
from flask import Flask
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from portal.services.accounts import api_keys
from tests.security.shops import HERS, Shop, Visitor, path_of, routes
from tests.security.test_foreign_ids import asks_of

POSTGRES = os.environ.get("PORTAL_TEST_DATABASE_URL", "")
# As they stand in a URL or a form's body.
ODD = {
    "NUL": "a%00b",
    "half a character": "%ED%A0%80",
    "no UTF-8": "%FF%FE",
    "no UTF-8, not even quoted": "\xff",
    "a number too long": "-999999999999999999999999999999",
    "a number of 5,000 digits": "9" * 5000,
    "3,000 letters": "x" * 3000,
    "1,000 wildcards": "%25" * 1000,
    "half a bracket": "[0:0:" + "(" * 300,
}
turns = count(0)
# What pages ask by script, beside the fields of their forms and links.
NAMES = {"awaited", "other", "test", "before", "until", "open", "notice", "page", "token", "user", "portal_session"}


@pytest.fixture
def people(app: Flask, hers: Shop) -> dict[str, Visitor]:
    """Whoever may call a route of each rule."""
    much = "1000000/minute"
    rates = dict.fromkeys(["launch_rate", "verification_rate", "test_send_rate", "sign_in_rate"], much)
    app.extensions["settings"] = app.extensions["settings"].model_copy(update=rates)
    admin, support = Visitor(app, HERS, "admin"), Visitor(app, "desk", "support")
    programme = Visitor(app, HERS, None)
    with app.app_context():
        programme.bearer = api_keys.create("odd")
    return {"public": admin, "person": admin, "viewer": admin, "admin": admin, "support": support,
            "operator": admin, "api_key": programme}  # fmt: skip


@pytest.fixture
def names(app: Flask, hers: Shop, people: dict[str, Visitor]) -> list[str]:
    """Of all fields in the forms and links of the shop's pages."""
    found = NAMES | {name for ask in asks_of(app, people["admin"], hers) for name, _ in ask.fields} - {"csrf_token"}
    assert {"address", "display_name", "host", "secret", "recipient", "role"} <= found
    return sorted(found)


def asked(visitor: Visitor, rule: str, method: str, path: str, **options: Any) -> TestResponse:
    """Again, when something before has ended their session."""
    answer = visitor.ask(method, path, **options)
    if answer.status_code == 401 and rule not in ("public", "operator", "api_key"):
        visitor.come_in()
        answer = visitor.ask(method, path, **options)
    return answer


def body_of(names: list[str], value: str) -> bytes:
    return "&".join(f"{name}={value}" for name in names).encode("latin-1")


def form(body: bytes) -> dict[str, Any]:
    return {"data": body, "content_type": "application/x-www-form-urlencoded"}


def requests_to(method: str, path: str, names: list[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What is odd about it, its path, and what it brings."""
    for what, value in ODD.items():
        yield f"{what} in the query", path, {"query_string": body_of(names, value).decode("latin-1")}
        if method == "POST":
            yield what, path, form(body_of(names, value))
            yield f"{what}, twice", path, form(body_of(names + names, value[:99]))
    if method != "GET":
        # As bytes, since a page that is left in the middle is asked for again.
        boundary, body = encode_multipart({name: FileStorage(io.BytesIO(b"x"), "file.txt") for name in names})
        yield "files", path, {"data": body, "content_type": f"multipart/form-data; boundary={boundary}"}
        yield (
            "a part without a name",
            path,
            {
                "data": b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
                "content_type": "multipart/form-data; boundary=b",
            },
        )
        for text in ('{"address": 1}', "[1]", "[" * 60_000, "9" * 5000, "\xff"):
            yield f"JSON {text[:20]}", path, {"data": text.encode("latin-1"), "content_type": "application/json"}


def some(requests: Iterator[Any]) -> Iterator[Any]:
    """All on PostgreSQL, which refuses more than SQLite does; there each third, beginning elsewhere for each route."""
    return requests if POSTGRES else islice(requests, next(turns) % 3, None, 3)


def test_no_route_fails_at_odd_fields(app: Flask, hers: Shop, people: dict[str, Visitor], names: list[str]) -> None:
    failed, tried = [], 0
    for method, rule, route in routes(app):
        if method == "HEAD":
            continue
        for what, path, options in some(requests_to(method, path_of(route, hers.ids), names)):
            answer = asked(people[rule], rule, method, path, **options)
            tried += 1
            if answer.status_code >= 500:
                failed.append(f"{method} {route.rule} with {what}: {answer.status_code}")
    assert failed == []
    assert tried > 300


def test_no_route_fails_at_an_odd_path(app: Flask, hers: Shop, people: dict[str, Visitor]) -> None:
    failed = []
    for method, rule, route in routes(app):
        for argument in route.arguments:
            for what, value in ODD.items():
                path = path_of(route, hers.ids | {argument: value[:4000].replace("\xff", "%ff")})
                answer = asked(people[rule], rule, method, path)
                if answer.status_code >= 500:
                    failed.append(f"{method} {route.rule} with {what}: {answer.status_code}")
    assert failed == []


HEADERS = (
    "Accept-Language", "Accept", "Authorization", "Cookie", "Content-Type", "HX-Request-Type", "HX-PTag",
    "HX-Current-URL", "HX-Prompt", "Host", "If-Modified-Since", "If-None-Match", "Range", "Idempotency-Key", "Origin",
    "Referer", "Sec-Fetch-Site", "User-Agent", "X-Forwarded-For", "X-CSRFToken",
)  # fmt: skip
READING = (
    ("GET", "/settings/email/logs", "viewer"), ("POST", "/settings/email/verification", "admin"),
    ("POST", "/api/v1/messages", "api_key"), ("GET", "/static/portal.css", "public"), ("GET", "/metrics", "operator"),
    ("GET", "/sign-in", "public"), ("POST", "/launch", "public"), ("GET", "/nowhere", "public"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path", "rule"), READING)
def test_no_page_fails_at_an_odd_header(
    app: Flask, people: dict[str, Visitor], method: str, path: str, rule: str
) -> None:
    values = ("\xff\xfe", "x" * 8000, "," * 8000, "en;q=" + "9" * 5000, "-1", "bytes=9-1,-,x", '"', "=?utf-8?b?//8=?=")
    failed = []
    for header in HEADERS:
        for value in values:
            headers = {"Authorization": f"Bearer {people[rule].bearer}"} | {header: value}
            client = app.test_client(use_cookies=False)
            answer = client.open(path, method=method, headers=headers, data=b"{}", buffered=True)
            if answer.status_code >= 500:
                failed.append(f"{header}: {value[:20]!r}: {answer.status_code}")
    assert failed == []


ITEMS = {
    "NUL": "a\x00b", "half a character": "\ud800", "a number": 10**400, "a list": [[]], "an object": {"a": {}},
    "nothing": None, "a fraction": 1.5, "long": "x" * 60_000, "not a number": float("nan"), "true": True,
}  # fmt: skip
INSIDE: tuple[Callable[[Any], Any], ...] = (
    lambda item: item,
    lambda item: [item],
    lambda item: [{"to": item, "filename": item}],
)
WHOLE = {
    "tenant": HERS, "kind": "order_update", "to": "jane@x.example", "subject": "s", "text": "t", "html": "<p>t",
    "reply_to": "a@x.example", "locale": "en", "attachments": [], "name": "Shop", "plan": "pro", "timezone": "UTC",
    "frame_ancestors": [], "idempotency_key": "k", "messages": [],
}  # fmt: skip


def test_no_call_fails_at_odd_json(app: Flask, hers: Shop, people: dict[str, Visitor]) -> None:
    programme, failed, tried = people["api_key"], [], 0
    for method, rule, route in routes(app):
        if rule != "api_key" or method not in ("POST", "PUT"):
            continue
        for name in [*WHOLE, "un\ud800known"]:
            for what, item in ITEMS.items():
                for inside in (
                    lambda value: value,
                    lambda value: [value],
                    lambda value: [{"to": value, "filename": value}],
                ):
                    answer = programme.ask(
                        method, path_of(route, hers.ids), data=json.dumps(WHOLE | {name: inside(item)}),
                        content_type="application/json",
                    )  # fmt: skip
                    tried += 1
                    if answer.status_code >= 500:
                        failed.append(f"{method} {route.rule} with {name}: {what}: {answer.status_code}")
    assert failed == []
    assert tried > 500


@pytest.mark.parametrize("field", ["address", "display_name"])
def test_a_field_that_is_too_long_is_refused_in_its_own_words(app: Flask, hers: Shop, field: str) -> None:
    admin = Visitor(app, HERS, "admin")
    fields = {"address": "hello@kestrel.example", "display_name": "Kestrel"} | {field: "x" * 90_000}
    answer = admin.ask("POST", "/settings/email/verification", data=fields)
    assert answer.status_code == 422 and " is too long. " in answer.text and len(answer.data) < 60_000


def test_more_than_a_form_or_a_small_call_holds_is_refused_before_it_is_read(
    app: Flask, people: dict[str, Visitor]
) -> None:
    for rule, method, path in (
        ("admin", "POST", "/settings/email/verification"),
        ("api_key", "PUT", "/api/v1/tenants/acme"),
        ("api_key", "POST", "/api/v1/messages"),
    ):
        body = io.BytesIO(b" " * 16_000_000)
        kind = "application/json" if rule == "api_key" else "application/x-www-form-urlencoded"
        answer = people[rule].ask(method, path, input_stream=body, content_length=16_000_000, content_type=kind)
        assert answer.status_code == 413 and body.tell() == 0
