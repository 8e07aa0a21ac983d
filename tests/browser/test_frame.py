"""In the dashboard's frame on another site: the session, the height, tabs of their own, Back, the session's end."""

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from portal.models import utcnow
from portal.web import session as sessions
from tests.browser.site import Site, scroll_the_top_out_of_sight, without_cookies

pytestmark = pytest.mark.any_database  # tests/views asks both databases for the same pages


def open_frame(site: Site, page: Page, shop: str, **claims: str) -> Any:
    query = "".join(f"&{name}={value}" for name, value in claims.items())
    page.goto(f"{site.host_url}?tenant={shop}{query}")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", level=1)).to_be_visible()
    expect(frame.locator("[data-htmx-powered]").first).to_be_attached()  # before that a click is a plain one
    return frame


def height_of(page: Page) -> int:
    return page.evaluate("parseInt(document.querySelector('iframe').style.height)")


def test_the_frame_is_as_high_as_its_content(site: Site, page: Page, shop: str, complaints: list[str]) -> None:
    frame = open_frame(site, page, shop)
    page.wait_for_function("parseInt(document.querySelector('iframe').style.height) > 600")
    inner = page.frames[1]
    inner.wait_for_function("document.documentElement.scrollHeight <= innerHeight")
    inner.wait_for_load_state()
    tall = height_of(page)
    frame.get_by_role("link", name="Email logs").click()
    page.wait_for_function(f"parseInt(document.querySelector('iframe').style.height) < {tall}")
    assert page.evaluate("origin => window.messages.every(m => m.origin === origin)", site.url)


def test_a_page_of_another_origin_cannot_frame_a_tenants_pages(site: Site, page: Page, shop: str) -> None:
    site.make_tenant(shop, frame_ancestors=["https://dashboard.example"])
    with page.expect_event("requestfailed", lambda request: "/launch" in request.url) as refused:
        page.goto(f"{site.host_url}?tenant={shop}")
    assert "BLOCKED_BY_RESPONSE" in (refused.value.failure or "")


def test_back_and_forward_work_and_a_reload_keeps_the_session(site: Site, page: Page, shop: str) -> None:
    frame = open_frame(site, page, shop)
    frame.get_by_role("link", name="Email logs").click()
    expect(frame.get_by_role("heading", level=1)).to_have_text("Email logs")
    page.evaluate("history.back()")
    expect(frame.get_by_role("heading", level=1)).to_have_text("Email configuration")
    page.evaluate("history.forward()")
    expect(frame.get_by_role("heading", level=1)).to_have_text("Email logs")
    with page.frames[1].expect_navigation():
        page.frames[1].evaluate("location.reload()")
    expect(frame.get_by_role("heading", level=1)).to_have_text("Email logs")


def test_with_every_cookie_blocked_the_page_still_works(site: Site, page: Page, shop: str, address: str) -> None:
    without_cookies(page, site.url)
    frame = open_frame(site, page, shop)
    page.context.clear_cookies()
    frame.get_by_label("Email address").fill(address)
    frame.get_by_role("button", name="Send verification email").click()
    expect(frame.locator("#sender")).to_contain_text(address)
    frame.get_by_role("link", name="Email logs").click()
    expect(frame.locator(".row")).to_have_count(1)
    frame.get_by_role("button", name="Deutsch").click()
    expect(frame.get_by_role("heading", level=1)).to_have_text("E-Mail-Protokolle")


def test_a_new_tab_takes_the_session_along(site: Site, page: Page, shop: str) -> None:
    frame = open_frame(site, page, shop)
    frame.get_by_role("link", name="Email logs").click()
    expect(frame.get_by_role("heading", level=1)).to_have_text("Email logs")
    with page.context.expect_page() as opened:
        frame.get_by_role("button", name="Open in a new tab").click()
    expect(opened.value.get_by_role("heading", level=1)).to_have_text("Email logs")
    expect(opened.value).to_have_url(f"{site.url}/settings/email/logs")
    expect(opened.value.get_by_role("button", name="Open in a new tab")).to_be_hidden()


