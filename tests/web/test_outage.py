"""While the database is away: 503 and when to come again, said once in the log; and nothing is accepted by half."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select
from werkzeug.test import TestResponse

from portal.db.away import Outage
from portal.db.sqlite import WRITES
from portal.extensions import db
from portal.models import Message
from portal.services.accounts import api_keys, launches, tenants
from portal.web.access import access
from tests.conftest import POSTGRES
from tests.support.person import Arrive
from tests.support.unwell import a_full_disk, no_connection_left

HandIn = Callable[..., TestResponse]
MESSAGE = {"tenant": "acme", "kind": "order_update", "to": "jane@customer.example", "subject": "Hi", "text": "Hi"}
on_sqlite = pytest.mark.skipif(bool(POSTGRES), reason="SQLite's way of failing")


@pytest.fixture(autouse=True)
def all_was_well(app: Flask) -> None:
    app.extensions["portal_outage"] = Outage()


@pytest.fixture
def key(app: Flask) -> str:
    with app.app_context():
        tenants.upsert("acme", name="Acme Shop", plan="enterprise")
        return api_keys.create("backend")


@pytest.fixture
def hand_in(client: FlaskClient, key: str) -> HandIn:
    def post(order: str = "order-1", words: str = "Hi") -> TestResponse:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": order}
        return client.post("/api/v1/messages", json=MESSAGE | {"text": words}, headers=headers)

    return post


def count(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count(Message.id))) or 0


def is_asked_to_come_again(answer: TestResponse) -> bool:
    shown = answer.get_json()
    return (
        (answer.status_code, answer.content_type) == (503, "application/problem+json")
        and answer.headers["Retry-After"] == str(shown["retry_after"])
        and "same Idempotency-Key" in shown["detail"]
    )


def test_without_a_connection_the_api_asks_to_come_again_and_then_accepts(app: Flask, hand_in: HandIn) -> None:
    with no_connection_left(app):
        for _ in range(3):
            assert is_asked_to_come_again(hand_in())
    assert hand_in().status_code == 202 and count(app) == 1


def test_it_is_said_once_and_once_when_it_is_over(
    app: Flask, hand_in: HandIn, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_connection_left(app):
        hand_in(), hand_in()
    hand_in()  # so soon, it may be away again the next moment
    assert [record.levelname for record in said(caplog)] == ["ERROR"]
    monkeypatch.setattr("portal.db.away._QUIET_SECONDS", 0)
    hand_in(), hand_in()
    assert [record.levelname for record in said(caplog)] == ["ERROR", "WARNING"]
    assert not [record for record in caplog.records if record.name == "portal.request" and record.exc_info]


def said(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "portal.db.away"]


@pytest.mark.parametrize(("language", "words"), [("en", "Temporarily unavailable"), ("de", "Vorübergehend nicht")])
def test_a_page_says_so_in_its_readers_language(app: Flask, arrive: Arrive, language: str, words: str) -> None:
    person = arrive(locale=language)
    with no_connection_left(app):
        page = person.get("/settings/email")
        banner = person.as_htmx("GET", "/settings/email/logs/rows")
    for answer in (page, banner):
        assert answer.status_code == 503 and words in answer.text and int(answer.headers["Retry-After"]) > 0
    assert "<html" in page.text and "<html" not in banner.text and "help@marketplace.example" in page.text
    assert person.get("/settings/email").status_code == 200


def test_whoever_comes_in_meanwhile_is_asked_to_come_again(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        token = launches.make_token("acme")
    with no_connection_left(app):
        answer = client.post("/launch", data={"token": token})
    assert answer.status_code == 503 and "Temporarily unavailable" in answer.text
    assert client.post("/launch", data={"token": token}).status_code == 200


def test_a_connection_that_breaks_after_the_answer_spoils_nothing(app_to_change: Flask) -> None:
    @app_to_change.route("/reads")
    @access("public")
    def reads() -> str:
        db.session.execute(db.text("SELECT 1"))
        db.session.connection().connection.driver_connection.close()  # type: ignore[union-attr]
        return "read"

    assert app_to_change.test_client().get("/reads").text == "read"


def test_a_defect_of_ours_stays_one(app_to_change: Flask) -> None:
    @app_to_change.route("/broken")
    @access("public")
    def broken() -> str:
        db.session.execute(db.text("SELECT nothing FROM nowhere"))
        return ""

    app_to_change.config["PROPAGATE_EXCEPTIONS"] = False
    assert app_to_change.test_client().get("/broken").status_code == 500


@on_sqlite
def test_a_database_that_may_not_grow_refuses_what_it_can_not_keep(app: Flask, hand_in: HandIn) -> None:
    assert hand_in().status_code == 202

    def may_not_grow(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA max_page_count=1")  # as many as it has: it never gets smaller by this

    with app.app_context():
        event.listen(db.engine, "checkout", may_not_grow)
    try:
        assert is_asked_to_come_again(hand_in("order-2", "x" * 500_000)) and count(app) == 1
    finally:
        with app.app_context():
            event.remove(db.engine, "checkout", may_not_grow)
            db.engine.dispose()
    assert hand_in("order-2", "x" * 500_000).status_code == 202


@on_sqlite
def test_a_commit_that_the_disk_refuses_is_never_answered_as_accepted(
    app: Flask, hand_in: HandIn, database_url: str
) -> None:
    assert hand_in().status_code == 202
    with a_full_disk(database_url):
        answers = [hand_in(f"order-{number}") for number in (2, 3)]
    assert all(is_asked_to_come_again(answer) for answer in answers) and count(app) == 1
    assert hand_in("order-2").status_code == 202 and count(app) == 2


@pytest.mark.skipif(not POSTGRES, reason="PostgreSQL's way of failing")
def test_a_commit_whose_answer_is_lost_is_found_again_by_its_key(app: Flask, hand_in: HandIn) -> None:
    def lose(connection: Any) -> None:
        if connection.get_execution_options().get(WRITES):
            connection.connection.driver_connection.execute("COMMIT; SELECT pg_terminate_backend(pg_backend_pid())")

    with app.app_context():
        event.listen(db.engine, "commit", lose)
    try:
        assert is_asked_to_come_again(hand_in()) and count(app) == 1
    finally:
        with app.app_context():
            event.remove(db.engine, "commit", lose)
    assert hand_in().status_code == 202 and count(app) == 1
