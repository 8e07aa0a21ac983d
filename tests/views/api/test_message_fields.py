"""What a message may have besides: a reference, metadata, a time of its own, a thread, and what its files are."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Message, utcnow
from portal.reasons import GIVE_UP
from portal.services.accounts import tenants
from portal.services.outbox import message_log
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain
from tests.views.api.conftest import MESSAGE


def post(api: FlaskClient, **fields: Any) -> dict[str, Any]:
    answer = api.post("/api/v1/messages", json=MESSAGE | fields)
    assert answer.status_code == 202, answer.text
    return dict(answer.get_json())


def shown(api: FlaskClient, public_id: str) -> dict[str, Any]:
    return dict(api.get(f"/api/v1/messages/{public_id}").get_json())


def test_reference_and_metadata_are_given_back(api: FlaskClient) -> None:
    made = post(api, reference=" 1001 ", metadata={"vendor": "v-17", "größe": "M"})
    found = shown(api, made["id"])
    assert (found["reference"], found["metadata"]) == ("1001", {"vendor": "v-17", "größe": "M"})
    assert shown(api, post(api)["id"])["metadata"] == {}


@pytest.mark.parametrize("reference", ["A\xa0 1001", "A\x07 1001\r\n", "\u202eA 1001"])
def test_a_reference_is_kept_in_one_line_and_found_as_it_was_written(
    api: FlaskClient, app: Flask, reference: str
) -> None:
    made = post(api, reference=reference)
    assert shown(api, made["id"])["reference"] == "A 1001"
    with app.app_context():
        tenant = tenants.find("acme")
        assert tenant is not None
        found = message_log.page(tenant, message_log.LogFilter(recipient=reference)).rows
    assert [row.public_id for row in found] == [made["id"]]


@pytest.mark.parametrize("metadata", [{"k": "v" * 501}, {"k" * 501: "v"}, {"k": 1}, {"k": None}, {"k": {"l": "m"}}])
def test_metadata_are_short_texts(api: FlaskClient, metadata: dict[str, Any]) -> None:
    answer = api.post("/api/v1/messages", json=MESSAGE | {"metadata": metadata})
    assert answer.status_code == 422 and answer.get_json()["errors"][0]["pointer"].startswith("#/metadata")


@pytest.mark.parametrize(
    "field", ["html", "reply_to", "locale", "attachments", "reference", "metadata", "send_at", "thread"]
)
@pytest.mark.parametrize("nothing", ["", " ", None])
def test_an_optional_field_that_is_empty_counts_as_left_out(
    api: FlaskClient, app: Flask, smtp: SMTPSink, field: str, nothing: str | None
) -> None:
    post(api, **{field: nothing})
    with app.app_context():
        assert drain() == 1
    assert smtp.received[0].message.get_body().get_content().strip() == MESSAGE["text"].strip()
    assert smtp.received[0].message.get_content_type() == "text/plain"


@pytest.mark.parametrize("nothing", ["", None])
def test_what_a_file_says_nothing_of_counts_as_left_out(
    api: FlaskClient, app: Flask, smtp: SMTPSink, nothing: str | None
) -> None:
    file = {"filename": "a.pdf", "content_type": "application/pdf", "content": "AAAA"}
    post(api, attachments=[file | dict.fromkeys(["charset", "method", "content_id"], nothing)])
    with app.app_context():
        drain()
    assert [part.get_filename() for part in smtp.received[0].message.iter_attachments()] == ["a.pdf"]


def test_an_empty_text_beside_html_gets_one_made_from_it(api: FlaskClient, app: Flask, smtp: SMTPSink) -> None:
    post(api, text=" ", html="<p>It is on its way.</p>")
    with app.app_context():
        drain()
    plain = smtp.received[0].message.get_body(("plain",))
    assert plain is not None and plain.get_content().strip() == "It is on its way."


def test_nothing_goes_out_before_its_time(api: FlaskClient, app: Flask, smtp: SMTPSink) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=6)
    made = post(api, send_at=at.isoformat())
    assert (made["state"], shown(api, made["id"])["send_at"]) == ("queued", at.isoformat())
    with app.app_context():
        assert drain() == 0
        with transaction() as session:
            session.execute(update(Message).values(due_at=utcnow()))
        assert drain() == 1
    assert len(smtp.received) == 1


def test_its_time_to_be_sent_counts_from_then_on(api: FlaskClient, app: Flask) -> None:
    at = datetime.now(UTC) + timedelta(days=6)
    made = post(api, send_at=at.isoformat())
    with app.app_context():
        message = db.session.scalars(select(Message).where(Message.public_id == made["id"])).one()
        assert message.expires_at - at == GIVE_UP


def test_what_is_scheduled_can_be_cancelled(api: FlaskClient) -> None:
    made = post(api, send_at=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    assert api.post(f"/api/v1/messages/{made['id']}/cancel").get_json()["state"] == "cancelled"


def test_a_time_that_is_over_means_at_once(api: FlaskClient, app: Flask) -> None:
    post(api, send_at="2020-01-01T00:00:00Z")
    with app.app_context():
        assert drain() == 1


def test_the_mails_of_a_thread_answer_the_same_id(api: FlaskClient, app: Flask, smtp: SMTPSink) -> None:
    for thread in ("order-1001", "order-1001", "order-1002", "<question-7@customer.example>"):
        post(api, thread=thread)
    with app.app_context():
        assert drain() == 4
    answered = [str(mail.message["In-Reply-To"]) for mail in smtp.received]
    assert [str(mail.message["References"]) for mail in smtp.received] == answered
    assert answered[0] == answered[1] != answered[2]
    assert answered[3] == "<question-7@customer.example>"


def test_a_file_says_its_charset_its_method_and_where_it_is_shown(api: FlaskClient, app: Flask, smtp: SMTPSink) -> None:
    def file(name: str, kind: str, content: bytes, **more: str) -> dict[str, Any]:
        return {"filename": name, "content_type": kind, "content": base64.b64encode(content).decode(), **more}

    post(
        api,
        html='<img src="cid:logo"> Hello',
        attachments=[
            file("liste.csv", "text/csv", "Größe".encode("latin-1"), charset="ISO-8859-1"),
            file("invite.ics", "text/calendar", b"BEGIN:VCALENDAR", method="request"),
            file("logo.png", "image/png", b"PNG", content_id="<logo>"),
        ],
    )
    with app.app_context():
        assert drain() == 1
    by_name = {part.get_filename(): part for part in smtp.received[0].message.walk() if part.get_filename()}
    assert by_name["liste.csv"].get_content().strip() == "Größe"
    assert by_name["invite.ics"].get_param("method") == "REQUEST"
    assert (by_name["logo.png"]["Content-ID"], by_name["logo.png"].get_content_disposition()) == ("<logo>", "inline")


@pytest.mark.parametrize(
    ("kind", "more", "field"),
    [
        ("application/pdf", {"charset": "utf-8"}, "attachments/0"),
        ("text/plain", {"charset": "klingon"}, "attachments/0/charset"),
        ("text/plain", {"method": "REQUEST"}, "attachments/0"),
        ("text/calendar", {"method": "RE QUEST"}, "attachments/0/method"),
        ("image/png", {"content_id": "a\r\nb"}, "attachments/0/content_id"),
    ],
)
def test_what_a_file_cannot_be_is_refused(api: FlaskClient, kind: str, more: dict[str, str], field: str) -> None:
    file = {"filename": "file", "content_type": kind, "content": "AAAA", **more}
    answer = api.post("/api/v1/messages", json=MESSAGE | {"attachments": [file]})
    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == f"#/{field}"


@pytest.mark.parametrize("domain", ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example"])
def test_a_recipient_is_taken_as_people_read_it_and_given_back_as_it_is_stored(api: FlaskClient, domain: str) -> None:
    """With what comes along when it is copied."""
    answer = api.post("/api/v1/messages", json=MESSAGE | {"to": f"\u200bjane@{domain}\ufeff\u00a0"})
    assert answer.status_code == 202, answer.text
    number = answer.get_json()["id"]
    assert api.get(f"/api/v1/messages/{number}").get_json()["to"] == "jane@xn--bcher-kva.example"