def test_when_the_session_ends_the_page_says_so_and_asks_its_parent(
    site: Site, page: Page, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = open_frame(site, page, shop)
    frame.get_by_label("Email address").fill("hello@basil-books.example")

    def refuse() -> None:
        raise sessions.SessionRefused("expired")

    monkeypatch.setattr(sessions, "presented", refuse)
    frame.get_by_role("button", name="Send verification email").click()
    expect(frame.locator("#notices [role=alert]")).to_contain_text("Your session has ended")
    expect(frame.locator("#notices [role=alert]")).to_be_focused()
    expect(frame.get_by_label("Email address")).to_have_value("hello@basil-books.example")
    page.wait_for_function("window.messages.some(m => m.type === 'portal:session-ended')")
    monkeypatch.undo()
    # The dashboard launches anew, and the page goes on in the same frame.
    page.evaluate("start()")
    expect(frame.get_by_label("Email address")).to_have_value("")
    expect(frame.locator("#notices [role=alert]")).to_have_count(0)


def test_a_used_launch_says_what_to_do_inside_the_frame(site: Site, page: Page, shop: str) -> None:
    url = site.launch_url(shop, parent=site.host_url.rstrip("/"))
    page.goto(url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Email configuration")
    page.goto(site.host_url + f"?tenant={shop}")
    expect(page.frame_locator("iframe").get_by_role("heading", level=1)).to_be_visible()
    page.evaluate(f"document.querySelector('iframe').src = '{url}'")
    refused = page.frame_locator("iframe").locator("main")
    expect(refused).to_contain_text("it has been used already")
    expect(refused).to_contain_text("open the email settings again")
    expect(refused).to_contain_text("help@marketplace.example")


def test_a_used_launch_has_its_height_and_is_opened_again_by_a_button(site: Site, page: Page, shop: str) -> None:
    url = site.launch_url(shop, parent=site.host_url.rstrip("/"))
    page.goto(url)
    page.goto(site.host_url + f"?tenant={shop}")
    expect(page.frame_locator("iframe").get_by_role("heading", level=1)).to_have_text("Email configuration")
    page.evaluate("document.querySelector('iframe').style.height = '5000px'; window.messages = []")
    page.evaluate(f"document.querySelector('iframe').src = '{url}'")
    frame = page.frame_locator("iframe")
    expect(frame.locator("main")).to_contain_text("it has been used already")
    page.wait_for_function("parseInt(document.querySelector('iframe').style.height) < 900")
    assert not page.evaluate("window.messages.some(m => m.type === 'portal:session-ended')")
    frame.get_by_role("button", name="Open again").click()
    page.wait_for_function("window.messages.some(m => m.type === 'portal:session-ended')")


def test_a_page_that_comes_after_the_sessions_end_asks_its_parent(
    site: Site, page: Page, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_frame(site, page, shop)
    page.evaluate("window.messages = []")
    with monkeypatch.context() as patched, page.frames[1].expect_navigation():
        patched.setattr(sessions, "utcnow", lambda: utcnow() + timedelta(days=1))
        page.frames[1].evaluate("location.reload()")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", level=1)).to_have_text("Your session has ended")
    page.wait_for_function("window.messages.some(m => m.type === 'portal:session-ended')")
    page.wait_for_function("window.messages.some(m => m.type === 'portal:height')")
    page.evaluate("start()")
    expect(frame.get_by_role("heading", level=1)).to_have_text("Email configuration")


def test_a_proxys_refusal_is_said_in_words_and_its_page_never_shown(site: Site, page: Page, shop: str) -> None:
    frame = open_frame(site, page, shop)
    frame.get_by_label("Email address").fill("hello@basil-books.example")
    page.route(
        "**/settings/email/verification",
        lambda route: route.fulfill(status=413, content_type="text/html", body="<h1>Request Entity Too Large</h1>"),
    )
    frame.get_by_role("button", name="Send verification email").click()
    expect(frame.locator("#notices [role=alert]")).to_contain_text("That didn't work, and nothing was changed")
    expect(frame.get_by_role("heading", level=1)).to_have_text("Email configuration")
    expect(frame.get_by_label("Email address")).to_have_value("hello@basil-books.example")


def test_theme_and_language_come_from_the_launch(site: Site, page: Page, shop: str) -> None:
    frame = open_frame(site, page, shop, theme="dark", locale="de")
    expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    expect(frame.locator("html")).to_have_attribute("lang", "de")
    expect(frame.locator("html")).to_have_css("background-color", re.compile(r"rgb\(1\d, 2\d, 2\d\)"))


def test_new_rows_wait_while_the_dashboard_around_the_frame_is_scrolled(site: Site, page: Page, shop: str) -> None:
    for number in range(20):
        site.send(shop, f"Your order {number}")
    frame = open_frame(site, page, shop)
    frame.get_by_role("link", name="Email logs").click()
    expect(frame.locator(".row")).to_have_count(20)
    page.wait_for_function(
        "parseInt(document.querySelector('iframe').style.height) > 1600"
    )  # the log's: the settings page is 1,300 high
    scroll_the_top_out_of_sight(page, page.frames[1])
    site.send(shop, "The newest")
    expect(frame.locator("#show-newer")).to_have_count(1)
    expect(frame.locator(".row").first).not_to_contain_text("The newest")
    frame.locator("#show-newer").click()
    expect(frame.locator(".row").first).to_contain_text("The newest")
