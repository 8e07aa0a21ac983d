"""Times of day where the reader is: the browser's zone, also where no cookie gets through, and without JavaScript."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import update

from portal.extensions import db
from portal.models import Message
from tests.browser.site import Site, without_cookies

pytestmark = pytest.mark.any_database  # tests/views asks both databases for the same pages

PERIOD = timedelta(hours=3)


@pytest.fixture
def waiting(site: Site, shop: str) -> datetime:
    """When a message of the shop goes on: at a minute that Kolkata, half an hour off, has as another one."""
    until = (datetime.now(UTC) + PERIOD).replace(second=0, microsecond=0)
    number = site.send(shop, "Your order 1")
    site.until_sent(number)
    values = {"state": "deferred", "reason": "greylisted", "due_at": until, "finished_at": None}
    site.change(lambda: db.session.execute(update(Message).where(Message.public_id == number).values(**values)))
    return until


@pytest.mark.parametrize("cookies", [True, False])
def test_the_log_shows_them_in_the_browsers_zone_once_it_has_asked(
    site: Site, browser: Browser, shop: str, waiting: datetime, cookies: bool
) -> None:
    with browser.new_context(timezone_id="Asia/Kolkata", locale="de-DE") as context:
        page = context.new_page()
        if not cookies:
            without_cookies(page, site.url)
        page.goto("about:blank")
        page.set_content(
            f'<form method="post" action="{site.url}/launch"><input name="token" value="{site.token(shop)}">'
            '<input name="page" value="logs"><button>Open</button></form>'
        )
        page.get_by_role("button").click()
        there = waiting + timedelta(hours=5, minutes=30)
        expect(page.locator(".row-state")).to_contain_text(re.compile(rf"goes on at {there:%-I:%M}\s{there:%p}$"))


def test_without_javascript_they_name_their_zone(site: Site, browser: Browser, shop: str, waiting: datetime) -> None:
    with browser.new_context(timezone_id="Asia/Kolkata", java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(site.launch_url(shop))
        page.goto(f"{site.url}/settings/email/logs")
        expect(page.locator(".row-state")).to_contain_text(re.compile(rf"{waiting:%-I:%M}\s{waiting:%p} UTC$"))
