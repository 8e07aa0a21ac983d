"""The stand-ins' token endpoints: renewal, rotation, withdrawal, revocation, and each way in which they refuse."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import time_machine
from authlib.integrations.base_client import OAuthError

from demo.oauth.faults import FAULTS, Fault
from demo.oauth.ledger import MOST_REFRESH_TOKENS, Ledger, Token
from portal.provider_endpoints import load
from tests.demo.oauth.conftest import CALLBACK, App
from tests.support.oauth_provider import OAuthProvider
from tests.support.waiting import eventually

pytestmark = pytest.mark.any_database


def test_google_renews_without_a_new_refresh_token(google: App) -> None:
    token = google.sign_in()
    newer = google.renew(token).json()
    assert "refresh_token" not in newer and newer["access_token"] != token["access_token"]
    assert newer["scope"] == token["scope"]
    assert google.send(newer).status_code == google.send(token).status_code == 200
    assert (google.provider.renewals, google.provider.calls["refresh"]) == (1, 1)


def test_microsoft_rotates_with_each_renewal_and_the_old_one_stays_good(microsoft: App) -> None:
    token = microsoft.sign_in()
    newer = microsoft.renew(token).json()
    assert newer["refresh_token"] != token["refresh_token"]
    assert microsoft.renew(newer).status_code == microsoft.renew(token).status_code == 200


def test_a_refresh_token_is_good_once_in_the_strict_mood(microsoft: App) -> None:
    microsoft.provider.moods.tokens = "strict_rotation"
    token = microsoft.sign_in()
    newer = microsoft.renew(token).json()
    assert microsoft.renew(token).json()["error"] == "invalid_grant"
    assert microsoft.renew(newer).status_code == 200


def test_authlibs_client_keeps_what_each_of_them_gives(google: App, microsoft: App) -> None:
    for app, rotates in ((google, False), (microsoft, True)):
        token = app.sign_in()
        kept = app.session(scope=None).refresh_token(app.urls["token"], refresh_token=token["refresh_token"])
        assert (kept["refresh_token"] != token["refresh_token"]) is rotates
        app.provider.withdraw(app.address)
        with pytest.raises(OAuthError, match="invalid_grant"):
            app.session().refresh_token(app.urls["token"], refresh_token=kept["refresh_token"])


def test_a_token_runs_out_after_the_seconds_that_were_told(app: App) -> None:
    app.provider.moods.token_seconds = 5
    token = app.sign_in()
    assert token["expires_in"] == 5 and app.account(token).status_code == 200
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        clock.shift(6)
        assert app.account(token).status_code == app.send(token).status_code == 401
        assert app.account(app.renew(token).json()).status_code == 200


def test_withdrawn_access_ends_googles_tokens_at_once_and_microsofts_with_their_time(
    google: App, microsoft: App
) -> None:
    for app in (google, microsoft):
        token = app.sign_in()
        app.provider.withdraw(app.address)
        refused = app.renew(token).json()
        assert refused["error"] == "invalid_grant"
        assert app.send(token).status_code == (401 if app is google else 202)
    assert refused["error_codes"] == [50173]


def test_whoever_signs_in_again_goes_on(app: App) -> None:
    app.sign_in()
    app.provider.withdraw(app.address)
    assert app.renew(app.sign_in()).status_code == 200


@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_google_revokes_by_either_token(google: App, kind: str) -> None:
    token = google.sign_in()
    assert requests.post(google.urls["revoke"], {"token": token[kind]}, timeout=60).status_code == 200
    assert google.renew(token).json()["error_description"] == "Token has been expired or revoked."
    assert google.account(token).status_code == 401
    again = requests.post(google.urls["revoke"], {"token": token[kind]}, timeout=60)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")


def test_microsoft_has_no_such_call(microsoft: App) -> None:
    assert "revoke" not in microsoft.urls


@pytest.mark.parametrize(
    ("changed", "number"),
    [({"client_secret": "other"}, 7000215), ({"client_secret": None}, 7000218), ({"client_id": "other"}, 700016)],
)
def test_an_app_with_the_wrong_secret_is_refused(
    google: App, microsoft: App, changed: dict[str, str | None], number: int
) -> None:
    for app in (google, microsoft):
        refused = app.renew(app.sign_in(), **changed)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert refused.json()["error_codes"] == [number]


def test_a_code_goes_to_the_address_that_asked_for_it(app: App) -> None:
    back = app.stand_in.sign_in(app.start())
    assert app.fetch(back, redirect_uri=CALLBACK + "/x").json()["error"] == "invalid_grant"


def test_a_made_up_refresh_token_and_grant_type_are_refused(app: App) -> None:
    assert app.renew({"refresh_token": "made-up"}).json()["error"] == "invalid_grant"
    assert app.token(grant_type="password").json()["error"] == "unsupported_grant_type"


REFUSING = [
    (key, mood, fault)
    for key, places in FAULTS.items()
    for mood, fault in places["tokens"].items()
    if fault.error or fault.html
]


@pytest.mark.parametrize(("key", "mood", "fault"), REFUSING, ids=[f"{key}-{mood}" for key, mood, _ in REFUSING])
def test_each_mood_of_the_token_endpoint_refuses(
    google: App, microsoft: App, key: str, mood: str, fault: Fault
) -> None:
    app = google if key == "gmail" else microsoft
    token = app.sign_in()
    app.provider.moods.tokens, app.provider.moods.retry_after = mood, 23
    refused = app.renew(token)
    assert refused.status_code == fault.status
    assert refused.headers.get("Retry-After") == ("23" if fault.waits else None)
    if fault.html:
        assert refused.headers["Content-Type"].startswith("text/html") and "<h1>502" in refused.text
    else:
        said = refused.json()
        assert said["error"] == ("invalid_grant" if fault.detail == "invalid_rapt" else fault.error)
        assert fault.text in said["error_description"]
        assert said.get("error_codes", []) == ([fault.number] if fault.number else [])
        assert (said.get("suberror") or said.get("error_subtype", "")) == fault.detail
    assert app.provider.renewals == 0
    # A dead refresh token says nothing of a new sign-in.
    back = app.stand_in.sign_in(app.start())
    assert app.fetch(back).status_code == (200 if fault.only else fault.status)
    app.provider.moods.tokens = ""
    assert app.renew(token).status_code == 200


def test_a_slow_renewal_is_done_all_the_same(app: App) -> None:
    token = app.sign_in()
    app.provider.moods.tokens, app.provider.moods.slow_seconds = "slow", 2
    with pytest.raises(requests.ReadTimeout):
        requests.post(app.urls["token"], {
            "grant_type": "refresh_token", "refresh_token": token["refresh_token"],
            "client_id": app.provider.client.client_id, "client_secret": app.provider.client.client_secret,
        }, timeout=0.3)  # fmt: skip
    assert eventually(lambda: app.provider.renewals, "the renewal") == 1


def test_a_renewal_can_be_done_without_an_answer(app: App) -> None:
    token = app.sign_in()
    app.provider.moods.tokens = "cut"
    with pytest.raises(requests.ConnectionError):
        app.renew(token)
    assert app.provider.renewals == 1


def test_microsoft_may_leave_out_the_scope(microsoft: App) -> None:
    microsoft.provider.moods.tokens = "no_scope"
    token = microsoft.sign_in()
    assert "scope" not in token and "scope" not in microsoft.renew(token).json()
    assert microsoft.send(token).status_code == 202


def test_the_tokens_life_may_be_text(app: App) -> None:
    app.provider.moods.tokens = "text_expiry"
    assert app.sign_in()["expires_in"] == "3599"


def test_tokens_are_as_long_as_real_ones(google: App, microsoft: App) -> None:
    assert len(google.sign_in()["access_token"]) == 200
    assert len(microsoft.sign_in()["access_token"]) == 2000


def test_the_oldest_of_too_many_refresh_tokens_dies_silently() -> None:
    ledger = Ledger()
    for number in range(MOST_REFRESH_TOKENS + 1):
        ledger.add_refresh(f"token {number}", Token("app", "shop@gmail-demo.example", "openid"))
    assert ledger.refresh("token 0") is None and ledger.refresh("token 1") is not None
    assert ledger.live_refresh_tokens("shop@gmail-demo.example") == MOST_REFRESH_TOKENS


def test_a_sign_in_outlives_a_restart_and_its_file_opens_nothing(tmp_path: Path) -> None:
    with OAuthProvider(CALLBACK, folder=tmp_path) as first:
        token = App(first, first.microsoft).sign_in()
    kept = (tmp_path / "microsoft.json").read_text()
    assert token["refresh_token"] not in kept and token["access_token"] not in kept
    assert (tmp_path / "microsoft.json").stat().st_mode & 0o077 == 0
    with OAuthProvider(CALLBACK, folder=tmp_path) as second:
        app = App(second, second.microsoft)
        assert app.send(token).status_code == 401
        assert app.send(app.renew(token).json()).status_code == 202


def test_the_endpoints_file_is_one_that_the_portal_takes(tmp_path: Path, stand_in: OAuthProvider) -> None:
    assert load(stand_in.write(tmp_path / "endpoints.toml")) == stand_in.endpoints()
