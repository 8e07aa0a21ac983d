"""Email logs: filters, pages, timelines, words."""

import re
import time
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from babel import dates
from flask import Flask
from sqlalchemy import select, update

from portal.extensions import db
from portal.models import Lane, LogEntry, Message, Refusal, Tenant, utcnow
from portal.models.log import Event
from portal.models.message import STATES
from portal.services.accounts import tenants
from portal.services.outbox import accept as outbox
from portal.transport.smtp.replies import ACTIONS
from portal.views.log import page as logs
from portal.views.log import texts as log_texts
from tests.support.person import Arrive, Person
from tests.support.statements import recorded

LOG = "/settings/email/logs"


def accept(
    app: Flask, subject: str, to: str = "carla@customer.example", kind: str = "order_update", **values: Any
) -> str:
    with app.app_context():
        tenant = tenants.upsert("acme")[0]
        message = outbox.accept(tenant, kind=kind, to=to, subject=subject, text="x")
        for name, value in values.items():
            setattr(message, name, value)
        db.session.commit()
        return message.public_id


def subjects(page: str) -> list[str]:
    return re.findall(r'class="row-link"[^>]*>\s*([^<]+?)\s*</(?:a|button)>', page)


def test_a_row_says_when_to_whom_what_and_what_became_of_it(app: Flask, person: Person) -> None:
    accept(app, "Your order 7", state="sent", sender="Acme <hello@acme.example>")
    page = person.get(LOG).text
    for part in (
        "Your order 7",
        "carla@customer.example",
        "Order update",
        "Acme &lt;hello@acme.example&gt;",
        "Accepted by the mail server",
    ):
        assert part in page
    assert re.search(r'<time datetime="[^"]+" title="[^"]+"', page)


def test_nothing_yet_and_nothing_found_are_two_texts(app: Flask, person: Person) -> None:
    assert "No mail yet" in person.get(LOG).text
    accept(app, "Your order 7")
    found = person.get(f"{LOG}?state=failed").text
    assert "Nothing matches these filters" in found and "Clear filters" in found and "No mail yet" not in found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=sent", ["B"]),
        ("kind=customer_message", ["C"]),
        ("period=1h", ["C", "B", "A"]),
        ("state=sent&kind=customer_message", []),
    ],
)
def test_filters_live_in_the_address(app: Flask, person: Person, query: str, expected: list[str]) -> None:
    accept(app, "A")
    accept(app, "B", state="sent")
    accept(app, "C", kind="customer_message")
    page = person.get(f"{LOG}?{query}").text
    assert subjects(page) == expected


@pytest.mark.parametrize("query", ["state=nope", "kind=<script>", "period=1y", "state=sent&period=forever"])
def test_an_unknown_filter_is_a_sentence_and_no_crash(person: Person, query: str) -> None:
    for answer in (
        person.get(f"{LOG}?{query}"),
        person.as_htmx("GET", f"{LOG}?{query}"),
        person.get(f"{LOG}/rows?{query}"),
    ):
        assert answer.status_code == 400 and "This filter doesn&#39;t exist" in answer.text
        assert "help@marketplace.example" in answer.text and "<script>" not in answer.text.replace("<script src=", "")


def test_an_unknown_message_is_a_sentence(person: Person) -> None:
    answer = person.get(f"{LOG}?open=msg_unknown")
    assert answer.status_code == 404 and "isn&#39;t in your log" in answer.text


def test_a_recipient_is_searched_by_post_and_stays_out_of_addresses(app: Flask, person: Person) -> None:
    accept(app, "For Anna", "anna@customer.example")
    accept(app, "For Ben", "ben@customer.example")
    page = person.post(f"{LOG}/search", {"recipient": "anna@customer.example"}).text
    assert subjects(page) == ["For Anna"]
    for address in re.findall(r'(?:href|action|hx-get|hx-post)="([^"]*)"', page):
        assert "anna" not in address
    assert person.get(f"{LOG}/search").location == LOG
    assert person.post(f"{LOG}/search", {"recipient": " ", "state": "sent"}).location == f"{LOG}?state=sent"
    # An address in a link of somebody else's making is not searched for.
    assert len(subjects(person.get(f"{LOG}?recipient=anna@customer.example").text)) == 2


def test_no_address_of_the_log_ever_holds_a_recipient(app: Flask) -> None:
    with app.test_request_context():
        assert logs.View(recipient="anna@customer.example", state="sent").url == f"{LOG}?state=sent"


