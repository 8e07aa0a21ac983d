"""Launches: what a token must say, and that it opens once."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from flask import Flask
from joserfc import jwt
from joserfc.jwk import OctKey

from portal.models import Tenant, User
from portal.services.accounts import launches, tenants, users
from portal.services.errors import LaunchRefused
from tests.conftest import SECRETS
from tests.support.at_once import at_once


def token(tenant: str, /, **claims: Any) -> str:
    """Signed with exactly these claims, whatever they are: half characters too, which the library doesn't write."""
    said = jwt.decode(launches.make_token(tenant), OctKey.import_key(SECRETS["launch_secret"])).claims | claims
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "HS256"}, said)]
    digest = hmac.digest(SECRETS["launch_secret"].encode(), b".".join(parts), "sha256")
    return b".".join([*parts, urlsafe_b64encode(digest).rstrip(b"=")]).decode()


def reason(token: str) -> str:
    with pytest.raises(LaunchRefused) as refused:
        launches.accept(token)
    return refused.value.reason


def test_a_launch_creates_the_tenant_and_the_person(ctx: Flask) -> None:
    signed = launches.make_token(
        "acme", tenant_name="Acme Shop", plan="pro", locale="de", email="jo@acme.example", name="Jo", theme="dark",
        parent="https://dash.example",
    )  # fmt: skip
    launch = launches.accept(signed)
    tenant = launch.tenant
    assert (tenant.external_id, tenant.name, tenant.plan, tenant.locale) == ("acme", "Acme Shop", "pro", "de")
    assert (launch.user.email, launch.user.role, launch.user.tenant_id) == ("jo@acme.example", "admin", tenant.id)
    assert (launch.locale, launch.theme, launch.parent) == ("de", "dark", "https://dash.example")


def test_a_later_launch_brings_name_plan_and_locale_up_to_date(ctx: Flask) -> None:
    launches.accept(launches.make_token("acme", tenant_name="Acme"))
    launch = launches.accept(launches.make_token("acme", tenant_name="Acme GmbH", plan="enterprise", locale="de"))
    assert (launch.tenant.name, launch.tenant.plan, launch.tenant.locale) == ("Acme GmbH", "enterprise", "de")


def test_a_launch_without_a_tenant_name_keeps_the_one_there_is(ctx: Flask) -> None:
    tenants.upsert("acme", name="Acme Shop")
    assert launches.accept(launches.make_token("acme")).tenant.name == "Acme Shop"


def test_the_language_a_person_chose_wins_over_the_launch(ctx: Flask) -> None:
    launch = launches.accept(launches.make_token("acme", locale="en"))
    tenants.set_locale(launch.user, "de")
    assert launches.accept(launches.make_token("acme", locale="en")).locale == "de"


def test_a_token_opens_once(ctx: Flask) -> None:
    token = launches.make_token("acme")
    launches.accept(token)
    assert reason(token) == "used"


def test_of_many_replays_at_once_one_gets_in(app: Flask) -> None:
    with app.app_context():
        token = launches.make_token("acme")

    def replay() -> str:
        try:
            launches.accept(token)
        except LaunchRefused as refused:
            return refused.reason
        return "in"

    assert sorted(at_once(*[replay] * 10, app=app)) == ["in"] + ["used"] * 9


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"iat": -100, "exp": -50}, "expired"),
        ({"iat": -90, "exp": -31}, "expired"),
        ({"iat": 600, "exp": 640}, "future"),
        ({"iat": 32, "exp": 60}, "future"),
        ({"nbf": 32}, "future"),
        ({"sub": "17\n"}, "incomplete"),
        ({"sub": "17\u202e"}, "incomplete"),
        ({"sub": " "}, "incomplete"),
        ({"jti": "a\x00"}, "incomplete"),
        ({"jti": "\ud800"}, "incomplete"),
        ({"plan": 7}, "incomplete"),
        ({"plan": ["pro"]}, "incomplete"),
        ({"parent": {}}, "incomplete"),
        ({"exp": 3600}, "invalid"),
        ({"aud": "somebody-else"}, "invalid"),
        ({"aud": ["somebody-else"]}, "invalid"),
        ({"iat": 1e300}, "incomplete"),
        ({"iss": "somebody-else"}, "invalid"),
        ({"role": "owner"}, "role"),
        ({"tenant": ""}, "incomplete"),
        ({"plan": "platinum"}, "plan"),
        ({"jti": ""}, "incomplete"),
        ({"email": "not an address"}, "incomplete"),
        ({"tenant": "../etc"}, "incomplete"),
        ({"parent": "https://dash.example/page; script-src *"}, "incomplete"),
        ({"sub": 7}, "incomplete"),
        ({"exp": True}, "incomplete"),
    ],
)
def test_what_a_token_must_not_say(ctx: Flask, claims: dict[str, Any], expected: str) -> None:
    """Times are seconds from now."""
    moments = {name: int(time.time()) + value for name, value in claims.items() if type(value) is int and name != "sub"}
    assert reason(token("acme", **(claims | moments))) == expected
    assert tenants.find("acme") is None


