"""Launches signed by the platform's own keys: each key takes one algorithm, keys rotate without a restart."""

import base64
import hmac
import json
import logging
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from portal import create_app
from portal.config import SettingsError, load_settings
from portal.services.accounts import launches
from portal.services.errors import LaunchRefused
from tests.conftest import SECRETS

RSA, EC, ED = RSAKey.generate_key(2048), ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")
OTHER_EC = ECKey.generate_key("P-256")
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
ALGORITHMS = {"ES256": EC, "EdDSA": ED, "RS256": RSA}


class Keys:
    """The platform's JWKS file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.version = 0

    def write(self, *entries: dict[str, Any]) -> None:
        self.path.write_text(json.dumps({"keys": entries}))
        self.version += 1  # two writes can fall into one tick of the file system's clock
        os.utime(self.path, (self.version, self.version))


def public(key: Any, **more: Any) -> dict[str, Any]:
    return dict(key.as_dict(private=False)) | more


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    keys = Keys(tmp_path / "jwks.json")
    keys.write(public(EC, kid="ec"), public(ED, kid="ed"), public(RSA, kid="rsa"))
    return keys


@pytest.fixture(params=["with a shared secret, too", "with keys alone"])
def platform(request: pytest.FixtureRequest, app: Flask, options: dict[str, Any], keys: Keys) -> Iterator[Flask]:
    secret = {} if "too" in request.param else {"launch_secret": ""}
    made = create_app(**options | {"launch_jwks": keys.path} | secret)
    with made.app_context():
        yield made


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "aud": "absender", "iss": "marketplace", "sub": "1", "email": "jo@acme.example", "tenant": "acme",
        "role": "admin", "iat": now, "exp": now + 60, "jti": uuid.uuid4().hex,
    } | more  # fmt: skip


def sign(key: Any, alg: str, kid: str | None = None, **more: Any) -> str:
    header = {"alg": alg} | ({"kid": kid} if kid else {})
    return jwt.encode(header, claims(**more), key, algorithms=[alg])


def by_secret(secret: bytes, kid: str | None) -> str:
    """HS256 by hand: a good library refuses to sign with a public key."""
    signed = by_hand({"alg": "HS256"} | ({"kid": kid} if kid else {})).rstrip(".")
    signature = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def by_hand(header: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims()).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def refusal(token: str) -> str:
    with pytest.raises(LaunchRefused) as refused:
        launches.accept(token)
    return str(refused.value)


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize("named", [True, False])
def test_each_kind_of_key_lets_a_person_in(platform: Flask, alg: str, named: bool) -> None:
    kid = {"ES256": "ec", "EdDSA": "ed", "RS256": "rsa"}[alg] if named else None
    assert launches.accept(sign(ALGORITHMS[alg], alg, kid)).user.email == "jo@acme.example"


def test_without_a_kid_only_where_one_key_fits(platform: Flask, keys: Keys) -> None:
    keys.write(public(EC, kid="old"), public(OTHER_EC, kid="new"))
    assert "several keys" in refusal(sign(EC, "ES256"))
    launches.accept(sign(EC, "ES256", "old"))
    launches.accept(sign(OTHER_EC, "ES256", "new"))


def test_a_kid_chooses_the_key_and_no_other_is_tried(platform: Flask, keys: Keys) -> None:
    keys.write(public(EC, kid="old"), public(OTHER_EC, kid="new"))
    assert refusal(sign(EC, "ES256", "new")).startswith("invalid")
    assert "names no key" in refusal(sign(EC, "ES256", "older"))


def test_keys_rotate_without_a_restart(platform: Flask, keys: Keys) -> None:
    keys.write(public(EC, kid="old"))
    launches.accept(sign(EC, "ES256", "old"))
    keys.write(public(EC, kid="old"), public(OTHER_EC, kid="new"))
    launches.accept(sign(EC, "ES256", "old"))
    launches.accept(sign(OTHER_EC, "ES256", "new"))
    keys.write(public(OTHER_EC, kid="new"))
    assert "names no key" in refusal(sign(EC, "ES256", "old"))
    launches.accept(sign(OTHER_EC, "ES256", "new"))


def test_with_a_half_written_file_keys_go_on(platform: Flask, keys: Keys, caplog: pytest.LogCaptureFixture) -> None:
    launches.accept(sign(EC, "ES256", "ec"))
    keys.path.write_text('{"keys": [')
    launches.accept(sign(EC, "ES256", "ec"))
    assert "PORTAL_LAUNCH_JWKS can't be used as it is now" in caplog.text
    keys.path.unlink()
    launches.accept(sign(EC, "ES256", "ec"))


def _public_bytes() -> list[bytes]:
    """A public key in every form in which a library could take it for a secret."""
    return [
        *(key.as_pem(private=False) for key in (RSA, EC, ED)),
        *(json.dumps(public(key)).encode() for key in (RSA, EC, ED)),
        *(json.dumps(public(key), separators=(",", ":")).encode() for key in (RSA, EC, ED)),
        public(RSA)["n"].encode(), public(EC)["x"].encode(), public(ED)["x"].encode(),
    ]  # fmt: skip


@pytest.mark.parametrize("kid", [None, "rsa", "ec", "ed"])
def test_no_public_key_can_be_taken_for_a_shared_secret(platform: Flask, keys: Keys, kid: str | None) -> None:
    launches.verify_token(sign(EC, "ES256", "ec"))
    forgeries = [*_public_bytes(), keys.path.read_bytes()]
    for secret in forgeries:
        assert refusal(by_secret(secret, kid)).startswith("invalid")
    assert len(forgeries) == 13


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "", "HS512", "PS256", "ES512", "RS1"])
@pytest.mark.parametrize("kid", [None, "rsa"])
def test_an_algorithm_that_is_no_keys_own_is_refused(platform: Flask, alg: str, kid: str | None) -> None:
    header = {"alg": alg} | ({"kid": kid} if kid else {})
    assert refusal(by_hand(header)).startswith("invalid")
    assert refusal(by_hand(header, b"x" * 64)).startswith("invalid")


def test_a_key_is_not_used_with_anothers_algorithm(platform: Flask) -> None:
    assert "no key of ours" in refusal(sign(RSA, "RS256", "ec"))
    assert "no key of ours" in refusal(sign(EC, "ES256", "rsa"))
    assert "no key of ours" in refusal(sign(RSA, "PS256", "rsa"))


@pytest.mark.parametrize("smuggled", ["jwk", "jku", "x5u"])
def test_a_key_that_the_token_brings_along_is_not_used(platform: Flask, smuggled: str) -> None:
    value = public(OTHER_EC) if smuggled == "jwk" else "https://evil.example/jwks.json"
    header = {"alg": "ES256", "kid": "ec", smuggled: value}
    token = jwt.encode(header, claims(), OTHER_EC, algorithms=["ES256"])
    assert refusal(token).startswith("invalid")


def test_with_keys_alone_the_shared_secret_is_off(app: Flask, options: dict[str, Any], keys: Keys) -> None:
    with app.app_context():
        token = launches.make_token("acme")
        assert launches.verify_token(by_secret(SECRETS["launch_secret"].encode(), None)), "the forger's tool works"
    made = create_app(**options | {"launch_jwks": keys.path, "launch_secret": ""})
    with made.app_context():
        for signed in (token, by_secret(b"", None)):
            assert "no key of ours" in refusal(signed)
        said = made.test_cli_runner().invoke(args=["launch-link", "--tenant", "acme"])
    assert said.exit_code == 1 and "Only the platform can sign a launch here" in said.output


def test_the_log_says_why_and_holds_nothing_of_the_token(
    app: Flask, options: dict[str, Any], keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    client: FlaskClient = create_app(**options | {"launch_jwks": keys.path}).test_client()
    token = sign(EC, "ES256", "canary-kid\nlaunch refused: forged line")
    with caplog.at_level(logging.WARNING, "portal.launch"):
        answer = client.post("/launch", data={"token": token})
    assert answer.status_code == 401 and "incomplete or was changed" in answer.text
    assert "launch refused: invalid: its kid names no key" in caplog.text
    assert "canary-kid" not in caplog.text and not any(part in caplog.text for part in token.split("."))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no JWK set"),
        ("[]", "no JWK set"),
        ("[" * 100_000, "no JWK set"),
        ('{"keys": [1]}', "no JWK set"),
        ('{"keys": []}', "no key in it"),
        ('{"keys": [{"kty": "EC"}]}', "can't be read"),
        (json.dumps({"keys": [dict(EC.as_dict(private=True))]}), "private key"),
        (json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}), "private key"),
        (json.dumps({"keys": [public(EC, kid="a"), public(ED, kid="a")]}), "same kid"),
        (json.dumps({"keys": [public(EC, alg="RS256")]}), "not for ES256"),
        (json.dumps({"keys": [public(EC, use="enc")]}), "not for ES256"),
        (json.dumps({"keys": [public(ECKey.generate_key("P-384"))]}), "not for ES256"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(content)
    with pytest.raises(SettingsError, match=why) as error:
        load_settings(instance_path=tmp_path, launch_jwks=path, **SECRETS)
    assert str(error.value).startswith("PORTAL_LAUNCH_JWKS") and "\n" not in str(error.value)
    with pytest.raises(SettingsError, match="no such file"):
        load_settings(instance_path=tmp_path, launch_jwks=tmp_path / "nowhere.json", **SECRETS)


def part(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


DEEP = "[" * 2500 + "]" * 2500


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ('{"alg":"HS256"}', DEEP),
        ('{"alg":"HS256"}', '{"sub":' + DEEP + "}"),
        (DEEP, "{}"),
        ('{"alg":"HS256","kid":' + DEEP + "}", "{}"),
        ("[1]", "{}"),
        ("1", "{}"),
        ('{"alg":["HS256"]}', "{}"),
        ('{"alg":"HS256","crit":[1]}', "{}"),
        ('{"alg":"HS256","b64":false}', "{}"),
        ('{"alg":"HS256"}', "1"),
        ('{"alg":"HS256"}', '{"iat":' + "9" * 5000 + "}"),
        ('{"alg":"HS256"}', '{"iat":1e999,"exp":NaN,"aud":[[]],"role":{}}'),
        ('{"alg":"HS256"}', '{"aud":"absender","iss":{"a":[]},"sub":"\\ud800"}'),
    ],
)  # fmt: skip
def test_whatever_a_signed_token_holds_it_is_refused(app: Flask, header: str, body: str) -> None:
    signed = f"{part(header.encode())}.{part(body.encode())}"
    token = f"{signed}.{part(hmac.digest(b'l' * 40, signed.encode(), 'sha256'))}"
    answer = app.test_client().post("/launch", data={"token": token})
    assert answer.status_code == 401 and "could not be opened" in answer.text


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "." * 5000, "\ud800", "é.é.é", "x" * 100_000])
def test_whatever_is_no_token_is_refused(app: Flask, token: str) -> None:
    with app.app_context(), pytest.raises(LaunchRefused):
        launches.verify_token(token)


@pytest.mark.filterwarnings("ignore:Key size")
def test_a_weak_rsa_key_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [public(RSAKey.generate_key(1024))]}))
    with pytest.raises(SettingsError, match="2,048 bits"):
        load_settings(instance_path=tmp_path, launch_jwks=path, **SECRETS)