@pytest.mark.parametrize("text", ["x" * 50_000, "%" * 30_000, "a@" * 25_000])
def test_a_search_longer_than_any_address_finds_nothing(app: Flask, person: Person, text: str) -> None:
    accept(app, "For Anna", "anna@customer.example")
    page = person.post(f"{LOG}/search", {"recipient": text})
    assert page.status_code == 200 and subjects(page.text) == [] and len(page.text) < 40_000


def test_a_reference_is_shown_and_found_exactly(app: Flask, person: Person) -> None:
    accept(app, "First", reference="A-1001")
    accept(app, "Second", reference="A-10015")
    page = person.post(f"{LOG}/search", {"recipient": " A-1001 "}).text
    assert subjects(page) == ["First"] and "A-1001" in person.get(LOG).text


def test_what_is_scheduled_says_for_when(app: Flask, person: Person) -> None:
    at = utcnow() + timedelta(days=3)
    accept(app, "Reminder", send_at=at, due_at=at)
    assert "Scheduled for" in person.get(LOG).text


def test_a_search_keeps_the_filters_and_its_rows_open(app: Flask, person: Person) -> None:
    opened = accept(app, "For Anna", "anna@customer.example", state="sent")
    accept(app, "Also for Anna", "anna@customer.example")
    page = person.post(f"{LOG}/search", {"recipient": "ANNA@customer.example", "state": "sent", "open": opened}).text
    assert subjects(page) == ["For Anna"]
    assert "What happened" in page


def test_pages_go_by_key(app: Flask, person: Person) -> None:
    for number in range(27):
        accept(app, f"Order {number}")
    first = person.get(LOG).text
    assert len(subjects(first)) == 25
    older = re.search(r'href="([^"]*before=[^"]*)"', first)
    assert older
    second = person.get(older.group(1)).text
    assert subjects(second) == ["Order 1", "Order 0"]
    assert "Newest messages" in second


def test_the_timeline_tells_what_happened_with_the_servers_words(app: Flask, person: Person) -> None:
    opened = accept(app, "Your order 7", state="failed", reason="unknown_recipient")
    with app.app_context():
        message = db.session.query(Message).filter_by(public_id=opened).one()
        db.session.add(
            LogEntry(
                tenant_id=message.tenant_id,
                message_id=message.id,
                event="failed",
                reason="unknown_recipient",
                code=550,
                text="5.1.1 No <b>such</b> user",
                sender="Acme <a@acme.example>",
            )
        )
        db.session.commit()
    page = person.get(f"{LOG}?open={opened}").text
    assert "Taken into the outbox" in page and "The message could not be sent: this address does not exist" in page
    assert "550 5.1.1 No &lt;b&gt;such&lt;/b&gt; user" in page
    assert f"Message number for support: {opened}" in page


@pytest.mark.parametrize(("locale", "ago"), [("en", "2 hours ago"), ("de", "vor 2 Stunden")])
def test_the_timeline_tells_how_long_ago_and_the_exact_time_to_those_who_go_there(
    app: Flask, arrive: Arrive, locale: str, ago: str
) -> None:
    person = arrive(locale=locale)
    opened = accept(app, "Your order 7")
    with app.app_context():
        db.session.execute(update(LogEntry).values(at=utcnow() - timedelta(hours=2)))
        db.session.commit()
    timeline = person.get(f"{LOG}?open={opened}").text.partition('class="timeline"')[2]
    assert re.search(rf'<time datetime="[^"]+" title="([^"]+)" data-exact="\1" tabindex="0">{ago}</time>', timeline)


def test_a_message_that_is_not_on_this_page_is_shown_above_it(app: Flask, person: Person) -> None:
    opened = accept(app, "The old one")
    for number in range(26):
        accept(app, f"Order {number}")
    page = person.get(f"{LOG}?open={opened}").text
    assert "The message you opened" in page
    assert subjects(page)[0] == "The old one"


