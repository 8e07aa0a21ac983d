"""Email logs in a browser: live, holding still while somebody reads, filters, searches, focus."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.site import Site, a_whole_poll, scroll_the_top_out_of_sight, until_any

pytestmark = pytest.mark.any_database  # tests/views asks both databases for the same pages


def open_log(site: Site, page: Page, shop: str, path: str = "/settings/email/logs") -> None:
    page.goto(site.launch_url(shop))
    page.goto(site.url + path)
    expect(page.get_by_role("heading", level=1)).to_have_text("Email logs")


def test_the_first_message_replaces_the_empty_state(site: Site, page: Page, shop: str, complaints: list[str]) -> None:
    open_log(site, page, shop)
    expect(page.locator("#log")).to_contain_text("No mail yet")
    site.send(shop, "Your order 1")
    expect(page.locator(".row")).to_have_count(1)
    expect(page.locator(".row")).to_contain_text("Accepted by the mail server")
    expect(page.locator("#log")).not_to_contain_text("No mail yet")


def test_new_rows_wait_while_somebody_reads(site: Site, page: Page, shop: str, complaints: list[str]) -> None:
    site.send(shop, "Your order 1")
    open_log(site, page, shop)
    link = page.get_by_role("link", name="Your order 1")
    expect(link).to_be_visible()
    link.focus()
    a_whole_poll(page)
    site.send(shop, "Your order 2")
    site.send(shop, "Your order 3")
    newer = page.get_by_role("link", name=re.compile("2 new messages"))
    expect(newer).to_be_visible()
    expect(page.locator(".row")).to_have_count(1)
    expect(link).to_be_focused()
    newer.click()
    expect(page.locator(".row")).to_have_count(3)
    expect(newer).to_have_count(0)


def test_what_waited_comes_in_once_the_reader_has_left_the_list(site: Site, page: Page, shop: str) -> None:
    site.send(shop, "Your order 1")
    open_log(site, page, shop)
    page.get_by_role("link", name="Your order 1").focus()
    a_whole_poll(page)
    site.send(shop, "Your order 2")
    expect(page.locator("#show-newer")).to_have_count(1)
    page.get_by_label("Recipient").focus()
    expect(page.locator(".row")).to_have_count(2)
    expect(page.locator("#show-newer")).to_have_count(0)


def test_new_rows_wait_while_the_reader_has_scrolled(site: Site, page: Page, shop: str) -> None:
    for number in range(20):
        site.send(shop, f"Your order {number}")
    open_log(site, page, shop)
    expect(page.locator(".row")).to_have_count(20)
    scroll_the_top_out_of_sight(page)
    before = page.locator(".row").first.get_attribute("id") or ""
    site.send(shop, "The newest")
    expect(page.locator("#show-newer")).to_have_count(1)
    expect(page.locator(".row").first).to_have_id(before)
    page.locator("#show-newer").click()
    expect(page.locator(".row").first).to_contain_text("The newest")


def test_a_filtered_list_stands_still_and_its_address_says_what_it_shows(site: Site, page: Page, shop: str) -> None:
    site.send(shop, "Your order 1")
    open_log(site, page, shop)
    page.get_by_label("Kind").focus()
    page.get_by_label("Kind").select_option("order_update")
    expect(page).to_have_url(f"{site.url}/settings/email/logs?kind=order_update")
    expect(page.get_by_label("Kind")).to_be_focused()
    expect(page.locator(".row")).to_have_count(1)
    site.send(shop, "Your order 2")
    expect(page.get_by_role("link", name="1 new message")).to_be_visible()
    expect(page.locator(".row")).to_have_count(1)
    page.get_by_role("link", name="1 new message").click()
    expect(page.locator(".row")).to_have_count(2)
    page.get_by_label("State").select_option("failed")
    expect(page.locator("#log")).to_contain_text("Nothing matches these filters")
    page.get_by_role("link", name="Clear filters").first.click()
    expect(page.locator(".row")).to_have_count(2)


def test_a_searched_recipient_never_gets_into_an_address(site: Site, page: Page, shop: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    site.send(shop, "For Anna", "anna@customer.example")
    site.send(shop, "For Ben", "ben@customer.example")
    open_log(site, page, shop)
    page.get_by_label("Recipient").fill("anna@customer.example")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".row")).to_have_count(1)
    page.locator(".row-link").click()
    expect(page.locator(".row-open")).to_contain_text("What happened")
    page.locator("summary").click()
    site.until_sent(site.send(shop, "Another for Anna", "anna@customer.example"))
    expect(page.get_by_role("button", name="1 new message")).to_be_visible()
    expect(page.locator("details")).to_have_attribute("open", "")
    page.get_by_label("State").select_option("sent")
    expect(page.locator(".row")).to_have_count(2)
    expect(page.get_by_label("Recipient")).to_have_value("anna@customer.example")
    assert not [url for url in asked if "anna" in url or "%40" in url]
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Email logs")


def test_an_open_row_is_in_the_address_and_survives_updates(site: Site, page: Page, shop: str) -> None:
    first = site.send(shop, "Your order 1")
    open_log(site, page, shop)
    page.get_by_role("link", name="Your order 1").click()
    expect(page).to_have_url(f"{site.url}/settings/email/logs?open={first}")
    details = page.locator("summary")
    details.click()
    expect(details).to_be_focused()
    page.get_by_label("Recipient").focus()
    site.send(shop, "Your order 2")
    expect(page.locator(".row")).to_have_count(2)
    expect(page.locator("details")).to_have_attribute("open", "")
    expect(page.get_by_label("Recipient")).to_be_focused()
    page.reload()
    expect(page.locator(".row-open")).to_contain_text("Your order 1")
    page.get_by_role("link", name="Your order 1").press("Enter")
    expect(page.locator(".row-open")).to_have_count(0)


def test_a_poll_that_was_under_way_does_not_close_what_the_reader_opened(site: Site, page: Page, shop: str) -> None:
    site.send(shop, "Your order 1")
    open_log(site, page, shop)
    held: list[Route] = []
    page.route("**/logs/rows**", lambda route: held.append(route))
    # Something new, so that the answer is a list and not "unchanged".
    site.send(shop, "Your order 2")
    until_any(page, held)
    page.get_by_role("link", name="Your order 1").click()
    expect(page.locator(".row-open")).to_have_count(1)
    page.route("**/logs/rows**", lambda route: route.continue_())
    with page.expect_response(lambda response: response.request == held[0].request) as answer:
        for route in held:
            route.continue_()
    assert answer.value.status == 200
    # The next poll's answer is shown: by then the one before would have been.
    with page.expect_response(lambda response: "open=" in (response.request.post_data or response.url)):
        pass
    expect(page.locator(".row-open")).to_contain_text("Your order 1")


def test_the_exact_time_shows_on_hover_and_on_keyboard_focus(site: Site, page: Page, shop: str) -> None:
    site.make_tenant(shop, timezone="Asia/Tokyo")
    site.send(shop, "Your order 1")
    open_log(site, page, shop)
    time = page.locator(".row time")
    shown = "getComputedStyle(document.querySelector('.row time'), '::after').content"
    assert page.evaluate(shown) == "none"
    time.hover()
    page.wait_for_function(f"{shown}.includes('2')")
    page.mouse.move(0, 0)
    page.wait_for_function(f"{shown} === 'none'")
    page.get_by_role("link", name="Your order 1").focus()
    page.wait_for_function(f"{shown}.includes('2')")
    assert re.search(r"JST|GMT\+9|Japan|\+09", time.get_attribute("title") or "")


def test_an_unchanged_log_answers_304_and_a_hidden_page_does_not_ask(site: Site, page: Page, shop: str) -> None:
    site.send(shop, "Your order 1")
    open_log(site, page, shop)
    expect(page.locator(".row")).to_contain_text("Accepted")
    poll = "htmx.trigger(document.getElementById('log'), 'every', {}, false)"
    with page.expect_response(lambda response: "/rows" in response.url and response.status == 304):
        pass
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    another = "fetch('/healthz').then(answer => answer.text())"
    page.evaluate(another)  # by then a poll that had begun before is known of
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(poll)
    page.evaluate(another)
    assert [url for url in asked if "/rows" in url] == []
    with page.expect_request(lambda request: "/rows" in request.url):
        page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")


def test_older_messages_are_a_page_away(site: Site, page: Page, shop: str) -> None:
    for number in range(30):
        site.send(shop, f"Your order {number}")
    open_log(site, page, shop)
    expect(page.locator(".row")).to_have_count(25)
    page.get_by_role("link", name="Older messages").click()
    expect(page.locator(".row")).to_have_count(5)
    expect(page).to_have_url(re.compile("before=msg_"))
    page.get_by_role("link", name="Newest messages").click()
    expect(page.locator(".row")).to_have_count(25)


def test_a_lost_connection_is_said_once_and_taken_back(site: Site, page: Page, shop: str) -> None:
    site.send(shop, "Your order 1")
    open_log(site, page, shop)
    page.route("**/rows*", lambda route: route.abort())
    notice = page.locator("#notices")
    expect(notice).to_contain_text("The connection is interrupted")
    expect(notice.locator(".notice")).to_have_count(1)
    page.unroute("**/rows*")
    expect(notice).not_to_contain_text("The connection is interrupted")


def test_a_servers_error_page_is_never_swapped_in(site: Site, page: Page, shop: str) -> None:
    page.goto(site.launch_url(shop))
    page.route("**/verification", lambda route: route.fulfill(status=502, body="<html><h1>Bad gateway</h1></html>"))
    page.get_by_label("Email address").fill("hello@basil-books.example")
    page.get_by_role("button", name="Send verification email").click()
    expect(page.locator("#notices [role=alert]")).to_contain_text("nothing was changed")
    expect(page.locator("#notices [role=alert]")).to_contain_text("help@marketplace.example")
    expect(page.locator("body")).not_to_contain_text("Bad gateway")
    expect(page.get_by_label("Email address")).to_have_value("hello@basil-books.example")
