"""A refusal inside the frame: the dashboard may show it, hears of it, and the person gets on from there."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from portal.models import utcnow
from portal.services.accounts import launches, tenants, users
from portal.views.sender import page as sender_page
from portal.web import access
from portal.web import session as sessions
from tests.support.person import Arrive, Person
from tests.support.settings import configure

DASHBOARD = "https://dashboard.example"
ENDED = '<meta name="portal-ended"'  # portal.js asks for a new launch
A_DAY = timedelta(days=1)  # longer than any session
AGAIN = "data-open-again"  # the button that does the same


@pytest.fixture
def framed(arrive: Arrive) -> Person:
    return arrive(parent=DASHBOARD)


def is_heard(answer: TestResponse) -> bool:
    """Whether the dashboard can show the page and is told its height, by the script that does that."""
    return (
        f"frame-ancestors {DASHBOARD}" in answer.headers["Content-Security-Policy"]
        and f'<meta name="portal-parent" content="{DASHBOARD}">' in answer.text
        and "/portal.js" in answer.text
    )


def test_a_page_that_is_refused_leads_back_to_the_settings(framed: Person) -> None:
    for answer, status in (
        (framed.get("/nothing"), 404),
        (framed.get("/settings/email/default"), 405),
        (framed.get("/settings/email/identities/999999/remove"), 404),
        (framed.client.post("/settings/email/default", data={"csrf_token": "wrong"}), 400),
        (framed.post("/settings/email/default", headers={"Origin": "https://evil.example"}), 403),
        (framed.get("/support"), 403),
        (framed.post("/settings/email/verification", {"address": "x" * 50_000, "display_name": "x" * 50_001}), 413),
        (framed.post("/settings/email/verification", {"address": "x" * 600_000}), 413),
    ):
        assert answer.status_code == status, answer.request.path
        assert is_heard(answer) and 'href="/settings/email"' in answer.text, answer.request.path


def test_too_many_attempts_lead_back_to_the_settings(app: Flask, framed: Person) -> None:
    configure(app, verification_rate="1/hour")
    form = {"address": "sales@acme.example", "display_name": "Acme"}
    framed.post("/settings/email/verification", form)
    answer = framed.post("/settings/email/verification", form)
    assert answer.status_code == 429 and is_heard(answer) and 'href="/settings/email"' in answer.text


def test_a_defect_of_ours_leads_back_to_the_settings(
    app: Flask, framed: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)

    def breaks(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(sender_page, "sender_settings", breaks)
    answer = framed.get("/settings/email")
    assert answer.status_code == 500 and is_heard(answer) and 'href="/settings/email"' in answer.text


def test_a_database_that_does_not_answer_is_said_in_the_frame(
    app: Flask, framed: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)

    def is_away(*_: Any) -> None:
        raise OperationalError("", None, Exception())

    monkeypatch.setattr(access.users, "glance", is_away)
    for path in ("/settings/email", "/nothing"):
        answer = framed.get(path)
        assert answer.status_code == 500 and is_heard(answer) and AGAIN in answer.text


def out(person: Person) -> TestResponse:
    """The person as the dashboard knows them: any page."""
    return person.get("/settings/email/logs")


def expire(framed: Person) -> TestResponse:
    with time_machine.travel(utcnow() + A_DAY):
        return out(framed)


def sign_out_everywhere(framed: Person) -> TestResponse:
    with framed.app.app_context():
        users.end_session(sessions.read(framed.bearer).id, utcnow() + A_DAY)
    return out(framed)


def suspend(framed: Person) -> TestResponse:
    with framed.app.app_context():
        tenants.upsert("acme", state="suspended")
    return out(framed)


@pytest.mark.parametrize("end", [expire, sign_out_everywhere, suspend])
def test_a_session_that_is_over_asks_the_dashboard_for_a_launch(
    framed: Person, end: Callable[[Person], TestResponse]
) -> None:
    answer = end(framed)
    assert answer.status_code == 401 and is_heard(answer)
    assert ENDED in answer.text and AGAIN in answer.text
    assert 'href="/sign-in" target="_blank"' in answer.text  # the way on without a script


def test_an_unknown_page_after_the_sessions_end_is_said_in_the_frame_too(framed: Person) -> None:
    with time_machine.travel(utcnow() + A_DAY):
        for path in ("/nothing", "/"):
            answer = framed.get(path)
            assert is_heard(answer) and AGAIN in answer.text


def test_a_fragment_after_the_sessions_end_is_refused_so_that_the_page_says_it(framed: Person) -> None:
    """portal.js answers a 401 by the words that are in the page, a button and the message to the dashboard."""
    assert (
        AGAIN in framed.landing.text.partition('<template data-message="session-ended">')[2].partition("</template>")[0]
    )
    with time_machine.travel(utcnow() + A_DAY):
        assert framed.as_htmx("GET", "/settings/email/sender").status_code == 401


@pytest.mark.parametrize("refused", ["used", "expired", "suspended", "role", "too often"])
def test_a_refused_launch_can_be_asked_for_again_and_does_not_ask_by_itself(
    app: Flask, arrive: Arrive, refused: str
) -> None:
    client = arrive(parent=DASHBOARD).app.test_client()
    claims = {"expired": {"iat": 1, "exp": 2}, "role": {"role": "emperor"}}.get(refused, {})
    with app.app_context():
        token = launches.make_token("acme", **{"parent": DASHBOARD} | claims)
        if refused == "suspended":
            tenants.upsert("acme", state="suspended")
    if refused == "used":
        client.post("/launch", data={"token": token})
    if refused == "too often":
        configure(app, launch_rate="1/hour")
        client.post("/launch", data={"token": "x"})
    answer = client.post("/launch", data={"token": token})
    assert answer.status_code == (429 if refused == "too often" else 401)
    assert is_heard(answer) and AGAIN in answer.text and ENDED not in answer.text


def test_a_parent_that_is_not_on_the_shops_list_sees_no_page_of_a_session_that_holds(
    app: Flask, arrive: Arrive
) -> None:
    person = arrive(parent=DASHBOARD)
    with app.app_context():
        tenants.upsert("acme", frame_ancestors=["https://other.example"])
    for path in ("/settings/email", "/nothing", "/support"):
        answer = person.get(path)
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "portal-parent" not in answer.text


def test_outside_of_a_frame_a_refusal_needs_no_script(app: Flask) -> None:
    for path in ("/nothing", "/settings/email", "/"):
        answer = app.test_client().get(path)
        assert "<script" not in answer.text and AGAIN not in answer.text and "href=" in answer.text
