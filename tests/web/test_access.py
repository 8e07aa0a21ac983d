"""Who gets in: every route has a rule, a bearer decides alone, a change must come from our own pages."""

import re
import time
from dataclasses import replace

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import URLSafeSerializer
from werkzeug.routing import Rule

from portal.extensions import db
from portal.models import User
from portal.models.api_key import Scope
from portal.models.user import new_session_version
from portal.web import access, session
from tests.support.person import PARTIAL, Arrive, Person
from tests.support.settings import configure

SETTINGS = "/settings/email"


def path_of(rule: Rule) -> str:
    return re.sub(r"<int:\w+>", "1", rule.rule)


def test_every_route_has_a_declared_access_rule(app: Flask) -> None:
    with app.app_context():
        without = [rule.rule for rule in app.url_map.iter_rules() if access.declared(rule.endpoint) is None]
    assert without == []


def test_only_these_routes_are_public(app: Flask) -> None:
    """A list to be changed deliberately: what stands here needs no session."""
    with app.app_context():
        public = {r.rule for r in app.url_map.iter_rules() if access.declared(r.endpoint).rule == "public"}  # type: ignore[union-attr]
    assert public == {
        "/", "/launch", "/sign-in", "/sign-in/<token>", "/static/<path:filename>", "/verify/<token>",
        "/verify/<token>/resend", "/verify/<token>/take-back", "/healthz", "/readyz", "/api/v1/openapi.json",
        "/settings/users", "/settings/users/<path:rest>", "/settings/email/driver",
        "/settings/email/driver/<path:rest>",
    }  # fmt: skip


def test_a_view_without_a_rule_is_refused(app_to_change: Flask) -> None:
    app_to_change.add_url_rule("/forgotten", view_func=lambda: "secret", endpoint="forgotten")
    answer = app_to_change.test_client().get("/forgotten")
    assert answer.status_code == 403 and "secret" not in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),  # no browser of today
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "https://localhost"}, 303),  # a proxy that ends TLS and doesn't say so
        ({"Origin": "https://mail.marketplace.example"}, 303),  # one that rewrites Host: our own address still
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://localhost:8001"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 303),  # pages can't set Sec-Fetch-Site
    ],
)
def test_where_a_change_comes_from_is_told_by_sec_fetch_site_or_else_by_origin(
    app: Flask, person: Person, headers: dict[str, str], status: int
) -> None:
    configure(app, base_url="https://mail.marketplace.example")
    # In the form's body, as from the frame to a tab of its own: a bearer is no reason to look away.
    opened = app.test_client().post("/open", data={session.FIELD: person.bearer}, headers=headers)
    assert opened.status_code == status
    asked = app.test_client().post("/sign-in", data={"address": "a@b.example"}, headers=headers)
    assert (asked.status_code == 403) == (status == 403)


def test_an_unknown_rule_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match="no such access rule"):
        access.access("everybody")


def test_a_view_of_the_api_cannot_be_declared_without_a_scope() -> None:
    for rule, scope in (("api_key", None), ("admin", Scope.SEND)):
        with pytest.raises(ValueError, match="needs a scope"):
            access.access(rule, scope=scope)


def test_a_stranger_is_told_to_come_from_the_dashboard(client: FlaskClient) -> None:
    answer = client.get(SETTINGS)
    assert answer.status_code == 401 and "Please open this page from your dashboard" in answer.text
    assert "help@marketplace.example" in answer.text and "https://marketplace.example/tickets" in answer.text


def test_the_cookie_alone_opens_pages(person: Person) -> None:
    assert person.get(SETTINGS).status_code == 200
    cookie = person.client.get_cookie(session.COOKIE)
    assert cookie is not None
    assert cookie.secure and cookie.http_only and cookie.same_site == "None"
    assert any(
        session.COOKIE in header and "Partitioned" in header for header in person.landing.headers.getlist("Set-Cookie")
    )


def test_the_bearer_alone_opens_fragments(person: Person) -> None:
    assert person.as_htmx("GET", "/settings/email/sender").status_code == 200


@pytest.mark.parametrize("bearer", ["", "nonsense", "eyJ1IjoxfQ.AAAA"])
def test_a_bad_bearer_never_falls_back_to_the_cookie(person: Person, bearer: str) -> None:
    assert person.get(SETTINGS, headers={"Authorization": f"Bearer {bearer}"}).status_code == 401
    assert person.get(SETTINGS).status_code == 200


def test_an_altered_token_is_refused(person: Person) -> None:
    middle = len(person.bearer) // 3
    altered = person.bearer[:middle] + ("A" if person.bearer[middle] != "A" else "B") + person.bearer[middle + 1 :]
    assert person.get(SETTINGS, headers={"Authorization": f"Bearer {altered}"}).status_code == 401


