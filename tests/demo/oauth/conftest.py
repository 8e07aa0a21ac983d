"""Apps that are registered at the stand-ins and speak Authlib's client, as the portal does."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet

from demo.oauth.brands import GOOGLE_SEND, MICROSOFT_SEND
from demo.oauth.provider import Provider
from tests.support.oauth_provider import CLIENT_ID, CLIENT_SECRET, Answer, OAuthProvider

CALLBACK = "http://localhost:9/oauth/callback"
SCOPES = {
    "gmail": f"openid email {GOOGLE_SEND}",
    "microsoft365": f"{MICROSOFT_SEND} https://graph.microsoft.com/User.Read offline_access openid email profile",
}
MAIL = b"From: Shop <%s>\r\nTo: Carla <carla@customer.example>\r\nMessage-ID: <1@shop>\r\nSubject: Hi\r\n\r\nHello\r\n"


class App:
    """The app at one of the stand-ins."""

    def __init__(self, stand_in: OAuthProvider, provider: Provider) -> None:
        self.stand_in = stand_in
        self.provider = provider
        self.urls = stand_in.endpoints()[provider.brand.key]
        self.scope = SCOPES[provider.brand.key]
        self.address = provider.brand.people[0].address
        self.verifier = generate_token(64)

    def session(self, **options: Any) -> OAuth2Session:
        return OAuth2Session(
            CLIENT_ID, CLIENT_SECRET, redirect_uri=CALLBACK, code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_post", **({"scope": self.scope} | options),
        )  # fmt: skip

    def start(self, **params: Any) -> str:
        """The address of the sign-in page."""
        usual = {"access_type": "offline", "prompt": "consent"} if "revoke" in self.urls else {}
        options = {"scope": params.pop("scope")} if "scope" in params else {}
        given = {"code_verifier": self.verifier, "state": "of-this-tab", "nonce": "n-1"} | usual | params
        return self.session(**options).create_authorization_url(self.urls["authorize"], **given)[0]

    def fetch(self, back: Answer, **params: Any) -> requests.Response:
        """The answer to the code."""
        form = {"grant_type": "authorization_code", "code": back.params["code"], "code_verifier": self.verifier}
        return self.token(**(form | {"redirect_uri": CALLBACK} | params))

    def token(self, **form: Any) -> requests.Response:
        secrets = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        sent = {name: value for name, value in (secrets | form).items() if value is not None}
        return requests.post(self.urls["token"], data=sent, timeout=60)

    def sign_in(self, person: str = "", **options: Any) -> dict[str, Any]:
        back = self.stand_in.sign_in(self.start(**options), person)
        answer = self.fetch(back)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def renew(self, token: dict[str, Any], **form: Any) -> requests.Response:
        return self.token(**({"grant_type": "refresh_token", "refresh_token": token["refresh_token"]} | form))

    def send(self, token: dict[str, Any], mail: bytes = b"", timeout: float = 60) -> requests.Response:
        mail, headers = mail or MAIL % self.address.encode(), {"Authorization": f"Bearer {token['access_token']}"}
        if "revoke" in self.urls:
            headers["Content-Type"] = "message/rfc822"
        else:
            headers["Content-Type"], mail = "text/plain", base64.b64encode(mail)
        return requests.post(self.urls["send"], mail, headers=headers, timeout=timeout)

    def account(self, token: dict[str, Any]) -> requests.Response:
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        return requests.get(self.urls["account"], headers=headers, timeout=60)

    def id_token(self, token: dict[str, Any]) -> dict[str, Any]:
        keys = KeySet.import_key_set(requests.get(self.urls["jwks"], timeout=60).json())
        return jwt.decode(token["id_token"], keys, algorithms=["RS256"]).claims


@pytest.fixture(scope="module")
def running() -> Iterator[OAuthProvider]:
    with OAuthProvider(CALLBACK) as stand_in:
        yield stand_in


@pytest.fixture
def stand_in(running: OAuthProvider) -> OAuthProvider:
    """In good mood, and nobody has signed in yet."""
    running.sent.clear()
    for provider in running.providers:
        provider.moods.reset()
        provider.approved = False
        provider.calls.clear()
        for person in provider.brand.people:
            provider.withdraw(person.address)
        provider.ledger.end_access()
    return running


@pytest.fixture
def google(stand_in: OAuthProvider) -> App:
    return App(stand_in, stand_in.google)


@pytest.fixture
def microsoft(stand_in: OAuthProvider) -> App:
    return App(stand_in, stand_in.microsoft)


@pytest.fixture(params=["google", "microsoft"])
def app(request: pytest.FixtureRequest, stand_in: OAuthProvider) -> App:
    """Either."""
    return App(stand_in, getattr(stand_in, request.param))
