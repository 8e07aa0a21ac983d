"""Attachments by API: they arrive as they were handed in, and what is wrong with one is said at its field."""

import base64
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from portal.extensions import db
from portal.models import MessageAttachment
from portal.transport.base import Timeouts
from tests.support.smtp_sink import SMTPSink
from tests.support.statements import recorded
from tests.support.steps import drain
from tests.views.api.conftest import MESSAGE, problem
from tests.views.api.test_api import count, refusal_at

PDF = bytes(range(256)) * 40


def file(filename: str = "invoice.pdf", content_type: str = "application/pdf", content: Any = PDF) -> dict[str, Any]:
    text = base64.b64encode(content).decode() if isinstance(content, bytes) else content
    return {"filename": filename, "content_type": content_type, "content": text}


def post(api: FlaskClient, *files: Any, key: str | None = None) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return api.post("/api/v1/messages", json=MESSAGE | {"attachments": list(files)}, headers=headers)


def test_files_arrive_byte_for_byte_under_their_names(api: FlaskClient, app: Flask, smtp: SMTPSink) -> None:
    assert post(api, file(), file("Rechnung für Größe.txt", "text/plain", "Grüße".encode())).status_code == 202
    with app.app_context():
        drain()
    files = list(smtp.received[0].message.iter_attachments())
    assert [(f.get_filename(), f.get_content_type(), f.get_payload(decode=True)) for f in files] == [
        ("invoice.pdf", "application/pdf", PDF),
        ("Rechnung für Größe.txt", "text/plain", "Grüße".encode()),
    ]
    assert smtp.received[0].text.replace("\r\n", "\n") == MESSAGE["text"]


def test_ten_megabytes_arrive_and_one_byte_more_is_refused(api: FlaskClient, app: Flask, smtp: SMTPSink) -> None:
    half = b"x" * (5 * 1024 * 1024)
    sentence = refusal_at(post(api, file(content=half), file(content=half + b"x")), "attachments")
    assert "together" in sentence and "10 MB" in sentence
    assert count(app) == 0
    assert post(api, file(content=half), file(content=half)).status_code == 202
    with app.app_context():
        drain(timeouts=Timeouts())
    assert [len(f.get_payload(decode=True)) for f in smtp.received[0].message.iter_attachments()] == [len(half)] * 2


def test_a_mail_without_files_asks_for_none(api: FlaskClient, app: Flask) -> None:
    assert post(api).status_code == 202
    with app.app_context(), recorded() as asked:
        drain()
    assert asked and not [statement for statement, _ in asked if "message_attachment" in statement]


@pytest.mark.parametrize(
    ("wrong", "field", "word"),
    [
        (file(content="no base64!"), "content", "base64"),
        (file(content="QUJD\nRA=="), "content", "line breaks"),
        (file(content="QUI"), "content", "padding"),
        (file(content="Ä"), "content", "base64"),
        (file(content=7), "content", "text"),
        (file(content_type="pdf"), "content_type", "media type"),
        (file(content_type="text/plain; charset=utf-8"), "content_type", "without parameters"),
        (file(content_type="multipart/mixed"), "content_type", "multipart"),
        (file(content_type="MESSAGE/rfc822"), "content_type", "message"),
        (file(content_type="text/plain\r\nBcc: a@b.example"), "content_type", "media type"),
        (file(filename="a\r\nBcc: x@y.example"), "filename", "one line"),
        (file(filename="\ud800.pdf"), "filename", "surrogate"),
        (file(filename=""), "filename", "name"),
        (file(filename="../"), "filename", "name"),
        (file(filename="x" * 256), "filename", "255"),
        ({"filename": "a.pdf", "content_type": "application/pdf"}, "content", "required"),
        (file() | {"size": 1}, "size", "not known"),
    ],
)
def test_a_wrong_field_is_named(api: FlaskClient, app: Flask, wrong: dict[str, Any], field: str, word: str) -> None:
    assert word in refusal_at(post(api, file(), wrong), f"attachments/1/{field}")
    assert count(app) == 0


def test_too_many_files_and_no_list_of_objects_are_refused(api: FlaskClient) -> None:
    assert "20" in refusal_at(post(api, *[file(content=b"x")] * 21), "attachments")
    assert refusal_at(post(api, "a.pdf"), "attachments/0") == "This must be a JSON object."
    refused = api.post("/api/v1/messages", json=MESSAGE | {"attachments": {"a": 1}})
    assert refusal_at(refused, "attachments") == "This must be a list."


@pytest.mark.parametrize("path", ["/etc/secret/invoice.pdf", "C:\\Users\\me\\invoice.pdf", "../invoice.pdf"])
def test_of_a_path_only_the_name_is_kept(api: FlaskClient, app: Flask, path: str) -> None:
    assert post(api, file(path)).status_code == 202
    with app.app_context():
        assert db.session.scalars(select(MessageAttachment.filename)).all() == ["invoice.pdf"]


def test_the_files_belong_to_what_an_idempotency_key_stands_for(api: FlaskClient, app: Flask) -> None:
    first = post(api, file(), key="order-1")
    assert post(api, file(), key="order-1").get_json() == first.get_json()
    problem(post(api, file(content=PDF + b"x"), key="order-1"), 409)
    problem(post(api, file("other.pdf"), key="order-1"), 409)
    problem(post(api, key="order-1"), 409)
    assert count(app) == 1
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(MessageAttachment)) == 1
