"""An address is given back in a browser: by a stranger who got the mail, and by the shop itself."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.services.accounts import tenants
from tests.browser.axe import violations
from tests.browser.site import Site, another_page

pytestmark = pytest.mark.any_database  # tests/views asks both databases for the same pages

FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.mark.parametrize(
    ("locale", "width", "words"),
    [
        ("en", 360, ("I didn't ask for this", "This shop can't use your address")),
        ("de", 1280, ("Das habe ich nicht angefordert", "Dieser Shop kann Ihre Adresse nicht verwenden")),
    ],
)
def test_a_stranger_takes_back_what_somebody_confirmed_and_the_open_page_follows(
    site: Site, page: Page, browser: Browser, shop: str, address: str, locale: str, width: int, words: tuple[str, str]
) -> None:
    site.change(lambda: tenants.upsert(shop, locale=locale) and None)
    page.goto(site.launch_url(shop))
    page.locator("#address").fill(address)
    page.locator("#send-verification").click()

    stranger = browser.new_context(viewport={"width": width, "height": 740}).new_page()
    stranger.goto(site.link_to(address))
    expect(stranger.get_by_role("button", name=words[0])).to_be_visible()
    assert violations(stranger) == [] and stranger.evaluate(FITS)
    stranger.locator("form").first.get_by_role("button").click()
    expect(page.locator("#sender > .from")).to_contain_text(address)

    stranger.goto(site.link_to(address, count=2))
    stranger.get_by_role("button", name=words[0]).click()
    expect(stranger.get_by_role("heading", level=1)).to_have_text(words[1])
    assert violations(stranger) == [] and stranger.evaluate(FITS)
    page.reload()
    expect(page.locator("#sender > .from")).to_contain_text("notifications@marketplace.example")
    expect(page.locator("#sender > .hint-warn")).to_contain_text(address)
    assert violations(page) == []
    stranger.context.close()


def test_a_shop_removes_its_address(site: Site, page: Page, shop: str, address: str) -> None:
    page.goto(site.launch_url(shop))
    page.get_by_label("Email address").fill(address)
    page.get_by_role("button", name="Send verification email").click()
    link = site.link_to(address)
    page.goto(link)
    page.get_by_role("button", name="Verify email").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirmed. Thank you!")
    page.goto(site.launch_url(shop))
    with another_page(page):
        page.get_by_role("link", name=re.compile(f"Remove.*{address}")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Remove {address}?")
    assert violations(page) == []
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("status").first).to_contain_text("The address was removed")
    expect(page.locator("#sender")).not_to_contain_text(address)