@pytest.mark.parametrize(
    ("claimed", "kept"),
    [
        ("Acme\u202e\u200bShop", "AcmeShop"),
        ("Acme\r\nShop\x00", "Acme Shop"),
        ("Win https://evil.example", "Win https://evil.example"),
        ("\u200b \x07", "acme"),
        ("\ud800", "acme"),
        ("", "acme"),
        (7, "acme"),
        ([], "acme"),
        (None, "acme"),
        ("👩\u200d👧 می\u200cخواهم \U0001fae9", "👩\u200d👧 می\u200cخواهم \U0001fae9"),
        ("Acme\xa0Shop\u3000東京", "Acme Shop 東京"),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_name_that_cannot_be_shown_keeps_nobody_out(ctx: Flask, claimed: Any, kept: str) -> None:
    launch = launches.accept(token("acme", tenant_name=claimed, name=claimed))
    assert launch.tenant is not None and launch.tenant.name == kept
    assert launch.user.name in (kept, "")


@pytest.mark.parametrize("name", ["locale", "theme"])
@pytest.mark.parametrize("value", ["", " ", None, 7, {}, "\x00", "\ud800", "x" * 500])
def test_looks_keep_nobody_out(ctx: Flask, name: str, value: Any) -> None:
    launch = launches.accept(token("acme", **{name: value}))
    assert (launch.locale, launch.theme) == ("en", "auto")


@pytest.mark.parametrize("nothing", ["", " ", None])
def test_an_optional_claim_that_says_nothing_changes_nothing(ctx: Flask, nothing: str | None) -> None:
    tenants.upsert("acme", name="Acme Shop", plan="pro", locale="de")
    names = ["tenant_name", "name", "plan", "locale", "theme", "parent", "nbf"]
    tenant = launches.accept(token("acme", **dict.fromkeys(names, nothing))).tenant
    assert tenant is not None
    assert (tenant.name, tenant.plan, tenant.locale) == ("Acme Shop", "pro", "de")


@pytest.mark.parametrize("value", ["\x00", "a\u00a0b", "\ud800", 7, None, {"a": ["\u202e"]}, "x" * 1000])
def test_claims_that_nobody_knows_are_ignored(ctx: Flask, value: Any) -> None:
    """RFC 7519 section 4."""
    assert launches.accept(token("acme", department=value, **{"https://a.example/b\x07": value})).user


@pytest.mark.parametrize("wrong", [-29, 29])
def test_the_platforms_clock_may_be_half_a_minute_wrong(ctx: Flask, wrong: int) -> None:
    at = time.time() + wrong
    assert launches.accept(launches.make_token("acme", iat=at, nbf=at, exp=at + 60)).user
    first = at - 60 if wrong < 0 else at
    spent = launches.make_token("acme", iat=first, exp=first + 60)
    launches.accept(spent)
    assert reason(spent) == "used"


def test_times_may_have_fractions_and_the_audience_may_be_one_of_several(ctx: Flask) -> None:
    at = time.time()
    token = launches.make_token("acme", iat=at, exp=at + 59.5, nbf=at - 0.5, aud=["other", "absender"])
    assert launches.accept(token).tenant.external_id == "acme"


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS512"}])
def test_the_token_does_not_choose_its_algorithm(ctx: Flask, header: dict[str, str]) -> None:
    good = launches.make_token("acme")
    claims = jwt.decode(good, OctKey.import_key(SECRETS["launch_secret"])).claims
    if header["alg"] == "none":
        parts = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)]
        forged = ".".join([*parts, ""])
    else:
        forged = jwt.encode(header, claims, OctKey.import_key(SECRETS["launch_secret"] * 2), algorithms=["HS512"])
    assert reason(forged) == "invalid"


def test_a_token_of_another_secret_is_refused(ctx: Flask) -> None:
    good = launches.make_token("acme")
    claims = jwt.decode(good, OctKey.import_key(SECRETS["launch_secret"])).claims
    assert reason(jwt.encode({"alg": "HS256"}, claims, OctKey.import_key("x" * 40))) == "invalid"


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "é", "." * 100])
def test_what_is_no_token_is_refused(ctx: Flask, token: str) -> None:
    assert reason(token) == "invalid"


def test_a_suspended_shop_is_neither_entered_nor_changed_and_its_sessions_stay_ended(
    tenant: Tenant, user: User
) -> None:
    before = user.session_version
    tenants.upsert("acme", state="suspended")
    token = launches.make_token("acme", tenant_name="Renamed", plan="enterprise", parent="https://dash.example")
    with pytest.raises(LaunchRefused, match="suspended") as refused:
        launches.accept(token)
    assert refused.value.parent == "https://dash.example"  # so that the page is seen in its frame
    kept = tenants.find("acme")
    assert kept is not None and kept.name != "Renamed"
    tenants.upsert("acme", state="active")
    assert users.find(user.id, tenant.id, before) is None
    assert launches.accept(launches.make_token("acme", email=user.email)).user.id == user.id


def test_a_clock_that_is_ahead_does_not_make_the_next_launch_old(tenant: Tenant, user: User) -> None:
    now = time.time()
    for ahead, role in ((4, "admin"), (0.5, "viewer")):
        token = launches.make_token("acme", email="jo@shop.example", role=role, iat=now + ahead, exp=now + 50)
        assert launches.accept(token).user.role == role
