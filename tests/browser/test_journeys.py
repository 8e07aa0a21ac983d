"""The main job as a person does it: in a tab, in the dashboard's frame, in both languages, and without JavaScript."""

import re

import pytest
from playwright.sync_api import FrameLocator, Page, Request, expect

from tests.browser.site import Site
from tests.support.waiting import eventually

WORDS = {
    "en": {
        "title": "Email configuration", "logs": "Email logs", "address": "Email address", "name": "Display name",
        "send": "Send verification email", "waiting": "Waiting for confirmation", "resend": "Resend verification",
        "verify": "Verify email", "done": "Confirmed. Thank you!", "in_force": "Confirmed. From now on",
        "default": "Use the default sender", "accepted": "Accepted by the mail server", "happened": "What happened",
    },
    "de": {
        "title": "E-Mail-Konfiguration", "logs": "E-Mail-Protokolle",
        "address": "E-Mail-Adresse", "name": "Anzeigename",
        "send": "Bestätigungs-E-Mail senden",
        "waiting": "Wartet auf Bestätigung", "resend": "Bestätigung erneut senden",
        "verify": "E-Mail bestätigen", "done": "Bestätigt. Vielen Dank!", "in_force": "Bestätigt. Ab jetzt",
        "default": "Standardabsender verwenden", "accepted": "Vom Mailserver angenommen", "happened": "Was geschah",
    },
}  # fmt: skip


@pytest.mark.parametrize("locale", ["en", "de"])
@pytest.mark.parametrize("place", ["tab", "frame"])
def test_a_merchant_verifies_a_sender_and_sees_mail_go_out_under_it(
    site: Site, page: Page, shop: str, address: str, complaints: list[str], place: str, locale: str
) -> None:
    words = WORDS[locale]
    view: Page | FrameLocator = page
    if place == "tab":
        page.goto(site.launch_url(shop, locale=locale))
        expect(page).to_have_url(f"{site.url}/settings/email")
    else:
        page.goto(f"{site.host_url}?tenant={shop}&locale={locale}")
        view = page.frame_locator("iframe")

    expect(view.get_by_role("heading", level=1, name=words["title"])).to_be_visible()
    sender = view.locator("#sender")
    expect(sender).to_contain_text("Marketplace <notifications@marketplace.example>")

    view.get_by_label(words["address"], exact=True).fill(address)
    view.get_by_label(words["name"], exact=True).fill("Basil & Söhne")
    expect(view.locator(".preview")).to_contain_text(f"Basil & Söhne <{address}>")
    view.get_by_role("button", name=words["send"]).click()
    expect(sender).to_contain_text(words["waiting"])
    expect(sender).to_contain_text(address)
    expect(sender).to_contain_text("Marketplace <notifications@marketplace.example>")  # still in force
    expect(sender.locator("#resend")).to_have_attribute("aria-disabled", "true")
    expect(sender.locator("#resend-wait")).to_contain_text(re.compile(r"0:\d\d"))

    # Somebody opens the mail elsewhere; the settings page stays open and shows it with its next question.
    expect(sender).to_have_attribute("hx-trigger", "every 2s")
    elsewhere = page.context.new_page()
    elsewhere.goto(site.link_to(address))
    expect(elsewhere.locator("main")).to_contain_text("Basil Books")
    expect(elsewhere.locator("main")).to_contain_text(address)
    elsewhere.get_by_role("button", name=words["verify"]).click()
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text(words["done"])
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "awaited=" in request.url else None)
    elsewhere.close()
    page.bring_to_front()
    expect(sender).not_to_contain_text(words["waiting"])
    expect(sender).to_contain_text(f"Basil & Söhne <{address}>")
    assert len(asked) <= 2  # one may have come due while another was on its way
    expect(view.locator("#notices")).to_contain_text(words["in_force"])
    expect(view.locator("#notices [role=status]")).to_be_visible()

    # Mail goes out under the new sender, and the log shows it by itself.
    view.get_by_role("link", name=words["logs"]).click()
    expect(view.get_by_role("heading", level=1, name=words["logs"])).to_be_focused()
    site.send(shop, "Your order 1042")
    row = view.locator(".row", has_text="Your order 1042")
    expect(row).to_contain_text(words["accepted"])
    expect(row).to_contain_text(f"Basil & Söhne <{address}>")
    mail = next(
        m
        for m in site.mail_to("carla@customer.example")
        if m.message["Subject"] == "Your order 1042" and address in m.message["From"]
    )
    assert "Basil & Söhne" in mail.message["From"]
    row.get_by_role("link", name="Your order 1042").click()
    expect(row).to_contain_text(words["happened"])
    row.locator("summary").click()
    expect(row.locator("pre")).to_contain_text("250")

    # And back to the default.
    view.get_by_role("link", name=words["title"]).click()
    expect(view.get_by_role("heading", level=1)).to_have_text(words["title"])
    view.locator("#use-default").click()
    expect(view.locator("#sender")).to_contain_text("Marketplace <notifications@marketplace.example>")
    expect(view.locator("#earlier")).to_contain_text(address)


def test_without_javascript_a_sender_is_verified(site: Site, plain_page: Page, shop: str, address: str) -> None:
    page = plain_page
    page.goto(site.launch_url(shop))
    page.get_by_label("Email address").fill("nonsense")
    page.get_by_label("Display name").fill("Basil")
    page.get_by_role("button", name="Send verification email").click()
    expect(page.get_by_role("alert")).to_contain_text("This is not an email address")
    expect(page.get_by_label("Email address")).to_have_value("nonsense")

    page.get_by_label("Email address").fill(address)
    page.get_by_role("button", name="Send verification email").click()
    expect(page.locator("#notices")).to_contain_text(f"We sent an email to {address}")
    expect(page.locator("#resend-wait")).to_contain_text("possible at")
    link = site.link_to(address)
    page.goto(link)
    page.get_by_role("button", name="Verify email").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirmed. Thank you!")
    page.goto(f"{site.url}/settings/email")
    expect(page.locator("#sender")).to_contain_text(f"Basil <{address}>")
    page.get_by_role("button", name="Use the default sender").first.click()
    expect(page.locator("#notices")).to_contain_text("Done.")
    page.get_by_role("button", name="Use this address").click()
    expect(page.locator("#sender")).to_contain_text(f"Basil <{address}>")
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("E-Mail-Konfiguration")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Email configuration")

    page.get_by_role("link", name="Email logs").click()
    page.get_by_role("link", name=re.compile("wants to send email")).click()
    accepted = "The mail server accepted the message"
    eventually(lambda: accepted in page.locator(".row-open").inner_text() or not page.reload(), "it is written down")
    page.get_by_label("State").select_option("failed")
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(re.compile("state=failed"))
    expect(page.locator("#log")).to_contain_text("Nothing matches these filters")
    page.get_by_role("link", name="Clear filters").first.click()
    expect(page.locator(".row")).to_have_count(2)
    page.get_by_label("Recipient").fill(address)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("link", name="Clear filters")).to_be_visible()
    expect(page.locator(".row")).to_have_count(2)
    assert "@" not in page.url
    page.locator(".row-link").first.click()
    expect(page.locator(".row-open")).to_be_visible()
    assert "@" not in page.url
