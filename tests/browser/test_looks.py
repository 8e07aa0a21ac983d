"""Each page in light and dark, both languages, both directions, wide and narrow: accessible, and nothing sticks out."""

import gzip
from typing import Any

import pytest
from playwright.sync_api import Page, Response, expect

from portal.db.transaction import transaction
from portal.models import LogEntry, Message, MessageBody, Tenant, utcnow
from portal.models.message import STATES
from portal.services.accounts import launches, people
from portal.services.senders import verification
from tests.browser.axe import at_all_widths, violations
from tests.browser.site import Site

pytestmark = pytest.mark.any_database  # tests/views asks both databases for the same pages

LONG = "a-very-long-local-part.of.somebody@department.some-long-company-name.example"

PAGES: dict[str, str] = {
    "settings": "/settings/email",
    "log": "/settings/email/logs",
    "send again": "/settings/email/logs",
    "log, filtered": "/settings/email/logs?state=failed",
    "log, nothing found": "/settings/email/logs?kind=vendor_notification",
    "error": "/settings/email/logs?state=nope",
    "people": "/settings/people",
    "remove a person": "/settings/people",
    "verify, invalid": "/verify/nonsense",
    "sign in": "/sign-in",
    "sign in, invalid": "/sign-in/nonsense",
}


@pytest.fixture
def full_shop(site: Site, shop: str, address: str) -> str:
    """A tenant with a message in each state, a confirmed address and a pending one."""
    with site.app.app_context():
        tenant, user = _arrive(shop)
        with transaction() as session:
            for state in STATES:
                message = Message(
                    tenant_id=tenant.id, kind="order_update", to_address=LONG, subject=f"A message that is {state}",
                    message_id="<x>", state=state, expires_at=utcnow(), route="none",
                    reason="unknown_recipient" if state == "failed" else None,
                    sender="Basil Books <hello@basil-books.example>" if state == "sent" else None,
                )  # fmt: skip
                session.add(message)
                session.flush()
                session.add(MessageBody(message_id=message.id, text="Hello"))
                about = {"tenant_id": tenant.id, "message_id": message.id}
                session.add(LogEntry(**about, event="queued"))
                session.add(LogEntry(**about, event="failed", code=550, text="5.1.1 " + "x" * 300))
        first = verification.start_verification(tenant, user, f"first-{address}", "Basil Books")
        with transaction():
            first.state = "verified"
        gmail = address.replace("@basil-books.example", "@gmail.com")
        verification.start_verification(tenant, user, gmail, "Bücher & Söhne")
        launches.accept(launches.make_token(shop, email=LONG, name="Maximiliane von und zu Ottensen-Bahrenfeld"))
        people.invite(tenant, user, f"invited-{address}", "viewer")
    return shop


def _arrive(shop: str) -> tuple[Tenant, Any]:
    launch = launches.accept(
        launches.make_token(shop, tenant_name="Nordlicht Manufaktur für Kerzen und schönes Wohnen GmbH & Co. KG")
    )
    return launch.tenant, launch.user


def narrow(page: Page, width: int) -> int:
    page.set_viewport_size({"width": width, "height": 800})
    return int(page.evaluate("document.documentElement.scrollWidth"))


