"""The page of the stand-ins' moods, and the moods that a start is given."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from demo.inbox import Mailbox, create_inbox
from demo.mail_account import Account
from demo.oauth.faults import FAULTS
from demo.oauth.moods import Moods, read_moods
from demo.oauth.provider import demo_providers
from demo.web import PORTAL_URL
from tests.demo.oauth.conftest import App
from tests.support.oauth_provider import OAuthProvider

pytestmark = pytest.mark.any_database

LOCAL = {"base_url": "http://127.0.0.1/"}


@pytest.fixture
def client(stand_in: OAuthProvider, tmp_path: Path) -> FlaskClient:
    return create_inbox(Mailbox(), Account(tmp_path / "account.json"), stand_in.providers).test_client()


def post(client: FlaskClient, **form: str) -> int:
    return client.post("/sign-in", data=form, **LOCAL).status_code


def test_each_mood_can_be_chosen_and_is_shown(client: FlaskClient, stand_in: OAuthProvider) -> None:
    shown = client.get("/sign-in", **LOCAL).text
    for provider in stand_in.providers:
        for place, moods in FAULTS[provider.brand.key].items():
            for mood, fault in moods.items():
                assert f'value="{mood}"' in shown and str(fault.label) in shown.replace("&#39;", "'")
                assert post(client, provider=provider.brand.key, do="set", **{place: mood}) == 303
                assert getattr(provider.moods, place) == mood
    assert f'<option value="{mood}" selected>' in client.get("/sign-in", **LOCAL).text
    post(client, provider="gmail", do="set", sign_in="", tokens="", sending="", smtp="", token_seconds="5")
    moods = stand_in.google.moods
    assert (moods.tokens, moods.smtp, moods.token_seconds, stand_in.microsoft.moods.smtp) == ("", "", 5, mood)


def test_access_is_withdrawn_per_person(client: FlaskClient, app: App) -> None:
    token, other = app.sign_in(), app.sign_in(app.provider.brand.people[1].address)
    assert client.get("/sign-in", **LOCAL).text.count("Absender has access") == 2
    assert post(client, provider=app.provider.brand.key, do=f"withdraw {app.address}") == 303
    assert (app.renew(token).status_code, app.renew(other).status_code) == (400, 200)
    assert client.get("/sign-in", **LOCAL).text.count("Absender has access") == 1


def test_access_tokens_run_out_by_a_button(client: FlaskClient, app: App) -> None:
    token = app.sign_in()
    assert post(client, provider=app.provider.brand.key, do="end_tokens") == 303
    assert app.send(token).status_code == 401
    assert app.send(app.renew(token).json()).ok


def test_the_administrators_approval_is_asked_for_again(client: FlaskClient, microsoft: App) -> None:
    microsoft.provider.approved = True
    post(client, provider="microsoft365", do="set", sign_in="admin_approval")
    assert not microsoft.provider.approved


@pytest.mark.parametrize(
    "form",
    [
        {"provider": "nobody", "do": "set"}, {"provider": "gmail", "do": "dance"}, {"do": "set"},
        {"provider": "gmail", "do": "set", "tokens": "strict_rotation"},
        {"provider": "gmail", "do": "set", "token_seconds": "x"}, {"provider": "gmail", "do": "withdraw nobody@x"},
    ],
)  # fmt: skip
def test_nonsense_is_refused(client: FlaskClient, stand_in: OAuthProvider, form: dict[str, str]) -> None:
    assert post(client, **form) == 400
    assert stand_in.google.moods.tokens == ""


def test_the_page_takes_nothing_from_another_site_and_has_no_inline_script(client: FlaskClient) -> None:
    form = {"provider": "gmail", "do": "set", "tokens": "html"}
    forged = client.post("/sign-in", data=form, headers={"Sec-Fetch-Site": "cross-site"}, **LOCAL)
    assert forged.status_code == 403
    shown = client.get("/sign-in", **LOCAL)
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son[a-z]+=|style=", shown.text)
    assert 'href="/sign-in"' in client.get("/", **LOCAL).text


def test_a_start_can_be_given_moods() -> None:
    moods = {key: Moods(key) for key in FAULTS}
    read_moods("gmail.tokens=throttled  microsoft365.token_seconds=5 microsoft365.sign_in=admin_approval", moods)
    assert (moods["gmail"].tokens, moods["microsoft365"].sign_in) == ("throttled", "admin_approval")
    assert (moods["gmail"].token_seconds, moods["microsoft365"].token_seconds) == (3599, 5)


@pytest.mark.parametrize(
    "text", ["gmail.tokens", "gmail.tokens=strict_rotation", "other.tokens=html", "gmail.provider=x", "gmail.smtp=slow"]
)
def test_a_mood_that_is_none_stops_the_start(text: str) -> None:
    with pytest.raises(ValueError, match=r"DEMO_OAUTH|has no mood"):
        read_moods(text, {key: Moods(key) for key in FAULTS})


def test_bin_run_registers_the_portals_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_GOOGLE_CLIENT_ID", "id-of-run")
    monkeypatch.setenv("PORTAL_GOOGLE_CLIENT_SECRET", "secret-of-run")
    monkeypatch.setenv("DEMO_OAUTH", "gmail.sending=html")
    google, microsoft = demo_providers(lambda *mail: None)
    assert (google.client.client_id, google.client.client_secret) == ("id-of-run", "secret-of-run")
    assert f"{PORTAL_URL}/oauth/callback/gmail" in google.client.redirect_uris
    assert f"{PORTAL_URL}/oauth/callback/microsoft365" in microsoft.client.redirect_uris
    assert (google.moods.sending, microsoft.moods.sending) == ("html", "")
