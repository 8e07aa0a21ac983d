"""What browsers are told to refuse."""

import time

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from portal.services.accounts import launches, tenants
from tests.support.person import Arrive, Person
from tests.support.settings import configure

DASHBOARD = "https://dashboard.example"


def policy(headers: object) -> dict[str, str]:
    parts = headers["Content-Security-Policy"].split(";")  # type: ignore[index]
    return {name: value for name, _, value in (part.strip().partition(" ") for part in parts)}


def test_nothing_inline_and_nothing_from_elsewhere(person: Person) -> None:
    found = policy(person.landing.headers)
    assert found["default-src"] == found["form-action"] == "'self'"
    assert found["base-uri"] == found["object-src"] == "'none'"
    assert "unsafe" not in str(found)
    assert person.landing.headers["Referrer-Policy"] == "same-origin"
    assert person.landing.headers["X-Content-Type-Options"] == "nosniff"


def test_the_pages_obey_their_own_policy(person: Person) -> None:
    for path in ("/settings/email", "/settings/email/logs", "/verify/x", "/nothing"):
        page = person.get(path).text
        for forbidden in ("<style", " style=", "onclick=", "hx-on", "javascript:", "<script>"):
            assert forbidden not in page, (path, forbidden)


def test_the_signed_parent_may_frame_a_tenant_without_a_list(arrive: Arrive) -> None:
    assert policy(arrive(parent=DASHBOARD).landing.headers)["frame-ancestors"] == DASHBOARD


def test_without_a_parent_only_the_tenants_list_may_frame(app: Flask, arrive: Arrive, person: Person) -> None:
    assert policy(person.landing.headers)["frame-ancestors"] == "'none'"
    with app.app_context():
        tenants.upsert("acme", frame_ancestors=[DASHBOARD, "https://other.example"])
    listed = f"{DASHBOARD} https://other.example"
    assert policy(arrive().landing.headers)["frame-ancestors"] == listed
    assert policy(arrive(tenant="another").landing.headers)["frame-ancestors"] == "'none'"


@pytest.mark.parametrize(("listed", "expected"), [([DASHBOARD], DASHBOARD), (["https://other.example"], "'none'")])
def test_a_tenants_list_decides(app: Flask, arrive: Arrive, listed: list[str], expected: str) -> None:
    with app.app_context():
        tenants.upsert("acme", name="Acme Shop", frame_ancestors=listed)
    person = arrive(parent=DASHBOARD)
    assert policy(person.landing.headers)["frame-ancestors"] == expected
    assert policy(person.get("/settings/email/logs").headers)["frame-ancestors"] == expected
    assert policy(person.as_htmx("GET", "/settings/email/sender").headers)["frame-ancestors"] == expected


@pytest.mark.parametrize("path", ["/", "/verify/x", "/healthz"])
def test_public_pages_cannot_be_framed(client: FlaskClient, path: str) -> None:
    assert policy(client.get(path).headers)["frame-ancestors"] == "'none'"


def test_a_refusal_can_be_framed_only_by_the_parent_that_the_platform_signed(app: Flask, client: FlaskClient) -> None:
    for answer in (client.get("/settings/email"), client.post("/launch", data={"token": "x"})):
        assert policy(answer.headers)["frame-ancestors"] == "'none'"
    with app.app_context():
        token = launches.make_token("acme", parent=DASHBOARD)
    assert client.post("/launch", data={"token": token}).status_code == 200
    again = client.post("/launch", data={"token": token})
    assert again.status_code == 401 and policy(again.headers)["frame-ancestors"] == DASHBOARD
    assert "<form" not in again.text and again.text.count("<button") == again.text.count("data-open-again") == 1


def test_a_session_that_has_expired_says_so_in_its_own_parents_frame(arrive: Arrive, client: FlaskClient) -> None:
    person = arrive(parent=DASHBOARD)
    with time_machine.travel(time.time() + 31 * 60):
        ended = person.as_htmx("GET", "/settings/email")
    assert ended.status_code == 401 and policy(ended.headers)["frame-ancestors"] == DASHBOARD


def test_pages_are_never_stored(person: Person, client: FlaskClient) -> None:
    assert person.get("/settings/email").headers["Cache-Control"] == "no-store"
    assert client.get("/verify/x").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("seconds", "base", "told"),
    [
        (0, "https://localhost", None),
        (63072000, "http://localhost", None),  # RFC 6797, 7.2
        (63072000, "https://localhost", "max-age=63072000"),
    ],
)
def test_browsers_are_told_to_stay_with_https_where_the_operator_says_so(
    app: Flask, client: FlaskClient, seconds: int, base: str, told: str | None
) -> None:
    configure(app, hsts_seconds=seconds)
    for path in ("/", "/settings/email", "/nowhere", "/api/v1/messages"):
        assert client.get(path, base_url=base).headers.get("Strict-Transport-Security") == told
