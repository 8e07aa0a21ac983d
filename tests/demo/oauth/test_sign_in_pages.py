"""The stand-ins' sign-in: PKCE, consent, what a person can refuse, and what a company's administrator can."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import pytest
import requests
import time_machine

from demo.oauth.brands import GOOGLE_SEND, MICROSOFT_SMTP, TENANT
from demo.oauth.faults import FAULTS, Fault
from tests.demo.oauth.conftest import CALLBACK, App
from tests.support.oauth_provider import CLIENT_ID, Answer

pytestmark = pytest.mark.any_database


def without(url: str, *names: str, **others: str) -> str:
    """`url` with these parameters left out, or with other values."""
    parts = urlsplit(url)
    params = {name: value[0] for name, value in parse_qs(parts.query).items() if name not in names} | others
    return urlunsplit(parts._replace(query=urlencode(params)))


def test_whoever_agrees_comes_back_with_a_code_and_the_state(app: App) -> None:
    back = app.stand_in.sign_in(app.start())
    assert back.status == 302 and back.location.startswith(CALLBACK + "?")
    assert back.params["state"] == "of-this-tab"
    token = app.fetch(back).json()
    assert {"access_token", "refresh_token", "id_token", "expires_in", "scope", "token_type"} <= token.keys()
    assert app.provider.calls == {"authorize": 1, "code": 1}
    assert app.provider.asked[-1]["state"] == "of-this-tab"


def test_google_names_itself_in_the_callback_and_microsoft_its_session(google: App, microsoft: App) -> None:
    assert google.stand_in.sign_in(google.start()).params["iss"] == google.urls["issuer"]
    assert microsoft.stand_in.sign_in(microsoft.start()).params.keys() == {"code", "state", "session_state"}


def test_the_id_token_says_who_signed_in_and_answers_the_nonce(google: App, microsoft: App) -> None:
    claims = google.id_token(google.sign_in())
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (google.urls["issuer"], CLIENT_ID, "n-1")
    assert (claims["email"], claims["email_verified"]) == ("shop@gmail-demo.example", True)
    claims = microsoft.id_token(microsoft.sign_in())
    assert claims["iss"] == microsoft.urls["issuer"].replace("{tenantid}", TENANT)
    assert (claims["preferred_username"], claims["tid"]) == ("shop@microsoft-demo.example", TENANT)
    assert claims["nonce"] == "n-1" and claims["oid"]


def test_the_page_suggests_who_was_named_and_anybody_can_be_chosen(app: App) -> None:
    other = app.provider.brand.people[1].address
    assert app.id_token(app.sign_in(login_hint=other))["sub"] == "subject-of-ada"
    assert app.id_token(app.sign_in())["sub"] == "subject-of-shop"
    assert app.id_token(app.sign_in(other))["sub"] == "subject-of-ada"


@pytest.mark.parametrize("verifier", ["y" * 64, None, "short"])
def test_a_code_is_worth_nothing_without_its_verifier(app: App, verifier: str | None) -> None:
    back = app.stand_in.sign_in(app.start())
    assert app.fetch(back, code_verifier=verifier).status_code == 400
    # That was its only use.
    assert app.fetch(back).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "change", [{"code_challenge_method": "plain"}, {"code_challenge": ""}], ids=["plain", "no challenge"]
)
def test_a_sign_in_without_a_challenge_is_sent_back(app: App, change: dict[str, str]) -> None:
    back = app.stand_in.open(without(app.start(), **change))
    assert back.params["error"] == "invalid_request" and "S256" in back.params["error_description"]


def test_a_code_is_good_once(google: App, microsoft: App) -> None:
    for app in (google, microsoft):
        back = app.stand_in.sign_in(app.start())
        assert app.fetch(back).status_code == 200
        again = app.fetch(back)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert again.json()["error_codes"] == [54005] and again.json()["error_description"].startswith("AADSTS54005: ")


def test_a_code_is_good_for_ten_minutes(app: App) -> None:
    back = app.stand_in.sign_in(app.start())
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=601), tick=True):
        assert app.fetch(back).json()["error"] == "invalid_grant"


def test_an_address_that_is_not_registered_gets_nothing(app: App) -> None:
    for url in (without(app.start(), redirect_uri=CALLBACK + "/x"), without(app.start(), "redirect_uri")):
        for page in (app.stand_in.open(url), app.stand_in.open(url, [("do", "cancel")])):
            assert (page.status, page.location) == (400, "") and "not registered" in page.text


def test_an_unknown_app_is_told_on_a_page(app: App) -> None:
    page = app.stand_in.open(without(app.start(), client_id="other"))
    assert page.status in (400, 401) and page.location == "" and "not found" in page.text


def test_an_unknown_scope_is_sent_back(app: App) -> None:
    assert app.stand_in.open(app.start(scope="openid everything")).params["error"] == "invalid_scope"


def test_whoever_cancels_comes_back_with_access_denied(google: App, microsoft: App) -> None:
    back = google.stand_in.sign_in(google.start(), agree=False)
    assert back.params == {"error": "access_denied", "state": "of-this-tab"}
    back = microsoft.stand_in.sign_in(microsoft.start(), agree=False)
    assert (back.params["error"], back.params["error_subcode"]) == ("access_denied", "cancel")
    assert back.params["error_description"].startswith("AADSTS65004: ")


def test_the_box_for_sending_can_be_left_unticked_at_google_only(google: App, microsoft: App) -> None:
    token = google.fetch(google.stand_in.sign_in(google.start(), untick=True)).json()
    assert token["scope"] == "openid https://www.googleapis.com/auth/userinfo.email"
    refused = google.send(token)
    assert (refused.status_code, refused.json()["error"]["errors"][0]["reason"]) == (403, "insufficientPermissions")
    token = microsoft.fetch(microsoft.stand_in.sign_in(microsoft.start(), untick=True)).json()
    assert microsoft.send(token).status_code == 202


def test_whoever_agrees_to_nothing_has_declined(google: App) -> None:
    back = google.stand_in.sign_in(google.start(scope=GOOGLE_SEND), untick=True)
    assert back.params["error"] == "access_denied"


def test_the_box_is_not_ticked_beforehand_in_that_mood(google: App) -> None:
    assert GOOGLE_SEND in google.sign_in()["scope"]
    google.provider.moods.sign_in = "unticked"
    page = google.stand_in.open(google.start())
    assert f'value="{GOOGLE_SEND}">' in page.text
    assert GOOGLE_SEND not in google.sign_in()["scope"]


def test_google_gives_a_refresh_token_the_first_time_or_when_asked_to_ask(google: App) -> None:
    assert "refresh_token" not in google.sign_in(access_type="online")
    assert "refresh_token" in google.sign_in(prompt="select_account")
    assert "refresh_token" not in google.sign_in(prompt="select_account")
    assert "refresh_token" in google.sign_in(prompt="consent")


def test_microsoft_gives_what_the_scopes_ask_for(microsoft: App) -> None:
    token = microsoft.sign_in(scope=microsoft.provider.brand.send_scope)
    assert token.keys() & {"refresh_token", "id_token"} == set()


def approve(app: App, answer: str) -> Answer:
    params = {"client_id": CLIENT_ID, "scope": app.scope, "redirect_uri": CALLBACK, "state": "of-the-admin"}
    url = f"{app.urls['admin_consent']}?{urlencode(params)}"
    assert "for all users in your organization" in app.stand_in.open(url).text
    return app.stand_in.open(url, [("do", answer)])


def test_microsoft_asks_for_the_administrators_approval_once(microsoft: App) -> None:
    microsoft.provider.set_mood("sign_in", "admin_approval")
    page = microsoft.stand_in.sign_in(microsoft.start())
    assert page.status == 200 and "Need admin approval" in page.text
    back = microsoft.stand_in.open(microsoft.start(), [("do", "cancel")])
    assert back.params["error"] == "access_denied" and back.params["error_description"].startswith("AADSTS90094")

    # Whoever doesn't wait for the page's button gets no further.
    assert "Need admin approval" in microsoft.stand_in.open(microsoft.start(), [("do", "allow")]).text
    assert approve(microsoft, "cancel").params["error"] == "access_denied"
    assert "Need admin approval" in microsoft.stand_in.open(microsoft.start()).text
    assert approve(microsoft, "allow").params == {
        "admin_consent": "True", "tenant": TENANT, "scope": microsoft.scope, "state": "of-the-admin",
    }  # fmt: skip
    assert microsoft.send(microsoft.sign_in()).status_code == 202


def test_the_approval_goes_to_registered_addresses_of_the_app_only(microsoft: App) -> None:
    for change in ({"redirect_uri": "http://localhost:9/other"}, {"client_id": "other"}):
        params = {"client_id": CLIENT_ID, "redirect_uri": CALLBACK} | change
        page = microsoft.stand_in.open(f"{microsoft.urls['admin_consent']}?{urlencode(params)}", [("do", "allow")])
        assert (page.status, page.location) == (400, "") and not microsoft.provider.approved


TOLD = [
    (key, mood, fault)
    for key, places in FAULTS.items()
    for mood, fault in places["sign_in"].items()
    if (fault.error or fault.html) and mood != "admin_approval"
]


@pytest.mark.parametrize(("key", "mood", "fault"), TOLD, ids=[f"{key}-{mood}" for key, mood, _ in TOLD])
def test_each_mood_of_the_sign_in_page_is_told(google: App, microsoft: App, key: str, mood: str, fault: Fault) -> None:
    app = google if key == "gmail" else microsoft
    app.provider.moods.sign_in = mood
    page = app.stand_in.sign_in(app.start())
    if fault.returns:
        assert (page.status, page.params["error"]) == (302, fault.error) and page.params["state"] == "of-this-tab"
        assert str(fault.number or "") in page.params["error_description"]
    else:
        assert (page.status, page.location) == (fault.status, "")
        assert str(fault.number or fault.error or "an error") in page.text


def test_the_page_can_be_slow(app: App) -> None:
    app.provider.moods.sign_in, app.provider.moods.slow_seconds = "slow", 2
    with pytest.raises(requests.ReadTimeout):
        requests.get(app.start(), timeout=0.2)
    app.provider.moods.slow_seconds = 0
    assert app.stand_in.sign_in(app.start()).status == 302


def test_no_frame_shows_the_pages_and_no_opener_sees_them(app: App) -> None:
    for url in (app.start().replace(CLIENT_ID, "other"), app.start()):
        got = requests.get(url, timeout=60)
        assert "frame-ancestors 'none'" in got.headers["Content-Security-Policy"]
    assert got.headers["X-Frame-Options"] == "DENY"
    assert got.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "form-action 'self' http://localhost:9;" in got.headers["Content-Security-Policy"]


@pytest.mark.parametrize("param", ["hl", "mkt", "ui_locales"])
def test_the_page_speaks_german_when_asked(app: App, param: str) -> None:
    assert 'lang="de"' in app.stand_in.open(app.start(**{param: "de"})).text
    assert 'lang="en"' in app.stand_in.open(app.start(**{param: "fr"})).text


def test_two_resources_do_not_go_into_one_token_at_microsoft(microsoft: App) -> None:
    both = f"{microsoft.scope} {MICROSOFT_SMTP}"
    refused = microsoft.fetch(microsoft.stand_in.sign_in(microsoft.start(scope=both)))
    assert (refused.json()["error"], refused.json()["error_codes"]) == ("invalid_scope", [70011])
    token = microsoft.fetch(microsoft.stand_in.sign_in(microsoft.start(scope=both)), scope=microsoft.scope).json()
    assert microsoft.send(token).status_code == 202
    # One refresh token serves both.
    other = microsoft.renew(token, scope=f"{MICROSOFT_SMTP} offline_access").json()
    assert other["scope"] == MICROSOFT_SMTP and microsoft.send(other).status_code == 403
