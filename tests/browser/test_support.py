"""Support as a person does it: find a customer's message, see whose shop it is, and be seen by the shop."""

import re
import uuid

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import Site, another_page, without_cookies

pytestmark = pytest.mark.any_database  # tests/views asks both databases for the same pages

WORDS = {
    "en": {"bar": "Viewing Basil Books, read-only", "found": "1 message found", "back": "Back to the shops",
           "find": "Find the message", "happened": "What happened", "activity": "Activity", "message": "Message",
           "looked": "Looked at the shop as support", "logs": "Email logs"},
    "de": {"bar": "Ansicht von Basil Books, nur lesen", "found": "1 Nachricht gefunden", "back": "Zurück zu den Shops",
           "find": "Nachricht suchen", "happened": "Was geschah", "activity": "Aktivitäten", "message": "Nachricht",
           "looked": "Als Support in den Shop gesehen", "logs": "E-Mail-Protokolle"},
}  # fmt: skip


@pytest.fixture
def customer() -> str:
    return f"jo-{uuid.uuid4().hex[:8]}@customer.example"


@pytest.mark.parametrize("locale", ["en", "de"])
def test_support_finds_a_message_and_the_shop_reads_who_looked(
    site: Site, page: Page, shop: str, customer: str, browser: Browser, complaints: list[str], locale: str
) -> None:
    words = WORDS[locale]
    message = site.send(shop, "Order 17 was shipped", to=customer)
    site.mail_to(customer)
    staff = f"sam-{locale}@marketplace.example"
    page.goto(site.launch_url("", role="support", sub=staff, email=staff, name="Sam", locale=locale))
    expect(page).to_have_url(f"{site.url}/support")
    expect(page.locator(".viewing")).to_have_count(0)

    page.get_by_label(words["message"], exact=True).fill(customer.upper())
    page.get_by_role("button", name=words["find"]).click()
    expect(page.locator("#found")).to_have_text(words["found"])
    expect(page.locator("#found")).to_be_focused()
    assert customer.lower() not in page.url.lower()

    page.get_by_role("link", name="Order 17 was shipped").click()
    bar = page.get_by_role("complementary", name="Support")
    expect(bar.get_by_role("status")).to_have_text(words["bar"])
    opened = page.locator(f"#row-{message}")
    expect(opened).to_contain_text(words["happened"])
    expect(page.locator("[id^=send-again]")).to_have_count(0)

    # The log is live here as well, and the bar stays.
    site.send(shop, "Order 18 was shipped", to=customer)
    expect(page.locator("#log")).to_contain_text(re.compile("Order 18 was shipped|1 (new message|neue Nachricht)"))
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(bar).to_be_in_viewport()
    with another_page(page):
        page.get_by_role("link", name=words["activity"]).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(words["activity"])
    expect(bar).to_be_visible()
    page.get_by_role("link", name=words["back"]).click()
    expect(page).to_have_url(f"{site.url}/support")

    context = browser.new_context()
    admin = context.new_page()
    admin.goto(site.launch_url(shop, locale=locale))
    admin.get_by_role("link", name=words["activity"]).click()
    trail = admin.locator(".trail")
    expect(trail.locator("li", has_text=words["looked"]).first).to_contain_text(f"Sam <{staff}>")
    expect(trail).to_contain_text(message)
    expect(trail).to_contain_text(words["logs"])
    # The search, the log, the message, the trail.
    expect(trail.locator("li", has_text=words["looked"])).to_have_count(4)
    context.close()


def test_without_javascript_support_finds_a_shop(site: Site, shop: str, plain_page: Page) -> None:
    page = plain_page
    page.goto(site.launch_url("", role="support", sub="plain"))
    page.get_by_label("Shop", exact=True).fill(shop)
    page.get_by_role("button", name="Find the shop").click()
    page.get_by_role("link", name="Basil Books").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Email configuration")
    expect(page.locator(".viewing")).to_contain_text("read-only")


def test_support_works_in_a_frame_without_cookies(site: Site, page: Page, shop: str, customer: str) -> None:
    site.send(shop, "Order 19 was shipped", to=customer)
    without_cookies(page, site.url)
    page.goto(f"{site.host_url}?role=support&subject=framed")
    frame = page.frame_locator("iframe")
    expect(frame.locator("[data-htmx-powered]").first).to_be_attached()  # before that a click is a plain one
    frame.get_by_label("Message", exact=True).fill(customer)
    frame.get_by_role("button", name="Find the message").click()
    frame.get_by_role("link", name="Order 19 was shipped").click()
    expect(frame.locator(".viewing")).to_contain_text("Viewing Basil Books, read-only")
    expect(frame.locator(".row-open")).to_contain_text("What happened")
