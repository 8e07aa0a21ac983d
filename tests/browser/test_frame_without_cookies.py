"""Every journey in the frame while no cookie reaches the server and none reaches the browser."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect
from sqlalchemy import update

from portal.extensions import db
from portal.models import MailCount, Message, utcnow
from tests.browser.site import Site, WithoutCookies, another_page, dashboard, serve
from tests.browser.test_driver import fill, pass_a_test
from tests.support.figures import Figure

pytestmark = pytest.mark.any_database  # tests/views asks both databases for the same pages


@dataclass
class Walk:
    """One person's frame; each journey goes on where the one before it ended."""

    site: Site  # as the frame sees it: without cookies
    page: Page
    frame: FrameLocator
    shop: str
    address: str

    def button(self, name: str) -> None:
        self.frame.get_by_role("button", name=name, exact=True).first.click()

    def tab(self, name: str) -> None:
        with another_page(self.frame):
            self.frame.get_by_role("navigation").get_by_role("link", name=name).click()
        expect(self.frame.get_by_role("heading", level=1)).to_have_text(name)

    def says(self, place: str, words: str) -> None:
        expect(self.frame.locator(place).first).to_contain_text(re.compile(words))

    def ask_for(self, address: str) -> None:
        self.frame.get_by_label("Email address", exact=True).fill(address)
        self.button("Send verification email")
        self.says("#sender", "Waiting for confirmation")


def verify_an_address(walk: Walk) -> None:
    walk.ask_for(walk.address)
    elsewhere = walk.page.context.new_page()
    elsewhere.goto(walk.site.link_to(walk.address))
    elsewhere.get_by_role("button", name="Verify email").click()
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text("Confirmed. Thank you!")
    elsewhere.close()
    walk.page.bring_to_front()
    walk.says("#sender", walk.address)
    walk.says("#notices", "Confirmed. From now on")


def go_back_to_the_default(walk: Walk) -> None:
    walk.frame.locator("#use-default").click()
    walk.says("#sender", "notifications@marketplace.example")


def use_an_earlier_address(walk: Walk) -> None:
    walk.button("Use this address")
    walk.says("#sender", walk.address)


def ask_resend_and_cancel(walk: Walk) -> None:
    other = walk.address.replace("hello-", "other-")
    walk.ask_for(other)
    walk.site.mail_to(other)
    walk.site.change(lambda: db.session.execute(update(MailCount).values(at=utcnow().replace(year=2020))))
    walk.tab("Email logs")
    walk.tab("Email configuration")
    walk.button("Resend verification")
    walk.says("#notices", "We sent a new email")
    assert len(walk.site.mail_to(other, 2)) == 2
    walk.button("Cancel the change")
    walk.says("#notices", "The change was cancelled")


def be_told_what_is_wrong(walk: Walk) -> None:
    walk.frame.get_by_label("Email address", exact=True).fill("nonsense@@")
    walk.button("Send verification email")
    walk.says("[role=alert]", "This is not an email address|once")


def set_up_an_own_mail_service(walk: Walk) -> None:
    walk.frame.get_by_role("link", name="Set up your own mail service").click()
    walk.frame.get_by_text("Other SMTP server").first.click()
    expect(walk.frame.locator("#host")).to_have_value("")
    fill(walk.frame, walk.site.service, "wrong")
    walk.button("Send test email")
    walk.says("#test-result", "The test failed")
    pass_a_test(walk.frame, walk.site.service)
    walk.button("Save")
    walk.says("#notices", "Saved. From now on all your mail")


def pause_and_resume_it(walk: Walk) -> None:
    with another_page(walk.frame):
        walk.button("Pause")
    walk.says("#driver", "Paused by an administrator")
    with another_page(walk.frame):
        walk.button("Resume")
    walk.says("#driver", "Working")


def remove_it(walk: Walk) -> None:
    walk.frame.locator("#remove-driver").click()
    walk.button("Remove it")
    walk.says("#notices", "Your mail service was removed")


def watch_the_log(walk: Walk) -> None:
    walk.tab("Email logs")
    walk.site.send(walk.shop, "Your order 7")
    row = walk.frame.locator(".row", has_text="Your order 7")
    expect(row).to_contain_text("Accepted by the mail server")
    row.get_by_role("link", name="Your order 7").click()
    expect(row).to_contain_text("What happened")


def send_a_message_again(walk: Walk) -> None:
    def end() -> None:
        ended = update(Message).where(Message.subject == "Your order 7").values(state="failed", finished_at=utcnow())
        db.session.execute(ended)

    walk.site.change(end)
    walk.frame.get_by_role("link", name="Send again").click()
    walk.button("Send again")
    walk.says("[role=status]", "is being sent again")


def filter_search_and_clear(walk: Walk) -> None:
    walk.tab("Email logs")
    walk.frame.get_by_label("State").select_option("failed")
    walk.says(".clear", "Clear filters")
    walk.says("#log", "Your order 7")
    walk.frame.get_by_label("Recipient").fill("nobody@customer.example")
    walk.button("Search")
    walk.says("#log", "Nothing matches")
    walk.frame.get_by_role("link", name="Clear filters").first.click()
    walk.says("#log", "Your order 7")


