"""Email configuration in a browser: errors, focus, countdown, two tabs at once, language."""

import re

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import update

from portal.extensions import db
from portal.mailauth.free_mail import is_free_mail
from portal.models import MailCount, utcnow
from portal.services.accounts import tenants
from portal.services.senders.settings_page import sender_settings
from tests.browser.site import Site, held_back

pytestmark = pytest.mark.any_database  # tests/views asks both databases for the same pages


def open_settings(site: Site, page: Page, shop: str, **claims: str) -> None:
    page.goto(site.launch_url(shop, **claims))
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_an_invalid_address_moves_the_focus_to_a_summary_and_keeps_what_was_typed(
    site: Site, page: Page, shop: str, complaints: list[str]
) -> None:
    open_settings(site, page, shop)
    page.get_by_label("Email address").fill("hello@@basil")
    page.get_by_label("Display name").fill("Basil Books")
    page.get_by_role("button", name="Send verification email").click()
    summary = page.locator("#verification [role=alert]")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text("help@marketplace.example")
    field = page.get_by_label("Email address")
    expect(field).to_have_value("hello@@basil")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("This is not an email address"))
    expect(page.get_by_label("Display name")).to_have_value("Basil Books")
    summary.get_by_role("link", name=re.compile("This is not")).click()
    expect(field).to_be_focused()


def test_the_countdown_ends_in_a_link(site: Site, page: Page, shop: str, address: str, complaints: list[str]) -> None:
    open_settings(site, page, shop)
    page.get_by_label("Email address").fill(address)
    page.get_by_role("button", name="Send verification email").click()
    resend = page.locator("#resend")
    expect(resend).to_have_attribute("aria-disabled", "true")
    before = page.locator("#resend-wait").inner_text()
    expect(page.locator("#resend-wait")).not_to_have_text(before)  # it counts
    resend.click(force=True)  # too early: nothing happens
    expect(page.locator("#notices")).to_contain_text("We sent an email")
    site.mail_to(address)  # or the new one would take its place before it is made
    site.change(lambda: db.session.execute(update(MailCount).values(at=utcnow().replace(year=2020))))
    page.reload()
    expect(resend).not_to_have_attribute("aria-disabled", "true")
    resend.click()
    expect(page.locator("#notices")).to_contain_text(f"We sent a new email to {address}")
    expect(page.locator("#notices [role=status]")).to_be_focused()
    page.get_by_role("button", name="Dismiss this message").click()
    expect(page.locator("#notices [role=status]")).to_have_count(0)
    # The first mail's link is dead now.
    first, second = site.link_to(address, 1), site.link_to(address, 2)
    links = {next(w for w in mail.text.split() if "/verify/" in w) for mail in site.mail_to(address, 2)}
    assert len(links) == 2 and second in links
    page.goto(next(iter(links - {second})))
    expect(page.get_by_role("heading", level=1)).to_have_text("There is a newer link")
    assert first in links


def test_a_double_click_sends_one_mail(site: Site, page: Page, shop: str, address: str) -> None:
    open_settings(site, page, shop)
    page.get_by_label("Email address").fill(address)
    with held_back(page, "**/verification"):
        page.get_by_role("button", name="Send verification email").dblclick()
    expect(page.locator("#sender")).to_contain_text(address)
    expect(page.locator("#verification [role=alert]")).to_have_count(0)
    assert len(site.mail_to(address)) == 1


