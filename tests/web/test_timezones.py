"""A time of day is in its reader's zone, or names the zone it is in."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
import time_machine
from flask import Flask

from portal.services.accounts import tenants
from portal.web.i18n import TIMEZONE
from tests.support.person import Arrive, Person
from tests.views.log.test_export import rows
from tests.views.log.test_page import accept, states

LOG = "/settings/email/logs"
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)  # 13:00 in Berlin, 17:30 in Kolkata


@pytest.fixture(autouse=True)
def at_noon() -> object:
    with time_machine.travel(NOON, tick=False) as travelled:
        yield travelled


@pytest.fixture(autouse=True)
def waiting(app: Flask, at_noon: object) -> str:
    """A message that goes on at 12:05 UTC."""
    with app.app_context():
        tenants.upsert("acme", name="Acme Shop")
    return accept(app, "Order 1", state="deferred", reason="greylisted", due_at=NOON + timedelta(minutes=5))


def time_in(page: str) -> str:
    (state,) = states(page)
    return unescape(state).rpartition(" goes on at ")[2].replace("\u202f", " ")


def test_a_launch_says_where_its_reader_is(arrive: Arrive) -> None:
    assert time_in(arrive(timezone="Europe/Berlin").get(LOG).text) == "1:05 PM"


@pytest.mark.parametrize("unknown", ["Mars/Olympus", "../etc/passwd", "", "UTC\x00", 1, None, ["Europe/Berlin"]])
def test_a_zone_that_nobody_knows_is_as_none_and_the_time_names_its_own(arrive: Arrive, unknown: object) -> None:
    assert time_in(arrive(timezone=unknown).get(LOG).text) == "12:05 PM UTC"


def test_without_the_readers_zone_the_shops_is_named(app: Flask, arrive: Arrive) -> None:
    with app.app_context():
        tenants.upsert("acme", timezone="Europe/Berlin")
    german = arrive(locale="de").get(LOG).text
    assert "geht es um 13:05 MEZ weiter" in german or "13:05 MEZ" in german


def test_else_the_browser_says_it_with_each_request_of_htmx(person: Person) -> None:
    headers = {TIMEZONE: "Asia/Kolkata"}
    assert time_in(person.as_htmx("GET", f"{LOG}/rows", headers=headers).text) == "5:35 PM"
    assert time_in(person.as_htmx("GET", f"{LOG}/rows", headers={TIMEZONE: "Nowhere"}).text) == "12:05 PM UTC"


def test_what_a_launch_says_goes_before_the_browser(arrive: Arrive) -> None:
    person = arrive(timezone="Europe/Berlin")
    assert time_in(person.as_htmx("GET", LOG, headers={TIMEZONE: "Asia/Kolkata"}).text) == "1:05 PM"


def test_what_the_browser_said_once_holds_for_pages_that_it_loads_as_a_whole(person: Person) -> None:
    assert time_in(person.get(LOG).text) == "12:05 PM UTC"
    person.get(LOG, headers={TIMEZONE: "Asia/Kolkata"})
    assert time_in(person.get(LOG).text) == "5:35 PM"


def test_a_list_that_shows_another_zone_is_not_the_same(person: Person) -> None:
    shown = re.search(r'hx-ptag="([^"]+)"', person.get(LOG).text)
    assert shown
    headers = {"HX-PTag": shown[1]}
    assert person.as_htmx("GET", f"{LOG}/rows", headers=headers).status_code == 304
    answer = person.as_htmx("GET", f"{LOG}/rows", headers=headers | {TIMEZONE: "Asia/Kolkata"})
    assert (answer.status_code, time_in(answer.text)) == (200, "5:35 PM")


def test_a_file_has_the_readers_times_too(arrive: Arrive) -> None:
    person = arrive(timezone="Europe/Berlin")
    assert rows(person.get("/settings/email/logs.csv"))[0]["Accepted at"] == "2026-11-25T13:00:00+01:00"


def test_the_script_says_where_the_browser_is(person: Person) -> None:
    script = person.get(re.findall(r'src="([^"]*portal[^"]*\.js[^"]*)"', person.get(LOG).text)[0]).text
    assert f'headers["{TIMEZONE}"]' in script and "resolvedOptions().timeZone" in script
