"""Signing in without the dashboard, page by page."""

import re
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import func, select, text

from portal.extensions import db
from portal.models import Base, Message, SignInLink, User
from portal.services.accounts import login_links, people, tenants
from portal.web import session
from tests.support.figures import Figure
from tests.support.person import Arrive, Person
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain

ADDRESS = "admin@shop.example"
SETTINGS = "/settings/email"


def ask(app: Flask, client: FlaskClient, address: str = ADDRESS, language: str = "en") -> str:
    """Ask on the page, as if a worker then made the mail; returns the link's path."""
    answer = client.post("/sign-in", data={"address": address}, headers={"Accept-Language": language})
    assert answer.status_code == 200
    with app.app_context():
        link = db.session.get_one(SignInLink, db.session.scalar(select(func.max(SignInLink.id))))
        login_links.send(link.id)
        return f"/sign-in/{login_links._token(link)}"


def test_a_known_person_gets_in_and_stays_twelve_hours(app: Flask, client: FlaskClient, person: Person) -> None:
    link = ask(app, client)
    assert "Press the button" in client.get(link).text
    answer = client.post(link)
    assert (answer.status_code, answer.location) == (303, SETTINGS)
    page = client.get(SETTINGS)
    assert "Acme Shop" in page.text and "Sign out" in page.text
    assert "Sign out" not in person.get(SETTINGS).text.replace("Sign out everywhere", "")
    with time_machine.travel(time.time() + 11 * 3600, tick=False):
        assert client.get(SETTINGS).status_code == 200
    with time_machine.travel(time.time() + 24 * 3600, tick=False):
        assert client.get(SETTINGS).status_code == 401


def test_a_signed_in_page_cannot_be_framed(app: Flask, client: FlaskClient, person: Person) -> None:
    client.post(ask(app, client))
    assert "frame-ancestors 'none'" in client.get(SETTINGS).headers["Content-Security-Policy"]


def test_opening_the_link_does_nothing_without_cookie_or_script(
    app: Flask, client: FlaskClient, person: Person
) -> None:
    link = ask(app, client)
    for _ in range(50):
        for answer in (client.get(link), client.head(link)):
            assert answer.status_code == 200 and "Set-Cookie" not in answer.headers
    for page in (client.get(link), client.get("/sign-in")):
        assert "<script" not in page.text and "csrf_token" not in page.text
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert page.headers["Cache-Control"] == "no-store"
    assert client.post(link).status_code == 303


def test_a_used_link_says_so_and_lets_nobody_in(app: Flask, client: FlaskClient, person: Person) -> None:
    link = ask(app, client)
    client.post(link)
    other = app.test_client()
    for answer in (other.get(link), other.post(link)):
        assert answer.status_code == 410
        assert "This link has been used" in answer.text and 'href="/sign-in"' in answer.text
        assert not any(session.COOKIE in header for header in answer.headers.getlist("Set-Cookie"))


def test_an_old_link_says_so(app: Flask, client: FlaskClient, person: Person) -> None:
    link = ask(app, client)
    with time_machine.travel(time.time() + 16 * 60, tick=False):
        for answer in (client.get(link), client.post(link)):
            assert answer.status_code == 410
            assert "This link has expired" in answer.text and "Ask for a new link" in answer.text
    with time_machine.travel(time.time() + 3 * 24 * 3600, tick=False), app.app_context():
        db.session.query(SignInLink).delete()  # as the clock does after a day
        db.session.commit()
        assert "This link has expired" in client.get(link).text


@pytest.mark.parametrize("junk", ["x", "a.b.c", "%00", "x" * 3000])
def test_junk_is_a_page_that_says_what_to_do(client: FlaskClient, junk: str) -> None:
    for answer in (client.get(f"/sign-in/{junk}"), client.post(f"/sign-in/{junk}")):
        assert answer.status_code == 404
        assert "This link doesn't work" in answer.text and "help@marketplace.example" in answer.text


def test_a_token_of_another_purpose_is_junk(client: FlaskClient, person: Person) -> None:
    assert client.post(f"/sign-in/{person.bearer}").status_code == 404


def test_who_was_removed_reads_what_to_do(app: Flask, client: FlaskClient, person: Person, arrive: Arrive) -> None:
    arrive(email="second@shop.example")
    link = ask(app, client, "second@shop.example")
    with app.app_context():
        tenant = tenants.find("acme")
        assert tenant is not None
        by, second = people.everybody(tenant)
        people.remove(tenant, by, second.id)
    for answer in (client.get(link), client.post(link)):
        assert answer.status_code == 410 and "You no longer have access" in answer.text


