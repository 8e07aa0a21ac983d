"""Arriving from the dashboard, and what is said when that doesn't work."""

import logging
import time

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from portal.services.accounts import launches
from tests.support.person import Arrive, Person


def token(app: Flask, **claims: object) -> str:
    with app.app_context():
        return launches.make_token("acme", **{"tenant_name": "Acme Shop"} | claims)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["posted", "in a frame"])
def test_a_launch_answers_with_the_settings_page_itself(app: Flask, client: FlaskClient, how: str) -> None:
    """A frame may get no cookie, so there is nothing that a redirect could find the session by."""
    if how == "posted":
        answer = client.post("/launch", data={"token": token(app)})
    else:
        answer = client.get("/launch", query_string={"token": token(app)}, headers={"Sec-Fetch-Dest": "iframe"})
    assert answer.status_code == 200 and "Email configuration" in answer.text
    assert '<meta name="portal-url" content="/settings/email">' in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("claims", "page", "address"),
    [
        ({}, "", "/settings/email"),
        ({}, "settings", "/settings/email"),
        ({}, "logs", "/settings/email/logs"),
        ({}, "//evil.example", "/settings/email"),
        ({"role": "support"}, "logs", "/support"),
    ],
)
def test_a_link_with_a_token_leads_to_a_page_whose_address_has_none(
    app: Flask, client: FlaskClient, claims: dict[str, str], page: str, address: str
) -> None:
    answer = client.get("/launch", query_string={"token": token(app, **claims), "page": page})
    assert (answer.status_code, answer.location) == (303, address)
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.get(address).status_code == 200


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", {}),
        ("GET", {"Sec-Purpose": "prefetch"}),
        ("GET", {"Sec-Purpose": "prefetch;prerender"}),
        ("GET", {"Purpose": "prefetch"}),
        ("GET", {"X-Purpose": "preview"}),
        ("GET", {"X-Moz": "prefetch"}),
    ],
)
def test_what_only_looks_ahead_uses_no_token_up(
    app: Flask, client: FlaskClient, method: str, headers: dict[str, str]
) -> None:
    once = {"token": token(app)}
    ahead = client.open("/launch", method=method, query_string=once, headers=headers)
    assert ahead.text == "" and "Set-Cookie" not in ahead.headers and ahead.location is None
    assert client.get("/launch", query_string=once).status_code == 303


def test_language_theme_and_parent_come_with_the_launch(arrive: Arrive) -> None:
    page = arrive(locale="de", theme="dark", parent="https://dashboard.example").landing.text
    assert '<html lang="de" dir="ltr" data-theme="dark">' in page
    assert '<meta name="portal-parent" content="https://dashboard.example">' in page


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"iat": -90, "exp": -31}, "that minute is over"),
        ({"iat": 600, "exp": 650}, "clocks"),
        ({"aud": "somebody-else"}, "incomplete or was changed"),
        ({"role": "owner"}, "a role that this service doesn&#39;t know"),
        ({"plan": "platinum"}, "a plan for your shop that this service doesn&#39;t know"),
    ],
)
def test_a_refused_launch_says_what_to_do_and_the_log_says_why(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture, claims: dict[str, object], sentence: str
) -> None:
    """Times are seconds from now."""
    moments = {name: int(time.time()) + value for name, value in claims.items() if isinstance(value, int)}
    with caplog.at_level(logging.WARNING, "portal.launch"):
        answer = client.post("/launch", data={"token": token(app, **(claims | moments))})
    assert answer.status_code == 401 and sentence in answer.text
    what_to_do = "tell your marketplace" if "doesn&#39;t know" in sentence else "open the email settings again"
    assert what_to_do in answer.text and "help@marketplace.example" in answer.text
    assert "launch refused" in caplog.text


def test_a_token_works_once(app: Flask, client: FlaskClient) -> None:
    once = token(app)
    assert client.post("/launch", data={"token": once}).status_code == 200
    again = client.post("/launch", data={"token": once})
    assert again.status_code == 401 and "used already" in again.text


@pytest.mark.parametrize("junk", ["", "a.b.c", "x" * 5000])
def test_junk_instead_of_a_token_is_refused_politely(client: FlaskClient, junk: str) -> None:
    answer = client.post("/launch", data={"token": junk})
    assert answer.status_code == 401 and "incomplete or was changed" in answer.text


def test_a_launch_wins_over_the_session_before_it(app: Flask, person: Person) -> None:
    with time_machine.travel(time.time() + 5 * 60):  # when the older session is due for renewal
        with app.app_context():
            other = launches.make_token("rival", tenant_name="Rival Shop")
        page = person.client.post("/launch", data={"token": other}).text
        assert "Rival Shop" in page
        assert "Rival Shop" in person.get("/settings/email").text
        assert "Acme Shop" not in person.get("/settings/email").text


def test_the_bare_address_leads_on_or_says_where_to_come_from(client: FlaskClient, person: Person) -> None:
    assert person.get("/").location == "/settings/email"
    stranger = client.get("/")
    assert stranger.status_code == 200 and "open this page from your dashboard" in stranger.text


def test_a_launch_opens_the_page_that_the_dashboard_asks_for(app: Flask, client: FlaskClient) -> None:
    """A menu entry of the dashboard can't be a link into the frame where no cookie reaches the server."""
    for page, title, address in (
        ("logs", "Email logs", "/settings/email/logs"),
        ("settings", "Email configuration", "/settings/email"),
        ("nothing", "Email configuration", "/settings/email"),
    ):
        landing = client.post("/launch", data={"token": token(app), "page": page}).text
        assert f'<h1 tabindex="-1">{title}</h1>' in landing
        assert f'<meta name="portal-url" content="{address}">' in landing