def test_the_poll_answers_304_until_the_log_or_the_clock_moves(app: Flask, person: Person) -> None:
    accept(app, "Order 1")
    with time_machine.travel(time.time(), tick=False):  # so that the quarter of a minute is the same for both
        shown = re.search(r'hx-ptag="([^"]+)"', person.get(LOG).text)
        assert shown
        unchanged = person.as_htmx("GET", f"{LOG}/rows", headers={"HX-PTag": shown.group(1)})
    assert unchanged.status_code == 304 and unchanged.text == ""
    accept(app, "Order 2")
    changed = person.as_htmx("GET", f"{LOG}/rows", headers={"HX-PTag": shown.group(1)})
    assert subjects(changed.text) == ["Order 2", "Order 1"] and changed.headers["HX-PTag"] != shown.group(1)


def states(page: str) -> list[str]:
    return [unescape(text) for text in re.findall(r'class="row-state [^>]*>.*?<span>([^<]*)</span>', page, re.S)]


def time_of_day(at: datetime) -> str:
    """As the page says it to a reader whose zone nobody has named."""
    return f"{dates.format_time(at, 'short', locale='en')} UTC"


def make_wait(app: Flask, route: str, reason: str | None, seconds: float) -> str:
    """Have the route's lane wait; returns the time of day that the page shows for it."""
    with app.app_context():
        lane = db.session.scalars(select(Lane).where(Lane.route == route)).first() or Lane(route=route)
        until = utcnow() + timedelta(seconds=seconds)
        lane.not_before, lane.reason = until, reason
        db.session.add(lane)
        db.session.commit()
        return time_of_day(until)


@pytest.mark.parametrize("opened", [False, True])
def test_mail_whose_route_has_to_wait_says_why_and_until_when(app: Flask, person: Person, opened: bool) -> None:
    number = accept(app, "Order 1", route="driver:7")
    accept(app, "Order 2", route="driver:8")
    accept(app, "Order 3", route="driver:7", state="sent")
    at = make_wait(app, "driver:7", "quota_daily", 7200)
    page = person.get(f"{LOG}?open={number}" if opened else LOG).text
    assert states(page) == [
        "Accepted by the mail server",
        "Waiting to be sent",
        f"Waiting: the mail account's daily limit is reached, goes on at {at}",
    ]


def test_it_is_said_in_german_too(app: Flask, arrive: Arrive) -> None:
    person = arrive(locale="de")
    accept(app, "Order 1", route="driver:7")
    make_wait(app, "driver:7", "quota_daily", 7200)
    (text,) = states(person.get(LOG).text)
    assert text.startswith("Wartet: ") and "Tageslimit" in text and "weiter um" in text


REFUSING = "Waiting: your marketplace's mail server isn't accepting email at the moment, goes on at {at}"
UNREACHABLE = "Waiting: the mail server can't be reached at the moment, goes on at {at}"


@pytest.mark.parametrize(
    ("route", "reason", "seconds", "expected"),
    [
        ("driver:7", "rate_limited", 30, "Waiting to be sent"),  # only its pace
        ("driver:7", "rate_limited", 900, "Waiting: too many messages in a short time, goes on at {at}"),
        ("driver:7", "service_unavailable", 30, UNREACHABLE),
        ("driver:7", "quota_daily", -1, "Waiting to be sent"),  # over
        ("relay", "service_unavailable", 300, UNREACHABLE),
        ("relay", "bad_credentials", 300, "Waiting: goes on at {at}"),  # the platform's, not the shop's
        ("relay", "unknown", 300, REFUSING),
        ("interactive", "quota_daily", 3600, REFUSING),
    ],
)
def test_how_much_is_said_of_a_wait(
    app: Flask, person: Person, route: str, reason: str, seconds: float, expected: str
) -> None:
    accept(app, "Order 1", route=route)
    at = make_wait(app, route, reason, seconds)
    assert states(person.get(LOG).text) == [expected.format(at=at)]


def test_mail_of_a_shop_that_the_relay_refuses_alone_says_why(app: Flask, person: Person) -> None:
    accept(app, "Order 1")
    with app.app_context():
        message = db.session.scalars(select(Message)).one()
        until = utcnow() + timedelta(seconds=300)
        about = {"route": "relay", "tenant_id": message.tenant_id, "message_id": message.id, "reason": "rate_limited"}
        db.session.add(Refusal(**about, at=utcnow(), since=utcnow(), not_before=until))
        db.session.commit()
    at = time_of_day(until)
    (state,) = states(person.get(LOG).text)
    assert state == f"Waiting: too many messages in a short time, goes on at {at}"