def contents(redis: Redis, key: bytes) -> list[bytes]:
    """What a key holds; a job's call is packed by RQ."""
    kind = redis.type(key)
    if kind == b"hash":
        values: list[bytes] = list(redis.hgetall(key).values())
        return [zlib.decompress(value) if value[:1] == b"x" else value for value in values]
    readers: dict[bytes, Callable[[], Any]] = {
        b"string": lambda: [redis.get(key)],
        b"list": lambda: redis.lrange(key, 0, -1),
        b"set": lambda: redis.smembers(key),
        b"zset": lambda: redis.zrange(key, 0, -1),
        b"stream": lambda: redis.xrange(key),
        b"none": list,  # expired since it was listed
    }
    return list(readers[kind]())


@pytest.mark.security("used sign-in links and their sessions searched in HTML, logs, Redis, database")
def test_a_link_and_its_session_are_kept_nowhere(
    app: Flask, client: FlaskClient, person: Person, smtp: SMTPSink, options: dict[str, Any],
    caplog: pytest.LogCaptureFixture, figure: Figure,
) -> None:  # fmt: skip
    link = ask(app, client)
    token = link.rpartition("/")[2]
    with app.app_context():
        drain("interactive")
    assert token in smtp.received[-1].text, "the search is for what was mailed"
    pages = [client.head(link), client.post(link), client.get(link), client.get(SETTINGS), client.get("/sign-in/junk")]
    cookie = client.get_cookie(session.COOKIE)
    assert cookie is not None
    redis = Redis.from_url(options["redis_url"])
    with app.app_context():
        tables = [db.session.execute(text(f'SELECT * FROM "{t.name}"')).all() for t in Base.metadata.sorted_tables]
    places = {
        "pages": "".join(page.text for page in pages),
        "logs": "".join(str(vars(record)) + record.getMessage() for record in caplog.records),
        "Redis": "".join(repr((key, contents(redis, key))) for key in redis.scan_iter()),
        "database": str(tables),
    }
    assert (
        ADDRESS in places["database"] and "jobs.sign_in.send" in places["Redis"] and "portal.request" in places["logs"]
    )
    hits = [place for place, found in places.items() if token in found]
    hits += [place for place in ("logs", "Redis", "database") if cookie.value in places[place]]
    figure(f"a used sign-in link and its session searched in {', '.join(places)}: {len(hits)} hits")
    assert hits == []


def test_known_and_unknown_addresses_get_the_same_answer(app: Flask, client: FlaskClient, person: Person) -> None:
    known = client.post("/sign-in", data={"address": ADDRESS})
    unknown = client.post("/sign-in", data={"address": "nobody@shop.example"})
    assert known.status_code == unknown.status_code == 200
    assert known.text.replace(ADDRESS, "") == unknown.text.replace("nobody@shop.example", "")
    assert [h for h, _ in known.headers] == [h for h, _ in unknown.headers]
    with app.app_context():  # the request itself has made no mail: that is the worker's
        assert db.session.query(Message).count() == 0
        assert [link.address for link in db.session.query(SignInLink)] == [ADDRESS, "nobody@shop.example"]


def test_nonsense_is_refused_at_the_field_and_kept(client: FlaskClient) -> None:
    answer = client.post("/sign-in", data={"address": "no<address"})
    assert answer.status_code == 422
    assert "It needs the form name@domain" in answer.text and 'value="no&lt;address"' in answer.text


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        (
            "en",
            (
                "Look at the email that we sent to",
                "at 2:03\u202fPM UTC (4 minutes ago)",
                "at 2:18\u202fPM UTC (in 11 minutes)",
            ),
        ),
        ("de", ("Sehen Sie sich die E-Mail an", "vor 4 Minuten (14:03 UTC)", "in 11 Minuten anfordern (14:18 UTC)")),
    ],
)
def test_while_a_link_is_good_the_page_points_to_it_whether_anybody_has_the_address_or_nobody(
    client: FlaskClient, person: Person, language: str, sentences: tuple[str, ...]
) -> None:
    headers = {"Accept-Language": language}
    answers = []
    for address in (ADDRESS, "nobody@shop.example"):
        with time_machine.travel(datetime(2026, 11, 25, 14, 3, tzinfo=UTC), tick=False):
            assert client.post("/sign-in", data={"address": address}, headers=headers).status_code == 200
        with time_machine.travel(datetime(2026, 11, 25, 14, 7, tzinfo=UTC), tick=False):
            answer = client.post("/sign-in", data={"address": address}, headers=headers)
        assert answer.status_code == 429 and answer.headers["Retry-After"] == "660"
        answers.append((answer.text.replace(address, ""), [name for name, _ in answer.headers]))
    assert answers[0] == answers[1]
    for sentence in sentences:
        assert sentence in answers[0][0]


