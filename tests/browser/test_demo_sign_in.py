"""The demo's sign-in pages in a real browser: the way back to an app on another site, and pages anybody can use."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from demo.inbox import Mailbox, create_inbox
from demo.mail_account import Account
from demo.oauth.brands import GOOGLE_SEND, MICROSOFT_SEND
from demo.oauth.provider import Provider
from tests.browser.axe import violations
from tests.browser.site import serve
from tests.support.oauth_provider import CLIENT_ID, OAuthProvider

pytestmark = pytest.mark.any_database

CHALLENGE = "x" * 43


@pytest.fixture(scope="module")
def stand_in() -> Iterator[OAuthProvider]:
    with OAuthProvider() as stand_in:
        yield stand_in


@pytest.fixture(params=["google", "microsoft"])
def provider(request: pytest.FixtureRequest, stand_in: OAuthProvider) -> Provider:
    return getattr(stand_in, request.param)


@pytest.fixture
def callback(stand_in: OAuthProvider, provider: Provider) -> str:
    """An app's address on another site than the stand-ins'; that nothing answers there with 200 is all the same."""
    callback = stand_in.base.replace("127.0.0.1", "localhost") + "/callback"
    provider.client.redirect_uris[:] = [callback]
    provider.moods.reset()
    provider.approved = False
    return callback


def address(stand_in: OAuthProvider, provider: Provider, callback: str, use: str = "authorize", **more: str) -> str:
    scopes = {"gmail": f"openid email {GOOGLE_SEND}", "microsoft365": f"openid profile offline_access {MICROSOFT_SEND}"}
    params = {
        "client_id": CLIENT_ID, "redirect_uri": callback, "response_type": "code", "state": "s-1",
        "scope": scopes[provider.brand.key], "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    }  # fmt: skip
    return f"{stand_in.endpoints()[provider.brand.key][use]}?{urlencode(params | more)}"


def wait_for(page: Page, beginning: str) -> None:
    page.wait_for_url(lambda url: url.startswith(beginning))


def test_a_person_agrees_and_is_back_at_the_app(
    page: Page, stand_in: OAuthProvider, provider: Provider, callback: str
) -> None:
    page.goto(address(stand_in, provider, callback))
    assert violations(page) == []
    page.get_by_role("button", name="Continue" if provider.brand.key == "gmail" else "Accept").click()
    wait_for(page, f"{callback}?code=")
    assert "state=s-1" in page.url


def test_a_person_chooses_another_account_leaves_the_box_and_speaks_german(
    page: Page, stand_in: OAuthProvider, provider: Provider, callback: str
) -> None:
    page.goto(address(stand_in, provider, callback, ui_locales="de"))
    assert violations(page) == []
    page.get_by_label(provider.brand.people[1].address).check()
    if provider.brand.key == "gmail":
        page.get_by_label("E-Mails in Ihrem Namen senden").uncheck()
    page.get_by_role("button", name="Weiter" if provider.brand.key == "gmail" else "Akzeptieren").click()
    wait_for(page, f"{callback}?code=")
    assert "gmail.send" not in page.url


def test_a_person_cancels(page: Page, stand_in: OAuthProvider, provider: Provider, callback: str) -> None:
    page.goto(address(stand_in, provider, callback))
    page.get_by_role("button", name="Cancel").click()
    wait_for(page, f"{callback}?error=access_denied")


@pytest.mark.parametrize("provider", ["microsoft"], indirect=True)
def test_an_administrator_approves(page: Page, stand_in: OAuthProvider, provider: Provider, callback: str) -> None:
    provider.set_mood("sign_in", "admin_approval")
    page.goto(address(stand_in, provider, callback))
    expect(page.get_by_role("heading", name="Need admin approval")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Return to the application").click()
    wait_for(page, f"{callback}?error=access_denied&error_description=AADSTS90094")
    page.goto(address(stand_in, provider, callback, "admin_consent"))
    assert violations(page) == []
    page.get_by_role("button", name="Accept").click()
    wait_for(page, f"{callback}?admin_consent=True")
    page.goto(address(stand_in, provider, callback))
    expect(page.get_by_role("button", name="Accept")).to_be_visible()


def test_a_refusal_is_a_page_that_can_be_read(
    page: Page, stand_in: OAuthProvider, provider: Provider, callback: str
) -> None:
    page.goto(address(stand_in, provider, callback + "/other"))
    expect(page.get_by_role("heading")).to_be_visible()
    assert violations(page) == []


def test_the_page_of_moods_sets_them(
    page: Page, stand_in: OAuthProvider, provider: Provider, callback: str, tmp_path: Path
) -> None:
    app = create_inbox(Mailbox(), Account(tmp_path / "account.json"), stand_in.providers)
    with serve(app) as base_url:
        page.goto(f"{base_url}/sign-in")
        assert violations(page) == []
        section = page.get_by_role("region", name=provider.brand.name)
        section.get_by_label("Mail API").select_option("throttled")
        section.get_by_label("Access tokens live").select_option("5")
        section.get_by_role("button", name="Use these").click()
        expect(section.get_by_label("Mail API")).to_have_value("throttled")
        assert (provider.moods.sending, provider.moods.token_seconds) == ("throttled", 5)