def test_mail_that_was_set_aside_says_so_in_words(app: Flask, arrive: Arrive) -> None:
    person = arrive()
    accept(app, "Order 1", state="held", reason="set_aside", held_at=utcnow())
    assert "we set it aside; your marketplace's support is looking at it" in unescape(person.get(LOG).text)
    assert "Der Versand wurde mehrmals unterbrochen" in arrive(locale="de").get(LOG).text


def test_mail_tried_again_sooner_than_its_route_may_send_says_the_later_time(app: Flask, person: Person) -> None:
    accept(app, "Order 1", route="driver:7", state="deferred", reason="greylisted", due_at=utcnow())
    at = make_wait(app, "driver:7", "quota_daily", 7200)
    assert states(person.get(LOG).text) == [f"Waiting: the recipient's server asked to try later, goes on at {at}"]


def test_a_wait_comes_and_goes_by_the_poll_which_asks_no_more_for_it(app: Flask, person: Person) -> None:
    accept(app, "Order 1", route="driver:7")
    start = int(time.time()) // logs.SLOT * logs.SLOT

    def poll(seconds: int, tag: str = "") -> Any:
        with time_machine.travel(start + seconds, tick=False):
            return person.as_htmx("GET", f"{LOG}/rows", headers={"HX-PTag": tag})

    first = poll(0)
    make_wait(app, "driver:7", "quota_daily", 7200)
    with app.app_context(), recorded() as asked:
        assert poll(logs.SLOT - 1, first.headers["HX-PTag"]).status_code == 304
    assert len(asked) == 1
    waiting = poll(logs.SLOT, first.headers["HX-PTag"])
    assert states(waiting.text)[0].startswith("Waiting: the mail account's daily limit is reached")
    make_wait(app, "driver:7", None, -1)
    assert states(poll(2 * logs.SLOT, waiting.headers["HX-PTag"]).text) == ["Waiting to be sent"]


def test_rows_that_came_later_wait_behind_a_button(app: Flask, person: Person) -> None:
    newest = accept(app, "Order 1")
    accept(app, "Order 2")
    held = person.as_htmx("GET", f"{LOG}/rows?until={newest}").text
    assert subjects(held) == ["Order 1"]
    assert "1 new message" in held
    accept(app, "Order 3")
    assert "2 new messages" in person.as_htmx("GET", f"{LOG}/rows?until={newest}").text


def test_page_and_poll_render_the_same_rows(app: Flask, person: Person) -> None:
    accept(app, "Order 1")
    page = person.get(LOG).text
    rows = person.as_htmx("GET", f"{LOG}/rows").text
    assert re.sub(r"\s+", " ", rows).strip() in re.sub(r"\s+", " ", page)


def test_every_state_event_and_reason_has_words(app: Flask) -> None:
    with app.test_request_context():
        assert set(log_texts.STATES) == set(log_texts.TONES) == set(STATES)
        message = Message(ambiguous=0, due_at=utcnow())
        for state in STATES:
            message.state = state
            assert log_texts.state(message) not in ("", state)
        for event in Event:
            assert log_texts.event(LogEntry(event=event)) not in ("", event)
        ours = {"expired", "interrupted", "no_longer_wanted", "withdrawn", "withdrawn_late"}
        silent = {reason for reason in (set(ACTIONS) | ours) - {"unknown"} if not log_texts.reason(reason)}
        assert silent == set()


def test_nothing_that_was_only_accepted_is_called_delivered(app: Flask, person: Person) -> None:
    for state in STATES:
        accept(app, state, state=state)
    assert "deliver" not in person.get(LOG).text.lower()


def test_times_are_the_tenants(app: Flask, person: Person) -> None:
    with app.app_context():
        tenants.upsert("acme", name="Acme Shop", timezone="Asia/Tokyo")
    accept(app, "Order 1")
    assert re.search(r'title="[^"]*(JST|GMT\+9|\+0900|Japan)[^"]*"', person.get(LOG).text)


def test_another_tenants_rows_never_show(app: Flask, person: Person) -> None:
    with app.app_context():
        rival: Tenant = tenants.upsert("rival", name="Rival")[0]
        outbox.accept(rival, kind="order_update", to="x@y.example", subject="Not yours", text="x")
    for page in (
        person.get(LOG),
        person.as_htmx("GET", f"{LOG}/rows"),
        person.post(f"{LOG}/search", {"recipient": "x@y.example"}),
    ):
        assert "Not yours" not in page.text