def test_whether_the_link_was_used_meanwhile_is_not_told(app: Flask, client: FlaskClient, person: Person) -> None:
    other, link = app.test_client(), ask(app, client)
    before = other.post("/sign-in", data={"address": ADDRESS})
    client.post(link)
    assert other.post("/sign-in", data={"address": ADDRESS}).text == before.text


def test_asking_from_one_place_is_limited_over_all_addresses(client: FlaskClient) -> None:
    answers = [client.post("/sign-in", data={"address": f"a{n}@shop.example"}).status_code for n in range(31)]
    assert answers == [200] * 30 + [429]
    elsewhere = client.post(
        "/sign-in", data={"address": "a@shop.example"}, environ_overrides={"REMOTE_ADDR": "192.0.2.7"}
    )
    assert elsewhere.status_code == 200


def test_another_site_can_press_neither_button(app: Flask, client: FlaskClient, person: Person) -> None:
    link = ask(app, client)
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site}
        assert client.post("/sign-in", data={"address": ADDRESS}, headers=headers).status_code == 403
        assert client.post(link, headers=headers).status_code == 403
    assert client.post(link, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_somebody_of_several_shops_chooses_one(app: Flask, client: FlaskClient, person: Person, arrive: Arrive) -> None:
    arrive("rival", tenant_name="Rival", role="viewer")
    link = ask(app, client)
    chooser = client.post(link)
    assert chooser.status_code == 200
    assert "Where do you want to go?" in chooser.text and "Acme Shop" in chooser.text and "Reader" in chooser.text
    assert "Acme Shop" not in client.get(link).text
    with app.app_context():
        rival = db.session.scalar(select(User.id).where(User.role == "viewer"))
    assert client.post(link, data={"user": 999}).status_code == 200  # asks again
    assert client.post(link, data={"user": rival}).status_code == 303
    assert "Rival" in client.get(SETTINGS).text


def test_staff_is_led_to_the_shops(app: Flask, client: FlaskClient, staff: FlaskClient) -> None:
    assert client.post(ask(app, client, "sam@marketplace.example")).location == "/support"


def test_signing_out_forgets_the_session_in_this_browser(app: Flask, client: FlaskClient, person: Person) -> None:
    client.post(ask(app, client))
    page = client.get(SETTINGS).text
    csrf = page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
    assert client.post("/sign-out").status_code == 400
    assert client.post("/sign-out", data={"csrf_token": csrf}).location == "/sign-in"
    assert client.get(SETTINGS).status_code == 401


def test_who_comes_without_a_session_is_shown_the_way(client: FlaskClient) -> None:
    assert 'href="/sign-in"' in client.get("/").text
    assert 'href="/sign-in"' in client.get(SETTINGS).text


def test_it_speaks_german(app: Flask, client: FlaskClient, person: Person) -> None:
    assert "Link senden" in client.get("/sign-in", headers={"Accept-Language": "de-AT"}).text
    link = ask(app, client, language="de")
    assert "Drücken Sie den Knopf" in client.get(link, headers={"Accept-Language": "en"}).text


def test_signing_out_ends_every_token_of_the_session_and_no_other(
    app: Flask, client: FlaskClient, person: Person
) -> None:
    client.post(ask(app, client))
    old = client.get_cookie(session.COOKIE)
    csrf = re.search(r'name="csrf_token" value="([^"]+)"', client.get(SETTINGS).text)
    assert old and csrf
    with time_machine.travel(time.time() + 120, tick=False):
        client.get(SETTINGS)
        renewed = client.get_cookie(session.COOKIE)
        assert renewed and renewed.value != old.value
        client.post("/sign-out", data={"csrf_token": csrf[1]})
        for kept in (old.value, renewed.value):
            for path in (SETTINGS, "/settings/email/sender"):
                headers = {"Authorization": f"Bearer {kept}"}
                assert app.test_client().get(path, headers=headers).status_code == 401
        assert person.get(SETTINGS).status_code == 200


def test_a_bearer_can_be_signed_out_too(person: Person) -> None:
    assert person.as_htmx("POST", "/sign-out").status_code == 303
    assert person.as_htmx("GET", SETTINGS).status_code == 401 and person.get(SETTINGS).status_code == 401


@pytest.mark.parametrize("around", ["\u200b", "\ufeff", "\u00a0", " \u2060"])
def test_what_nobody_sees_around_the_address_is_left_out(
    app: Flask, client: FlaskClient, person: Person, around: str
) -> None:
    assert "Press the button" in client.get(ask(app, client, f"{around}{ADDRESS}{around}")).text


def test_the_page_names_the_address_as_people_read_it(client: FlaskClient) -> None:
    answer = client.post("/sign-in", data={"address": "jo@xn--bcher-kva.example"})
    assert "jo@bücher.example" in answer.text and "xn--" not in answer.text
