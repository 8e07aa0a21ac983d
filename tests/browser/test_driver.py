"""Custom email setup in a browser: from the form over a failed and a passed test to Save, and what comes after."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import FrameLocator, Page, expect
from sqlalchemy import update

from portal.extensions import db
from portal.models import Driver
from portal.services.accounts import tenants
from tests.browser.axe import at_all_widths, violations
from tests.browser.site import Site, another_page
from tests.support.mail_service import MailService
from tests.support.waiting import eventually

pytestmark = pytest.mark.any_database  # tests/views asks both databases for the same pages

View = Page | FrameLocator

WORDS = {
    "en": {
        "set_up": "Set up your own mail service", "title": "Custom email setup", "guide": "2-Step Verification",
        "test": "Send test email", "save": "Save", "locked": "Save unlocks after a test message was accepted",
        "failed": "The test failed", "wrong": "User name or password of the mail account is wrong",
        "passed": "The test message was accepted", "saved": "Saved. From now on all your mail",
        "changed": "The settings are not the ones that were tested", "edit": "Edit", "pause": "Pause",
        "resume": "Resume", "paused": "Paused by an administrator", "working": "Working", "remove": "Remove",
        "sure": "Remove it", "removed": "Your mail service was removed", "other": "Other SMTP server",
    },
    "de": {
        "set_up": "Eigenen Maildienst einrichten", "title": "Benutzerdefinierte E-Mail-Einrichtung",
        "guide": "Bestätigung in zwei Schritten", "test": "Test-E-Mail senden", "save": "Speichern",
        "locked": "Speichern wird frei, sobald eine Testnachricht angenommen wurde",
        "failed": "Der Test ist fehlgeschlagen", "wrong": "Benutzername oder Passwort des",
        "passed": "Die Testnachricht wurde angenommen", "saved": "Gespeichert. Ab jetzt gehen alle",
        "changed": "Die Einstellungen sind nicht die, die getestet wurden", "edit": "Bearbeiten", "pause": "Anhalten",
        "resume": "Fortsetzen", "paused": "Von einem Administrator angehalten", "working": "Funktioniert",
        "remove": "Entfernen", "sure": "Ja, entfernen", "removed": "Ihr Maildienst wurde entfernt",
        "other": "Anderer SMTP-Server",
    },
}  # fmt: skip


@pytest.fixture
def service(site: Site) -> Iterator[MailService]:
    yield site.service
    site.service.password = "abcdefghijklmnop"
    site.service.reply = lambda: None


def open_form(site: Site, page: Page, shop: str, **claims: str) -> None:
    page.goto(site.launch_url(shop, plan="enterprise", **claims))
    page.goto(f"{site.url}/settings/email/service?preset=other")
    expect(page.locator("#driver-form")).to_be_visible()


def fill(view: View, service: MailService, password: str = "abcd efgh ijkl mnop") -> None:
    view.locator("#host").fill("127.0.0.1")
    view.locator("#encryption").select_option("starttls")
    view.locator("#port").fill(str(service.port))
    view.locator("#username").fill(" shop@acme.example ")
    view.locator("#secret").fill(password.replace(" ", ""))
    view.locator("#from_address").fill("shop@acme.example")
    view.locator("#from_name").fill("Basil & Söhne")


def pass_a_test(view: View, service: MailService) -> None:
    fill(view, service)
    view.locator("#send-test").click()
    expect(view.locator("#test")).to_have_class(re.compile("test-passed"))


def save(view: View, service: MailService) -> None:
    pass_a_test(view, service)
    view.locator("#save").click()
    expect(view.locator("#driver")).to_be_visible()


@pytest.mark.parametrize("locale", ["en", "de"])
@pytest.mark.parametrize("place", ["tab", "frame"])
def test_from_the_settings_page_to_a_saved_driver_and_back(
    site: Site, page: Page, shop: str, service: MailService, complaints: list[str], place: str, locale: str
) -> None:
    words = WORDS[locale]
    view: View = page
    if place == "tab":
        page.goto(site.launch_url(shop, locale=locale, plan="enterprise"))
    else:
        page.goto(f"{site.host_url}?tenant={shop}&locale={locale}&plan=enterprise")
        view = page.frame_locator("iframe")

    # Form and guide; another provider brings its own, and what was typed stays.
    view.get_by_role("link", name=words["set_up"]).click()
    expect(view.get_by_role("heading", level=1, name=words["title"])).to_be_focused()
    expect(view.locator("#guide")).to_contain_text(words["guide"])
    expect(view.locator("#host")).to_have_value("smtp.gmail.com")
    view.locator("#username").fill("shop@acme.example")
    view.locator("#secret").fill("typed already")
    view.get_by_text("Microsoft 365").first.click()
    expect(view.locator("#host")).to_have_value("smtp.office365.com")
    expect(view.locator("#port")).to_have_value("587")
    view.get_by_text(words["other"]).first.click()
    expect(view.locator("#host")).to_have_value("")
    expect(view.locator("#username")).to_have_value("shop@acme.example")
    expect(view.locator("#secret")).to_have_value("typed already")

    # Save is locked and says why, also to those who press it.
    button = view.get_by_role("button", name=words["save"], exact=True)
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_have_accessible_description(re.compile(words["locked"]))
    button.click(force=True)

    # A wrong password: the failing step and its field are marked.
    fill(view, service, "wrong")
    view.get_by_role("button", name=words["test"]).click()
    result = view.locator("#test-result")
    expect(result).to_contain_text(words["failed"])
    expect(result).to_contain_text(words["wrong"])
    expect(view.locator("#step-tls")).to_have_class("step-done")
    expect(view.locator("#step-sign_in")).to_have_class("step-failed")
    expect(view.locator("#secret")).to_have_attribute("aria-invalid", "true")
    expect(view.locator("#secret")).to_have_value("wrong")
    expect(button).to_have_attribute("aria-disabled", "true")

    # The right one: Save unlocks by itself, and any edit locks it again at once.
    view.locator("#secret").fill(service.password)
    view.get_by_role("button", name=words["test"]).click()
    expect(result).to_contain_text(words["passed"])
    expect(view.locator(".step-done")).to_have_count(7)
    expect(button).not_to_have_attribute("aria-disabled", "true")
    view.locator("#from_address").fill("boss@acme.example")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_have_accessible_description(re.compile(words["changed"]))
    view.locator("#from_address").fill("shop@acme.example")
    expect(button).not_to_have_attribute("aria-disabled", "true")
    button.click()
    expect(view.locator("#notices [role=status]")).to_contain_text(words["saved"])
    expect(view.locator("#sender")).to_contain_text("Basil & Söhne <shop@acme.example>")

    # All mail goes out through it.
    site.send(shop, "Your order 7")
    eventually(lambda: "Your order 7" in [mail.message["Subject"] for mail in service.sink.received], "it goes out")
    service.sink.clear()

    # Pause, resume, edit, remove.
    card = view.locator("#driver")
    with another_page(view):
        card.get_by_role("button", name=words["pause"], exact=True).click()
    expect(card).to_contain_text(words["paused"])
    with another_page(view):
        card.get_by_role("button", name=words["resume"], exact=True).click()
    expect(card).to_contain_text(words["working"])
    card.get_by_role("link", name=words["edit"], exact=True).click()
    expect(view.locator("#username")).to_have_value("shop@acme.example")
    expect(view.locator("#secret")).to_have_value("")
    view.locator(".back a").click()
    card.get_by_role("link", name=words["remove"], exact=True).click()
    view.get_by_role("button", name=words["sure"]).click()
    expect(view.locator("#notices")).to_contain_text(words["removed"])
    expect(view.locator("#driver")).to_have_count(0)
    expect(view.locator("#sender")).to_contain_text("Marketplace <notifications@marketplace.example>")


def test_port_and_encryption_follow_each_other(site: Site, page: Page, shop: str) -> None:
    open_form(site, page, shop)
    port, encryption = page.get_by_label("Port", exact=True), page.get_by_label("Encryption", exact=True)
    expect(port).to_have_value("587")
    encryption.select_option("tls")
    expect(port).to_have_value("465")
    port.fill("587")
    expect(encryption).to_have_value("starttls")


def test_a_reload_keeps_the_test_and_the_tested_password_can_be_saved(
    site: Site, page: Page, shop: str, service: MailService, complaints: list[str]
) -> None:
    open_form(site, page, shop)
    pass_a_test(page, service)
    page.reload()
    expect(page.locator("#test")).to_have_class(re.compile("test-passed"))
    expect(page.locator("#username")).to_have_value("shop@acme.example")
    expect(page.locator("#secret")).to_have_value("")
    expect(page.locator("#field-secret")).to_contain_text("The password of your last test is kept")
    page.locator("#save").click()
    expect(page.locator("#driver")).to_contain_text("Working")


def test_invalid_input_moves_the_focus_to_a_summary(site: Site, page: Page, shop: str, service: MailService) -> None:
    open_form(site, page, shop)
    fill(page, service)
    page.locator("#host").fill("https://mail.acme.example")
    page.get_by_role("button", name="Send test email").click()
    summary = page.locator("#driver-form [role=alert]")
    expect(summary).to_be_focused()
    summary.get_by_role("link", name=re.compile("not a server's name")).click()
    expect(page.locator("#host")).to_be_focused()
    expect(page.locator("#host")).to_have_accessible_description(re.compile("not a server's name"))
    expect(page.locator("#secret")).to_have_value("abcdefghijklmnop")


def test_what_is_typed_can_be_looked_at(site: Site, page: Page, shop: str) -> None:
    open_form(site, page, shop)
    page.locator("#secret").fill("abc")
    expect(page.locator("#secret")).to_have_attribute("type", "password")
    page.get_by_role("button", name="Show password").click()
    expect(page.locator("#secret")).to_have_attribute("type", "text")
    page.get_by_role("button", name="Hide password").click()
    expect(page.locator("#secret")).to_have_attribute("type", "password")


def test_leaving_with_unsaved_changes_asks_first(site: Site, page: Page, shop: str, complaints: list[str]) -> None:
    open_form(site, page, shop)
    page.locator("#username").fill("shop@acme.example")
    page.get_by_role("link", name="Email logs").click()
    warning = page.locator("#notices [role=alert]")
    expect(warning).to_contain_text("What you changed here isn't saved yet.")
    expect(warning).to_be_focused()
    page.get_by_role("button", name="Stay on this page").click()
    expect(warning).to_have_count(0)
    expect(page.locator("#username")).to_have_value("shop@acme.example")
    page.get_by_role("link", name="Email logs").click()
    page.get_by_role("button", name="Leave without saving").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Email logs")


def test_a_closed_tab_asks_too_but_not_without_changes(site: Site, page: Page, shop: str) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    open_form(site, page, shop)
    page.reload()
    assert asked == []
    page.locator("#username").press_sequentially("shop")
    page.reload()
    assert asked == ["beforeunload"]


def test_discard_forgets_what_was_typed_and_tested(site: Site, page: Page, shop: str, service: MailService) -> None:
    open_form(site, page, shop)
    pass_a_test(page, service)
    page.locator("#from_name").fill("Half typed")
    page.get_by_role("button", name="Discard").click()
    expect(page.locator("#notices")).to_contain_text("What you changed was discarded")
    page.get_by_role("link", name="Set up your own mail service").click()
    expect(page.locator("#username")).to_have_value("")


def test_gmail_shows_the_from_that_recipients_will_see(site: Site, page: Page, shop: str) -> None:
    page.goto(site.launch_url(shop, plan="enterprise"))
    page.goto(f"{site.url}/settings/email/service?preset=gmail")
    page.locator("#username").fill("basil@gmail.com")
    page.locator("#username").blur()
    expect(page.locator("#from_address")).to_have_value("basil@gmail.com")
    expect(page.locator("#real-from")).to_be_hidden()
    page.locator("#from_address").fill("hello@basil-books.example")
    expect(page.locator("#real-from")).to_contain_text("Basil Books <basil@gmail.com>")


def test_a_changed_password_stops_the_driver_and_a_new_one_lets_all_mail_out(
    site: Site, page: Page, shop: str, service: MailService
) -> None:
    open_form(site, page, shop)
    save(page, service)
    service.password = "qrstuvwxyzabcdef"
    before = service.sign_ins
    for number in (1, 2, 3):
        site.send(shop, f"Waiting {number} of {shop}")

    def is_stopped() -> bool:
        page.reload()
        return page.locator("#driver [role=alert]").count() > 0

    eventually(is_stopped, "the driver is stopped")
    assert service.sign_ins == before + 1  # one attempt, then no more
    alert = page.locator("#driver [role=alert]")
    expect(alert).to_contain_text("3 messages wait.")
    expect(alert).to_contain_text("The username or the password is wrong.")
    expect(alert).to_contain_text("ends all its app passwords")
    page.get_by_role("link", name="Enter new password").click()
    page.locator("#secret").fill(service.password)
    page.get_by_role("button", name="Send test email").click()
    expect(page.locator("#test")).to_have_class(re.compile("test-passed"))
    page.locator("#save").click()
    expect(page.locator("#driver")).to_contain_text("Working")
    eventually(lambda: len(subjects(service, shop)) == 3, "all mail goes out")
    assert subjects(service, shop) == [f"Waiting {number} of {shop}" for number in (1, 2, 3)]


def subjects(service: MailService, shop: str) -> list[str]:
    found = [str(mail.message["Subject"]) for mail in service.sink.received]
    return [subject for subject in found if subject.endswith(shop)]


def test_without_javascript_a_driver_is_saved(site: Site, plain_page: Page, shop: str, service: MailService) -> None:
    page = plain_page
    page.goto(site.launch_url(shop, plan="enterprise"))
    page.get_by_role("link", name="Set up your own mail service").click()
    page.get_by_text("Other SMTP server").first.click()
    page.get_by_role("button", name="Show form and guide").click()
    expect(page.locator("#host")).to_have_value("")
    expect(page.locator("#guide")).to_contain_text("SMTP settings")
    page.locator("#host").fill("https://x")
    page.get_by_role("button", name="Send test email").click()
    expect(page.get_by_role("alert")).to_contain_text("This is not a server's name")
    fill(page, service)
    page.get_by_role("button", name="Send test email").click()

    def is_over() -> bool:
        page.wait_for_load_state()
        if page.locator(".test-passed").count():
            return True
        page.get_by_role("link", name="Show how far it is").click()
        return False

    expect(page.locator("#test")).to_be_visible()
    eventually(is_over, "the test passes")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#notices")).to_contain_text("Saved. From now on")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#driver")).to_contain_text("Paused by an administrator")
    page.get_by_role("link", name="Remove", exact=True).click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.locator("#notices")).to_contain_text("Your mail service was removed")


@pytest.mark.parametrize("locale", ["en", "de"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    site: Site, page: Page, shop: str, service: MailService, theme: str, locale: str
) -> None:
    def check(name: str) -> None:
        for width in (1280, 360, 320):
            page.set_viewport_size({"width": width, "height": 900})
            if width == 1280 or (width == 360 and at_all_widths(theme, locale)):
                assert violations(page) == [], (name, width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)

    open_form(site, page, shop, theme=theme, locale=locale)
    for preset in ("gmail", "microsoft365", "sendgrid"):
        page.goto(f"{site.url}/settings/email/service?preset={preset}")
        check(preset)
    page.goto(f"{site.url}/settings/email/service?preset=other")
    page.locator("#send-test").click()
    expect(page.locator("#driver-form [role=alert]")).to_be_visible()
    check("invalid")
    fill(page, service, "wrong")
    page.locator("#send-test").click()
    expect(page.locator("#test")).to_have_class(re.compile("test-failed"))
    check("failed")
    save(page, service)
    check("saved")

    def trouble() -> None:
        tenant = tenants.find(shop)
        assert tenant is not None
        db.session.execute(
            update(Driver).where(Driver.tenant_id == tenant.id).values(
                state="stopped", reason="bad_credentials", text="5.7.8 " + "x" * 200)
        )  # fmt: skip

    site.change(trouble)
    page.goto(f"{site.url}/settings/email")
    check("stopped")
    page.goto(f"{site.url}/settings/email/service/remove")
    check("remove")
    site.make_tenant(shop, plan="basic")
    for path in ("/settings/email", "/settings/email/service"):
        page.goto(site.url + path)
        check(f"locked {path}")