def test_a_token_of_another_purpose_is_refused(app: Flask, person: Person) -> None:
    payload = URLSafeSerializer(app.secret_key or "", salt="portal.session").loads(person.bearer)
    other = URLSafeSerializer(app.secret_key or "", salt="sender-verification").dumps(payload)
    assert person.get(SETTINGS, headers={"Authorization": f"Bearer {other}"}).status_code == 401


def test_a_session_ends_after_half_an_hour_without_activity(person: Person) -> None:
    with time_machine.travel(time.time() + 31 * 60, tick=False):
        answer = person.get(SETTINGS)
        assert answer.status_code == 401 and "Your session has ended" in answer.text


def test_what_a_person_does_extends_the_session_and_a_poll_does_not(person: Person) -> None:
    with time_machine.travel(time.time() + 20 * 60, tick=False):
        for poll in ("/settings/email/sender", "/settings/email/logs/rows"):
            answer = person.as_htmx("GET", poll)
            assert answer.status_code == 200 and session.RENEWED not in answer.headers
            assert not any(session.COOKIE + "=" in header for header in answer.headers.getlist("Set-Cookie"))
        renewed = person.as_htmx("GET", "/settings/email/logs").headers[session.RENEWED]
    with time_machine.travel(time.time() + 40 * 60, tick=False):
        assert person.as_htmx("GET", "/settings/email/logs").status_code == 401
        assert (
            person.as_htmx("GET", "/settings/email/logs", headers={"Authorization": f"Bearer {renewed}"}).status_code
            == 200
        )


def test_a_removed_user_is_out_at_once(app: Flask, person: Person) -> None:
    with app.app_context():
        db.session.query(User).delete()
        db.session.commit()
    assert person.get(SETTINGS).status_code == 401


def test_a_new_session_version_ends_the_sessions_before_it(app: Flask, person: Person) -> None:
    with app.app_context():
        db.session.query(User).update({"session_version": new_session_version()})
        db.session.commit()
    for answer in (person.get(SETTINGS), person.as_htmx("GET", "/settings/email/sender"), person.get("/")):
        assert "Acme" not in answer.text
    assert "Your session has ended" in person.get(SETTINGS).text
    assert person.as_htmx("GET", "/settings/email/sender").status_code == 401


def test_who_gets_the_number_of_a_deleted_user_does_not_get_the_session(app: Flask, person: Person) -> None:
    with app.app_context():
        old = db.session.query(User).one()
        number, tenant_id = old.id, old.tenant_id
        db.session.delete(old)
        db.session.commit()
        db.session.add(User(id=number, tenant_id=tenant_id, subject="new", email="new@shop.example", role="admin"))
        db.session.commit()
    assert person.get(SETTINGS).status_code == 401


def test_a_new_role_holds_at_once(app: Flask, person: Person) -> None:
    with app.app_context():
        db.session.query(User).update({"role": "viewer"})
        db.session.commit()
    assert person.post("/settings/email/default").status_code == 403


def test_a_viewer_reads_everything_and_changes_nothing(app: Flask, arrive: Arrive) -> None:
    viewer = arrive(role="viewer")
    assert viewer.get(SETTINGS).status_code == 200
    assert viewer.get("/settings/email/logs").status_code == 200
    with app.app_context():
        rules = [r for r in app.url_map.iter_rules() if access.declared(r.endpoint).rule == "admin"]  # type: ignore[union-attr]
    assert len(rules) >= 5
    for rule in rules:
        for method in rule.methods - {"HEAD", "OPTIONS"}:  # type: ignore[operator]
            answer = viewer.as_htmx(method, path_of(rule))
            assert answer.status_code == 403, rule
            assert "administrator" in answer.text


def test_a_shops_person_is_no_staff_whatever_their_role_says(app: Flask, person: Person) -> None:
    with app.app_context():
        db.session.query(User).update({"role": "support"})
        db.session.commit()
    for path in ("/support", SETTINGS):
        assert person.get(path).status_code == 403


def test_staff_may_choose_a_language_and_sees_pages_that_know_no_shop(staff: FlaskClient) -> None:
    assert staff.post("/preferences/locale", data={"locale": "de"}).location == "/support"
    assert "Als Support" in staff.get("/settings/email").text
    assert staff.get("/nowhere").status_code == 404
    assert staff.get("/").location == "/support"


def test_by_cookie_a_change_needs_the_csrf_token(person: Person) -> None:
    answer = person.client.post("/settings/email/default")
    assert answer.status_code == 400 and "Reload the page" in answer.text
    assert person.client.post("/settings/email/default", data={"csrf_token": "made-up"}).status_code == 400
    assert person.post("/settings/email/default").status_code == 303