def test_what_is_typed_survives_a_change_made_elsewhere(site: Site, page: Page, shop: str, address: str) -> None:
    open_settings(site, page, shop)
    page.get_by_label("Email address").fill(address)
    page.get_by_role("button", name="Send verification email").click()
    expect(page.locator("#sender")).to_contain_text(address)
    expect(page.locator("#notices [role=status]")).to_be_focused()  # else it would take the focus from the field
    page.get_by_label("Email address").fill("half-typed@")
    site.mail_to(address)

    def cancel() -> None:
        tenant = tenants.find(shop)
        assert tenant is not None
        pending = sender_settings(tenant).pending
        assert pending is not None
        pending.identity.state = "revoked"

    site.change(cancel)
    expect(page.locator("#sender")).not_to_contain_text("Waiting for confirmation")
    expect(page.get_by_label("Email address")).to_have_value("half-typed@")
    expect(page.get_by_label("Email address")).to_be_focused()
    expect(page.locator("#sender")).not_to_have_attribute(
        "hx-trigger", re.compile("")
    )  # nothing pending, nothing asked


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en", ["Email logs", "isn't saved yet", "Stay on this page", "Leave without saving", "Discard"]),
        ("de", ["E-Mail-Protokolle", "noch nicht gespeichert", "Auf der Seite bleiben", "Verlassen, ohne zu speichern",
                "Verwerfen"]),
    ],
)  # fmt: skip
def test_a_half_typed_address_is_not_lost_unseen(
    site: Site, page: Page, shop: str, complaints: list[str], locale: str, words: list[str]
) -> None:
    logs, warns, stay, leave, discard = words
    open_settings(site, page, shop, locale=locale)
    address, warning = page.locator("#address"), page.locator("#notices [role=alert]")
    address.fill("hello@@basil")
    page.get_by_role("link", name=logs).click()
    expect(warning).to_contain_text(warns)
    expect(warning).to_be_focused()
    page.get_by_role("button", name=stay).click()
    expect(address).to_have_value("hello@@basil")
    page.locator("#send-verification").click()
    expect(page.locator("#verification [role=alert]")).to_be_focused()  # refused, and still not saved
    page.get_by_role("link", name=logs).click()
    expect(warning).to_contain_text(warns)
    page.get_by_role("button", name=stay).click()
    page.get_by_role("link", name=discard).click()
    expect(page.locator("#notices [role=status]")).to_be_visible()
    expect(address).to_have_value("")
    address.fill("hello@basil")
    page.get_by_role("link", name=logs).click()
    page.get_by_role("button", name=leave).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(logs)


def test_what_was_sent_or_never_typed_can_be_left_unasked(site: Site, page: Page, shop: str, address: str) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    open_settings(site, page, shop)
    page.get_by_label("Email address").press_sequentially(address)
    page.get_by_role("button", name="Send verification email").click()
    expect(page.locator("#sender")).to_contain_text(address)
    page.get_by_label("Display name").press_sequentially("Basil")
    page.get_by_role("button", name="Cancel the change").click()  # leaves the form as it is
    expect(page.locator("#notices")).to_contain_text("The change was cancelled")
    expect(page.get_by_label("Display name")).to_have_value("Basil")
    page.get_by_label("Display name").fill("")
    page.get_by_role("link", name="Email logs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Email logs")
    assert asked == []


def test_a_change_can_be_cancelled_and_free_mail_is_warned_of(site: Site, page: Page, shop: str, address: str) -> None:
    assert is_free_mail("x@gmail.com")
    free = address.replace("@basil-books.example", "@gmail.com")
    open_settings(site, page, shop)
    page.get_by_label("Email address").fill(free)
    page.get_by_role("button", name="Send verification email").click()
    expect(page.locator("#sender")).to_contain_text("This is a free-mail address")
    link = site.link_to(free)  # withdrawn before its mail is made, none would be sent
    page.get_by_role("button", name="Cancel the change").click()
    expect(page.locator("#notices")).to_contain_text("The change was cancelled")
    expect(page.locator("#sender")).not_to_contain_text(free)
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("This request was cancelled")


def test_the_language_is_changed_on_the_page_and_kept(site: Site, page: Page, shop: str, complaints: list[str]) -> None:
    open_settings(site, page, shop)
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("E-Mail-Konfiguration")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page).to_have_title("E-Mail-Konfiguration · Absender")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("E-Mail-Konfiguration")
    expect(page.locator("html")).to_have_attribute("lang", "de")


def test_a_viewer_sees_all_and_changes_none(site: Site, page: Page, shop: str) -> None:
    open_settings(site, page, shop, role="viewer", email="viewer@shop.example")
    expect(page.locator("main")).to_contain_text("only an administrator of your shop can change them")
    expect(page.locator("#sender")).to_contain_text("Marketplace <notifications@marketplace.example>")
    expect(page.get_by_role("button", name="Send verification email")).to_be_disabled()
