"""Coming in without the dashboard, and managing who may: in a browser, by real mail."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, Route, expect

from portal.services import launches
from tests.browser.site import Site

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

    page.get_by_role("link", name="People").click()
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
    page.locator("#sign-out").click()
    expect(page).to_have_url(f"{site.url}/sign-in")
    page.goto(site.url + SETTINGS)
    expect(page.get_by_role("heading", level=1)).to_have_text("Please open this page from your dashboard")


def test_people_are_managed_in_the_frame_with_every_cookie_blocked(
    site: Site, browser: Browser, shop: str, address: str
) -> None:
    context = browser.new_context(locale="en-GB")

    def without_cookies(route: Route) -> None:
        route.continue_(headers={name: value for name, value in route.request.headers.items() if name != "cookie"})

    context.route(f"{site.url}/**", without_cookies)
    page = context.new_page()
    page.goto(f"{site.host_url}?tenant={shop}")
    frame = page.frame_locator("iframe")
    frame.get_by_role("link", name="People").click()
    expect(frame.get_by_role("heading", level=1)).to_have_text("People")
    frame.locator("#address").fill("nonsense")
    frame.locator("#invite").click()
    expect(frame.locator("#address-error")).to_be_visible()
    frame.locator("#address").fill(address)
    frame.locator("#invite").click()
    expect(frame.get_by_role("status")).to_contain_text("The invitation is on its way")
    frame.get_by_role("button", name=re.compile(f"Make an administrator.*{address}")).click()
    expect(frame.get_by_role("status")).to_contain_text("Saved")
    frame.get_by_role("link", name=re.compile(f"Remove.*{address}")).click()
    frame.locator("#confirm-remove").click()
    expect(frame.get_by_role("status")).to_contain_text("Removed")
    expect(frame.locator(".people > li")).to_have_count(1)
    frame.get_by_role("button", name="Sign out everywhere").click()  # ends this session, too
    expect(frame.locator("#notices")).to_contain_text("Your session has ended")
    page.wait_for_function("window.messages.some((m) => m.type === 'portal:session-ended')")
    context.close()
