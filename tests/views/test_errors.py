"""How refusals look: a page, a banner, a problem document; and what the request log keeps of it all."""

import logging
import time

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from portal.log_format import Formatter
from portal.web.access import access
from tests.support.person import PARTIAL, Person


@pytest.fixture
def broken(app_to_change: Flask) -> Flask:
    @app_to_change.route("/broken")
    @access("public")
    def broken() -> str:
        raise RuntimeError("secret detail")

    app_to_change.config["PROPAGATE_EXCEPTIONS"] = False
    return app_to_change


def test_a_crash_is_a_page_with_supports_address_and_no_details(broken: Flask) -> None:
    answer = broken.test_client().get("/broken")
    assert answer.status_code == 500 and "Something went wrong on our side" in answer.text
    assert "help@marketplace.example" in answer.text and "https://marketplace.example/tickets" in answer.text
    assert "secret detail" not in answer.text


def test_an_unknown_address_keeps_a_known_persons_frame(person: Person, client: FlaskClient) -> None:
    for answer in (person.get("/nothing"), client.get("/nothing")):
        assert answer.status_code == 404 and "There is nothing at this address" in answer.text
        assert "help@marketplace.example" in answer.text
    assert "Acme Shop" in person.get("/nothing").text


def test_a_wrong_method_names_the_right_ones(person: Person) -> None:
    answer = person.get("/settings/email/default")
    assert answer.status_code == 405 and "POST" in answer.headers["Allow"]


def test_a_form_that_is_too_large_is_refused(person: Person) -> None:
    answer = person.post("/settings/email/verification", {"address": "x" * 600_000, "display_name": ""})
    assert answer.status_code == 413 and "too much at once" in answer.text


def test_a_fragments_refusal_is_a_banner(person: Person) -> None:
    answer = person.as_htmx("POST", "/settings/email/identities/999/cancel")
    assert answer.status_code == 404 and answer.headers["HX-Retarget"] == "#notices"
    assert 'role="alert"' in answer.text and "<html" not in answer.text and "help@marketplace.example" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/nothing", 404), ("GET", "/api/v1/messages", 405), ("GET", "/api/v1/messages/msg_x", 401)],
)
def test_under_api_refusals_are_problem_documents(client: FlaskClient, method: str, path: str, status: int) -> None:
    answer = client.open(path, method=method, headers=PARTIAL)
    assert answer.status_code == status and answer.content_type == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["title"] and answer.json["detail"]


def test_a_poll_that_finds_nothing_new_is_not_worth_a_line(person: Person, caplog: pytest.LogCaptureFixture) -> None:
    rows = "/settings/email/logs/rows"
    with time_machine.travel(time.time(), tick=False), caplog.at_level(logging.INFO, "portal.request"):
        tag = person.as_htmx("GET", rows).headers["HX-PTag"]
        assert person.as_htmx("GET", rows, headers={"HX-PTag": tag}).status_code == 304
    assert len([record for record in caplog.records if record.name == "portal.request"]) == 1


def test_the_request_log_knows_rules_and_no_paths(person: Person, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "portal.request"):
        person.get("/verify/secret-token?x=anna@customer.example")
        person.get("/settings/email/logs?open=msg_secret")
        person.post("/settings/email/logs/search", {"recipient": "anna@customer.example"})
        person.client.open("/nothing/anna@customer.example", method="BREW")
    lines = [Formatter().format(record) for record in caplog.records if record.name == "portal.request"]
    assert len(lines) == 4
    assert "rule=/verify/<token>" in lines[0] and "status=404" in lines[0]
    assert "rule=/settings/email/logs " in lines[1] and "status=404" in lines[1]
    for secret in ("secret", "anna", "@", "BREW"):
        assert not any(secret in line for line in lines)