@pytest.mark.parametrize("locale", ["en", "de"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    site: Site, page: Page, full_shop: str, theme: str, locale: str
) -> None:
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # for the pages that no launch has given a theme
    page.goto(
        site.launch_url(
            full_shop,
            locale=locale,
            theme=theme,
            tenant_name="Nordlicht Manufaktur für Kerzen und schönes Wohnen GmbH & Co. KG",
        )
    )
    for name, path in PAGES.items():
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(site.url + path)
        if name == "log":
            page.get_by_role("link", name="A message that is failed").click()
            page.locator("summary").first.click()
        if name == "send again":
            page.get_by_role("link", name="A message that is unconfirmed").click()
            page.locator(".row-open [id^=send-again]").click()
            expect(page.locator("#confirm-send-again")).to_be_visible()
        if name == "people":
            page.locator("#address").fill("nonsense")
            page.locator("#invite").click()
            expect(page.locator("#address-error")).to_be_visible()
        if name == "remove a person":
            page.locator("[id^=remove-]").first.click()
            expect(page.locator("#confirm-remove")).to_be_visible()
        if name == "settings":
            page.locator("#address").fill("nonsense")
            page.locator("#send-verification").click()
            expect(page.locator("#verification [role=alert]")).to_be_visible()
        assert_accessible(page, name, everywhere=at_all_widths(theme, locale))


def assert_accessible(page: Page, name: str, *, everywhere: bool) -> None:
    assert violations(page) == [], name
    page.evaluate("document.documentElement.dir = 'rtl'; document.getElementById('app')?.setAttribute('dir', 'rtl')")
    assert not everywhere or violations(page) == [], f"{name}, right to left"
    assert narrow(page, 320) <= 320, f"{name}, right to left"
    page.evaluate("document.documentElement.dir = 'ltr'; document.getElementById('app')?.setAttribute('dir', 'ltr')")
    for width in (320, 360, 768):
        assert narrow(page, width) <= width, f"{name} at {width} px"
    page.set_viewport_size({"width": 360, "height": 800})
    assert not everywhere or violations(page) == [], f"{name} at 360 px"


@pytest.mark.parametrize("locale", ["en", "de"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_supports_pages_are_accessible_too(site: Site, page: Page, full_shop: str, theme: str, locale: str) -> None:
    page.goto(site.launch_url("", role="support", sub=f"{theme}-{locale}", theme=theme, locale=locale))
    shop = f"/support/tenants/{full_shop}"
    pages = {"shops": "", "nothing found": "", "messages": "", "settings": "", "log": "/logs", "activity": "/activity"}
    for name, path in pages.items():
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(site.url + ("/support" if name in ("shops", "nothing found", "messages") else shop + path))
        if name in ("shops", "nothing found"):
            page.locator("#shop").fill("Nordlicht" if name == "shops" else "zebra")
            page.locator("#search-shop").click()
            expect(page.locator("#found")).to_be_focused()
        if name == "messages":
            page.locator("#message").fill(LONG)
            page.locator("#search-message").click()
            expect(page.locator("#found")).to_be_focused()
        if path:
            expect(page.locator(".viewing")).to_be_visible()
        if name == "log":
            page.get_by_role("link", name="A message that is failed").click()
            page.locator("summary").first.click()
        assert_accessible(page, name, everywhere=at_all_widths(theme, locale))


def test_the_confirmation_page_is_accessible_too(site: Site, page: Page, shop: str, address: str) -> None:
    with site.app.app_context():
        tenant, user = _arrive(shop)
        verification.start_verification(tenant, user, address, "Basil")
    page.goto(site.link_to(address))
    assert violations(page) == []
    assert narrow(page, 320) <= 320
    page.get_by_role("button", name="Verify email").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirmed. Thank you!")
    assert violations(page) == []


def test_the_sign_in_pages_are_accessible_too(site: Site, page: Page, address: str) -> None:
    with site.app.app_context():
        for shop in (f"a-{address}".partition("@")[0], f"b-{address}".partition("@")[0]):
            launches.accept(launches.make_token(shop, email=address, tenant_name=f"{LONG} {shop}"))
    page.goto(f"{site.url}/sign-in")
    for wrong in ("nonsense", address):
        page.locator("#address").fill(wrong)
        page.get_by_role("button", name="Send me a link").click()
        expect(page.get_by_role("alert" if wrong == "nonsense" else "status")).to_be_visible()
        assert violations(page) == []
    page.goto(site.link_to(address, path="/sign-in/"))
    assert violations(page) == []
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Where do you want to go?")
    assert violations(page) == []
    assert narrow(page, 320) <= 320
    page.locator(".places button").first.click()
    expect(page.locator("#sign-out")).to_be_visible()
    assert violations(page) == []
    assert narrow(page, 320) <= 320


def test_every_target_is_large_enough_and_has_a_visible_focus(site: Site, page: Page, full_shop: str) -> None:
    page.goto(site.launch_url(full_shop))
    expect(page.locator("h1")).to_be_visible()
    small = page.evaluate(
        """() => [...document.querySelectorAll(
                "button, a[role=button], .action-link, .tabs a, select, input:not([type=hidden])")]
            .filter((e) => e.offsetParent && Math.min(e.offsetWidth, e.offsetHeight) < 24)
            .map((e) => e.outerHTML.slice(0, 100))"""
    )
    assert small == []
    for _ in range(30):
        page.keyboard.press("Tab")
        ring = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
                return e === document.body || s.outlineStyle !== "none" || s.boxShadow !== "none"; }"""
        )
        assert ring, page.evaluate("document.activeElement.outerHTML.slice(0, 120)")


def test_a_page_is_small_and_all_from_one_place(site: Site, page: Page, full_shop: str) -> None:
    answers: list[Response] = []
    page.on("response", lambda response: answers.append(response))
    page.goto(site.launch_url(full_shop))
    expect(page.locator("h1")).to_be_visible()
    bodies = {answer.url: answer.body() for answer in list(answers) if answer.status == 200}
    assert all(url.startswith((site.url, "data:")) for url in bodies)
    assert sum(len(gzip.compress(body)) for body in bodies.values()) <= 60_000


def test_nothing_moves_while_the_page_loads(site: Site, page: Page, full_shop: str) -> None:
    page.add_init_script(
        "window.shifts = 0; new PerformanceObserver((list) => {"
        " for (const e of list.getEntries()) window.shifts += e.value;"
        "}).observe({ type: 'layout-shift', buffered: true });"
    )
    page.goto(site.launch_url(full_shop))
    expect(page.locator("#resend-wait")).to_contain_text(":")
    assert page.evaluate("window.shifts") < 0.01
