"""Coming in without the dashboard, and managing who may: in a browser, by real mail."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.services.accounts import launches
from tests.browser.site import Site, another_page

pytestmark = pytest.mark.any_database  # tests/views asks both databases for the same pages

SETTINGS = "/settings/email"


def test_an_invited_person_signs_in_by_a_mailed_link(
    site: Site, page: Page, browser: Browser, shop: str, address: str, complaints: list[str]
) -> None:
    page.goto(site.launch_url(shop))
    page.get_by_role("link", name="People").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("People")
    page.locator("#address").fill(address)
    page.get_by_role("radio", name="Reader").check()
    page.locator("#invite").click()
    expect(page.get_by_role("status")).to_contain_text("The invitation is on its way")
    expect(page.locator(".people")).to_contain_text("Invited, not here yet")

    other = browser.new_context(locale="en-GB").new_page()
    other.goto(site.link_to(address, path="/sign-in"))
    other.locator("#address").fill(address)
    other.get_by_role("button", name="Send me a link").click()
    expect(other.get_by_role("status")).to_contain_text(f"If {address} is known here")
    link = site.link_to(address, count=2, path="/sign-in/")
    other.goto(link)
    other.get_by_role("button", name="Sign in").click()
    expect(other).to_have_url(site.url + SETTINGS)
    expect(other.get_by_role("heading", level=1)).to_have_text("Email configuration")
    expect(other.locator("#main")).to_contain_text("only an administrator of your shop can change them")
    expect(other.get_by_role("link", name="People")).to_have_count(0)
    other.reload()
    expect(other.locator("#sign-out")).to_be_visible()

    again = browser.new_context(locale="en-GB").new_page()
    again.goto(link)
    expect(again.get_by_role("heading", level=1)).to_have_text("This link has been used")

    with another_page(page):
        page.get_by_role("link", name="People").click()
    expect(page.locator(".people")).not_to_contain_text("Invited, not here yet")
    page.get_by_role("button", name=re.compile(f"Sign out everywhere.*{address}")).click()
    expect(page.get_by_role("status")).to_contain_text("has to come in anew")
    other.get_by_role("link", name="Email logs").click()
    expect(other.get_by_role("alert")).to_contain_text("Your session has ended")
    other.get_by_role("link", name="Sign in by email").click()
    expect(other).to_have_url(f"{site.url}/sign-in")
    for context in (other.context, again.context):
        context.close()


def test_signing_out_leads_back_to_the_sign_in(site: Site, page: Page, shop: str, address: str) -> None:
    page.context.clear_cookies()
    with site.app.app_context():
        launches.accept(launches.make_token(shop, email=address))
    page.goto(f"{site.url}/sign-in")
    page.locator("#address").fill(address)
    page.get_by_role("button", name="Send me a link").click()
    page.goto(site.link_to(address, path="/sign-in/"))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Email configuration")
    page.locator("#sign-out").click()
    expect(page).to_have_url(f"{site.url}/sign-in")
    page.goto(site.url + SETTINGS)
    expect(page.get_by_role("heading", level=1)).to_have_text("Please open this page from your dashboard")
