"""What can be done from the log: sending a message again, and taking the log along as a file."""

import csv
import io
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import update

from portal.extensions import db
from portal.models import Message, utcnow
from tests.browser.site import Site, held_back, without_cookies
from tests.browser.test_frame import open_frame
from tests.browser.test_log_page import open_log

pytestmark = pytest.mark.any_database  # tests/views asks both databases for the same pages


def end(site: Site, public_id: str, state: str) -> None:
    """As if it had come to this end, once its mail is out: a worker that is at it would write down another."""
    site.until_sent(public_id)

    def write() -> None:
        row = update(Message).where(Message.public_id == public_id)
        db.session.execute(row.values(state=state, reason=None, finished_at=utcnow()))

    site.change(write)


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))


def test_it_is_sent_again_once_asked(site: Site, page: Page, shop: str, address: str, complaints: list[str]) -> None:
    message = site.send(shop, "Your order 1", address)
    site.mail_to(address)
    open_log(site, page, shop)
    expect(page.locator(".row")).to_contain_text("Accepted by the mail server")
    end(site, message, "unconfirmed")
    page.get_by_role("link", name="Your order 1").click()
    page.get_by_role("link", name="Send again").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Send this message again?")
    expect(page.locator("main")).to_contain_text(address)
    expect(page.locator("main")).to_contain_text("may get this message twice")
    with held_back(page, "**/send-again"):
        page.get_by_role("button", name="Send again").dblclick()
    expect(page.get_by_role("status")).to_contain_text("No second copy")  # what the second one brings
    expect(page.locator(".row")).to_have_count(2)
    expect(page.locator(".row-open")).to_contain_text("The first message")
    expect(page.locator(".row-open")).to_contain_text("Accepted by the mail server")
    page.locator(".row-open").get_by_role("link", name="The first message").click()
    expect(page.locator(".row-open")).to_contain_text("Sent again as a new message by")
    assert len(site.mail_to(address, 2)) == 2


def test_back_to_the_question_and_again_makes_no_second_copy_by_itself(site: Site, page: Page, shop: str) -> None:
    message = site.send(shop, "Your order 1")
    open_log(site, page, shop)
    expect(page.locator(".row")).to_contain_text("Accepted by the mail server")
    end(site, message, "failed")
    page.goto(f"{site.url}/settings/email/logs/{message}/send-again")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".row")).to_have_count(2)
    expect(page).to_have_url(re.compile("/settings/email/logs[?]open="))
    expect(page.locator(".row-open")).to_contain_text("Accepted by the mail server")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Send this message again?")
    expect(page.locator("main")).to_contain_text("It was sent again before")
    page.get_by_role("link", name="Don't send").click()
    expect(page.locator(".row")).to_have_count(2)


def test_without_javascript_it_is_sent_again_all_the_same(site: Site, plain_page: Page, shop: str) -> None:
    page = plain_page
    message = site.send(shop, "Your order 1")
    end(site, message, "failed")
    page.goto(site.launch_url(shop))
    page.goto(f"{site.url}/settings/email/logs?open={message}")
    page.get_by_role("link", name="Send again").click()
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("status")).to_contain_text("is being sent again")
    expect(page.locator(".row")).to_have_count(2)
    page.goto(f"{site.url}/settings/email/logs?state=failed")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    assert [row["Message number"] for row in rows(download.value.path())] == [message]


def test_the_log_downloads_in_the_frame_with_every_cookie_blocked(site: Site, page: Page, shop: str) -> None:
    site.send(shop, "For Anna", "anna@customer.example")
    site.send(shop, "For Ben", "ben@customer.example")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    without_cookies(page, site.url)
    frame = open_frame(site, page, shop)
    page.context.clear_cookies()
    frame.get_by_role("link", name="Email logs").click()
    expect(frame.locator(".row")).to_have_count(2)
    with page.expect_download() as download:
        frame.get_by_role("button", name="Download as CSV").click()
    assert [row["Subject"] for row in rows(download.value.path())] == ["For Ben", "For Anna"]
    assert download.value.suggested_filename.endswith(".csv")
    frame.get_by_label("Recipient").fill("anna@customer.example")
    frame.get_by_role("button", name="Search").click()
    expect(frame.locator(".row")).to_have_count(1)
    with page.expect_download() as download:
        frame.get_by_role("button", name="Download as CSV").click()
    assert [row["Subject"] for row in rows(download.value.path())] == ["For Anna"]
    assert not [url for url in asked if "anna" in url or "%40" in url]
    expect(frame.locator(".row")).to_have_count(1)  # the page is still there
