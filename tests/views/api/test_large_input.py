"""What is large or odd in a call's JSON: a bounded answer, and no memory beyond its own size."""

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

import portal
from tests.views.api.conftest import MESSAGE, problem

SIZE = 14_000_000


def send(api: FlaskClient, body: bytes, path: str = "/api/v1/messages") -> Any:
    return api.post(path, data=body, content_type="application/json")


def test_twenty_errors_are_named_and_the_rest_is_counted(api: FlaskClient) -> None:
    refused = problem(api.post("/api/v1/messages", json=MESSAGE | {f"x{number}": 1 for number in range(1000)}), 422)
    assert len(refused["errors"]) == 21
    assert refused["errors"][0] == {"pointer": "#/x0", "detail": "This field is not known."}
    assert refused["errors"][-1] == {"pointer": "#", "detail": "And 980 more errors."}


def test_so_are_those_of_a_batchs_message(api: FlaskClient) -> None:
    item = MESSAGE | {"attachments": [{f"x{number}": 1 for number in range(1000)}]}
    answer = api.post("/api/v1/messages/batch", json={"messages": [item]})
    (refused,) = answer.get_json()["results"]
    assert refused["status"] == 422 and len(refused["errors"]) == 21
    assert refused["errors"][-1]["pointer"] == "#/messages/0"


def test_an_answer_repeats_no_long_name(api: FlaskClient) -> None:
    answer = api.post("/api/v1/messages", json=MESSAGE | {"x" * 100_000: 1})
    assert problem(answer, 422) and len(answer.data) < 1000


MANY = {
    "unknown fields": b"{" + b",".join(b'"f%d":0' % number for number in range(SIZE // 12)) + b"}",
    "lists": b'{"to":[' + b"[],[]," * (SIZE // 6) + b"0]}",
    "numbers": b'{"attachments":[' + b"0," * (SIZE // 2) + b"0]}",
    "texts": b'{"to":[' + b'"",' * (SIZE // 3) + b'""]}',
    "escaped quotes": b'{"to":"' + b'\\"' * (SIZE // 2) + b'"}',
    "an open text": b'{"to":"' + b'\\"' * (SIZE // 2),
    "lists within lists": b'{"to":' + b"[" * SIZE,
    "digits": b'{"to":' + b"9" * SIZE + b"}",
}


@pytest.mark.parametrize("what", MANY)
@pytest.mark.parametrize("path", ["/api/v1/messages", "/api/v1/messages/batch"])
def test_fourteen_megabytes_take_some_times_their_size(api: FlaskClient, path: str, what: str) -> None:
    """They took 1.2 GB, and the answer had 69 MB."""
    body = MANY[what]
    tracemalloc.start()
    try:
        answer = send(api, body, path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status_code in (400, 422) and len(answer.data) < 5000
    assert most < 6 * SIZE


def test_the_largest_batch_is_within_what_is_read(api: FlaskClient) -> None:
    files = [{"filename": f"{n}.txt", "content_type": "text/plain", "content": ""} for n in range(20)]
    item = MESSAGE | {"html": "<p>,[{", "reply_to": "a@b.example", "locale": "en", "attachments": files}
    messages = [item | {"idempotency_key": str(number)} for number in range(500)]
    answer = send(api, json.dumps({"messages": messages}).encode(), "/api/v1/messages/batch")
    assert {result["status"] for result in answer.get_json()["results"]} == {202}


def test_more_files_than_a_message_has_are_refused_before_they_are_read(api: FlaskClient) -> None:
    refused = problem(api.post("/api/v1/messages", json=MESSAGE | {"attachments": [0] * 30_000}), 422)
    assert refused["errors"] == [{"pointer": "#/attachments", "detail": "A message has at most 20 attachments."}]


@pytest.mark.parametrize("path", ["/api/v1/messages", "/api/v1/messages/batch"])
@pytest.mark.parametrize(
    ("kind", "size", "status"),
    [("text/plain", 1000, 415), ("", 1000, 415), ("multipart/form-data; boundary=x", 14_000_000, 415),
     ("application/json", 16_000_000, 413), ("text/plain", 16_000_000, 415)],
)  # fmt: skip
def test_what_is_no_json_or_too_much_is_answered_before_it_is_read(
    api: FlaskClient, path: str, kind: str, size: int, status: int
) -> None:
    body = io.BytesIO(b" " * size)
    answer = api.post(path, input_stream=body, content_length=size, content_type=kind)
    assert problem(answer, status) and body.tell() == 0


def test_both_and_the_sizes_are_described(client: FlaskClient) -> None:
    described = client.get("/api/v1/openapi.json").get_json()
    readme = (Path(portal.__file__).parents[1] / "README.md").read_text()
    for text in (described["info"]["description"], readme):
        assert all(part in text for part in ("413", "415", "15 MB", "64 kB"))
    assert {"413", "415"} <= described["paths"]["/messages"]["post"]["responses"].keys()


def test_a_call_that_hands_in_no_mail_is_small(api: FlaskClient) -> None:
    assert api.put("/api/v1/tenants/acme", json={"name": "x" * 65_000}).status_code == 422
    problem(api.put("/api/v1/tenants/acme", json={"name": "x" * 66_000}), 413)