def test_a_csrf_token_of_another_browser_is_no_use(person: Person, arrive: Arrive) -> None:
    other = arrive(email="other@shop.example")
    assert person.client.post("/settings/email/default", data={"csrf_token": other.csrf}).status_code == 400


def test_every_change_is_protected(app: Flask, person: Person) -> None:
    with app.app_context():
        rules = [
            r
            for r in app.url_map.iter_rules()
            if access.declared(r.endpoint).rule in ("person", "viewer", "admin") and "POST" in r.methods
        ]  # type: ignore[union-attr,operator]
    assert len(rules) >= 8
    for rule in rules:
        assert person.client.post(path_of(rule)).status_code == 400, rule.rule


def test_a_form_posted_from_another_site_is_refused_even_with_a_token(person: Person) -> None:
    for site in ("cross-site", "same-site"):
        assert person.post("/settings/email/default", headers={"Sec-Fetch-Site": site}).status_code == 403
    assert person.post("/settings/email/default", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_a_bearer_needs_no_csrf_token(person: Person) -> None:
    assert person.as_htmx("POST", "/settings/email/default").status_code == 200


@pytest.mark.parametrize("number", [999_999, 2**70])
def test_an_id_of_nobody_answers_404_however_large(person: Person, number: int) -> None:
    """Those of another shop, in each path and form: tests/security/test_foreign_ids.py."""
    for verb in ("resend", "cancel", "use"):
        assert person.post(f"/settings/email/identities/{number}/{verb}").status_code == 404, verb
    for path in (f"/settings/people/{number}/remove", f"/settings/people/{number}/sign-out"):
        assert person.post(path).status_code == 404, path


def test_a_401_to_htmx_swaps_nothing_that_looks_like_the_page(client: FlaskClient) -> None:
    answer = client.get(SETTINGS, headers=PARTIAL | {"Authorization": "Bearer old"})
    assert answer.status_code == 401 and answer.headers["HX-Retarget"] == "#notices" and "<html" not in answer.text


def test_a_new_tab_gets_the_session_from_the_forms_body(app: Flask, person: Person) -> None:
    tab = app.test_client()
    answer = tab.post("/open", data={session.FIELD: person.bearer, "next": "/settings/email/logs"})
    assert answer.status_code == 303 and answer.location == "/settings/email/logs"
    assert tab.get("/settings/email/logs").status_code == 200


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/a\nb"])
def test_a_new_tab_never_leads_to_another_site(app: Flask, person: Person, elsewhere: str) -> None:
    answer = app.test_client().post("/open", data={session.FIELD: person.bearer, "next": elsewhere})
    assert answer.location == SETTINGS
    assert person.post("/preferences/locale", {"locale": "de", "next": elsewhere}).location == SETTINGS


def test_a_bad_token_in_the_forms_body_is_refused(person: Person) -> None:
    assert person.client.post("/open", data={session.FIELD: "nonsense", "csrf_token": person.csrf}).status_code == 401


@pytest.mark.parametrize("kind", ["launch", "sign-in"])
def test_a_session_ends_after_twelve_hours_however_active(app: Flask, person: Person, kind: str) -> None:
    with app.app_context():
        user = db.session.query(User).one()
        token = session.Session.of(user, "en", kind=kind).renewed().signed()
    client, began = app.test_client(use_cookies=False), time.time()
    for minutes in range(20, 12 * 60, 20):
        with time_machine.travel(began + minutes * 60, tick=False):
            answer = client.get(SETTINGS, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200
            token = answer.headers[session.RENEWED]
    with time_machine.travel(began + 12 * 3600 + 1, tick=False):
        assert client.get(SETTINGS, headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_token_of_before_sessions_had_ids_is_not_taken(app: Flask, person: Person) -> None:
    with app.app_context():
        token = replace(session.Session.of(db.session.query(User).one(), "en").renewed(), id="").signed()
    answer = app.test_client().get(SETTINGS, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401 and "Your session has ended" in answer.text


def test_a_launch_that_says_viewer_takes_the_right_from_a_running_session(arrive: Arrive) -> None:
    admin = arrive(role="admin", sub="17", email="jo@shop.example")
    arrive(role="viewer", sub="17", email="jo@shop.example")
    assert admin.post("/settings/email/default").status_code == 403
    assert admin.get(SETTINGS).status_code == 200


def test_a_session_of_another_id_ends_when_its_address_is_somebody_elses(arrive: Arrive) -> None:
    """It may be another human being, who would work with the right of the new one."""
    before = arrive(role="viewer", sub="17", email="office@shop.example")
    after = arrive(role="admin", sub="18", email="Office@shop.example")
    assert before.get(SETTINGS).status_code == 401 and after.get(SETTINGS).status_code == 200