def download_the_log(walk: Walk) -> None:
    with walk.page.expect_download() as download:
        walk.button("Download as CSV")
    assert "Your order 7" in download.value.path().read_text("utf-8-sig")


def read_and_download_the_activity(walk: Walk) -> None:
    walk.tab("Activity")
    walk.says("main", walk.address)
    with walk.page.expect_download() as download:
        walk.button("Download as CSV")
    assert walk.address in download.value.path().read_text("utf-8-sig")


def invite_and_remove_somebody(walk: Walk) -> None:
    walk.tab("People")
    invited = f"invited-{walk.address}"
    for typed, then in (("nonsense", "#address-error"), (invited, "#notices [role=status]")):
        walk.frame.locator("#address").fill(typed)
        walk.button("Send the invitation")
        expect(walk.frame.locator(then)).to_be_visible()
    walk.frame.get_by_role("button", name=re.compile(f"Make an administrator.*{invited}")).click()
    walk.says("#notices", "Saved")
    walk.frame.get_by_role("link", name=re.compile(f"Remove.*{invited}")).click()
    walk.button("Remove")
    walk.says("#notices", "Removed")
    expect(walk.frame.locator(".people > li")).to_have_count(1)


def be_launched_anew(walk: Walk) -> None:
    with another_page(walk.frame):
        walk.page.evaluate("start()")
    is_ready(walk)


def is_ready(walk: Walk) -> None:
    expect(walk.frame.get_by_role("heading", level=1)).to_have_text("Email configuration")
    expect(walk.frame.locator("[data-htmx-powered]").first).to_be_attached()  # before that a click is a plain one


def sign_out_everywhere_and_be_launched_anew(walk: Walk) -> None:
    walk.tab("People")
    walk.frame.get_by_role("button", name="Sign out everywhere").click()
    walk.says("#notices", "Your session has ended")
    walk.page.wait_for_function("window.messages.some((m) => m.type === 'portal:session-ended')")
    be_launched_anew(walk)


def change_the_language_and_back(walk: Walk) -> None:
    walk.tab("Email configuration")
    walk.button("Deutsch")
    expect(walk.frame.get_by_role("heading", level=1)).to_have_text("E-Mail-Konfiguration")
    walk.button("English")
    expect(walk.frame.get_by_role("heading", level=1)).to_have_text("Email configuration")


def go_back_and_forward(walk: Walk) -> None:
    walk.tab("Email logs")
    walk.page.evaluate("history.back()")
    expect(walk.frame.get_by_role("heading", level=1)).to_have_text("Email configuration")
    walk.page.evaluate("history.forward()")
    expect(walk.frame.get_by_role("heading", level=1)).to_have_text("Email logs")


def end_and_be_launched_anew(walk: Walk) -> None:
    be_launched_anew(walk)
    go_back_to_the_default(walk)


JOURNEYS: list[Callable[[Walk], None]] = [
    be_told_what_is_wrong, verify_an_address, go_back_to_the_default, use_an_earlier_address, ask_resend_and_cancel,
    set_up_an_own_mail_service, pause_and_resume_it, remove_it, watch_the_log, send_a_message_again,
    filter_search_and_clear, download_the_log, read_and_download_the_activity, invite_and_remove_somebody,
    sign_out_everywhere_and_be_launched_anew, change_the_language_and_back, go_back_and_forward,
    end_and_be_launched_anew,
]  # fmt: skip


@pytest.fixture
def stripped(site: Site) -> Iterator[tuple[Site, WithoutCookies]]:
    """The same portal by an address whose every request and answer loses its cookies."""
    way = WithoutCookies(site.app)
    with serve(way) as url:
        other = Site(site.app, url, site.smtp)
        other.service = site.service
        with dashboard(other) as other.host_url:
            yield other, way


@pytest.mark.security("all journeys in the frame, Set-Cookie and Cookie stripped on the way")
def test_every_journey_works_without_any_cookie(
    stripped: tuple[Site, WithoutCookies], browser: Browser, shop: str, address: str, figure: Figure
) -> None:
    site, way = stripped
    # Mailed links lead to the portal's own address; a cookie has no part in them either.
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    page.goto(f"{site.host_url}?tenant={shop}")
    walk = Walk(site, page, page.frame_locator("iframe"), shop, address)
    is_ready(walk)
    done: list[str] = []
    try:
        for journey in JOURNEYS:
            journey(walk)
            done.append(journey.__name__)
    finally:
        figure(f"{len(done)} of {len(JOURNEYS)} journeys, {way.requests} requests, {way.cookies} cookies arrived")
        stored: list[Any] = [cookie for cookie in context.cookies() if cookie["domain"] == "localhost"]
        context.close()
    assert not stored, "the browser was given none"
    assert way.requests > 40, "the walk went this way"
