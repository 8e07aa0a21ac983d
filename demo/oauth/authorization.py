"""Authlib's authorization server as Google and Microsoft run theirs: PKCE, codes once, renewal, id_token."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, InvalidRequestError, InvalidScopeError, OAuth2Error, grants
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, Response

from demo.oauth import answers
from demo.oauth.brands import Person
from demo.oauth.faults import NO_SCOPE, STRICT, TEXT_EXPIRY
from demo.oauth.ledger import CODE_SECONDS, Code, Token

if TYPE_CHECKING:
    from demo.oauth.provider import Provider

_AUTH_METHODS = ["client_secret_post", "client_secret_basic"]


@dataclass
class Client(ClientMixin):
    """The app as it is registered. May be changed while it runs."""

    client_id: str
    client_secret: str
    redirect_uris: list[str]

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        return None  # both want it said

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return secrets.compare_digest(client_secret.encode(), self.client_secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in _AUTH_METHODS

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in ("authorization_code", "refresh_token")


@dataclass
class Consent:
    """Who signed in and to what they agreed."""

    person: Person
    scope: str
    offline: bool


class _Pkce(CodeChallenge):
    """Asks for it: Authlib's own `required` is for clients without a secret only, and would take `plain`."""

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("This stand-in wants a code_challenge with the method S256 (RFC 7636).")
        super().validate_code_challenge(grant, redirect_uri)


class _CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = _AUTH_METHODS

    def save_authorization_code(self, code: str, request: Any) -> None:
        consent, data = request.user, request.payload.data
        self.server.provider.ledger.add_code(code, Code(
            request.payload.client_id, consent.person.address, consent.scope, request.payload.redirect_uri,
            data["code_challenge"], data.get("nonce", ""), consent.offline, time.time() + CODE_SECONDS,
        ))  # fmt: skip

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found = self.server.provider.ledger.spend_code(code)
        return found if found and found.client_id == client.client_id else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        pass  # it is spent by now

    def authenticate_user(self, authorization_code: Code) -> Person | None:
        return self.server.provider.brand.person(authorization_code.person)

    def generate_token(self, *args: Any, **options: Any) -> dict[str, Any]:
        options["include_refresh_token"] = self.request.authorization_code.offline
        if wanted := (self.request.payload.scope or "").split():
            options["scope"] = " ".join(one for one in options["scope"].split() if one in wanted)
        return super().generate_token(*args, **options)


class _RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = _AUTH_METHODS

    @property
    def INCLUDE_NEW_REFRESH_TOKEN(self) -> bool:
        return self.server.provider.rotates

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
        token = self.server.provider.ledger.refresh(refresh_token)
        return None if token is None or token.dead else token

    def authenticate_user(self, refresh_token: Token) -> Person | None:
        return self.server.provider.brand.person(refresh_token.person)

    def revoke_old_credential(self, refresh_token: Token) -> None:
        # At Microsoft the old one stays good: nobody may count on that, hence the stricter mood.
        if self.server.provider.moods.tokens == STRICT:
            self.server.provider.ledger.kill_one(refresh_token)


class _IdToken(OpenIDCode):
    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self.provider = provider

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return False

    def resolve_client_private_key(self, client: Client) -> Any:
        return self.provider.key

    def get_encode_header(self, client: Client) -> dict[str, str]:
        return {"alg": "RS256", "kid": self.provider.key.kid or ""}

    def get_client_claims(self, client: Client) -> dict[str, str]:
        return {"iss": self.provider.issuer, "aud": client.client_id}

    def generate_user_info(self, user: Person, scope: str) -> dict[str, Any]:
        return self.provider.claims(user, scope)


class Server(AuthorizationServer):
    """Authlib's server of one provider; what it answers is put into that provider's form."""

    def __init__(self, app: Flask, provider: Provider) -> None:
        super().__init__(app, self._client, self._save)
        self.provider = provider
        brand = provider.brand
        self.scopes_supported = list(brand.scopes)
        self.register_token_generator("default", BearerTokenGenerator(
            lambda **_: _text(brand.access_prefix, brand.access_length),
            lambda **_: _text(brand.refresh_prefix, 100),
            lambda *_: provider.moods.token_seconds,
        ))  # fmt: skip
        self.register_grant(_CodeGrant, [_Pkce(), _IdToken(provider)])
        self.register_grant(_RefreshGrant)

    def _client(self, client_id: str) -> Client | None:
        client = self.provider.client
        return client if client_id == client.client_id else None

    def _save(self, token: dict[str, Any], request: Any) -> None:
        """Keep what was made, then name it as this provider does."""
        provider, scope = self.provider, token["scope"]
        whose = request.client.client_id, request.user.address
        provider.ledger.add_access(token["access_token"], Token(*whose, scope, time.time() + token["expires_in"]))
        if "refresh_token" in token:
            # It covers all that was agreed to, whatever this access token is for.
            agreed = request.refresh_token or request.authorization_code
            provider.ledger.add_refresh(token["refresh_token"], Token(*whose, agreed.get_scope()))
        shown = [provider.brand.shown_as.get(one, one) for one in scope.split() if one != "offline_access"]
        token["scope"] = " ".join(shown)

    def generate_token(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Microsoft's tokens are for one resource each."""
        if len({one.split("/")[2] for one in options["scope"].split() if "://" in one}) > 1 and self.provider.rotates:
            raise InvalidScopeError("The provided value for scope is not valid: it has scopes of several resources.")
        return super().generate_token(*args, **options)

    def create_token_response(self, request: Any = None) -> Response:
        response = super().create_token_response(request)
        mood, token = self.provider.moods.tokens, response.get_json()
        if response.status_code == 200 and mood in (NO_SCOPE, TEXT_EXPIRY):
            if mood == NO_SCOPE:
                del token["scope"]
            else:
                token["expires_in"] = str(token["expires_in"])
            response.set_data(json.dumps(token))
        return response

    def handle_error_response(self, request: Any, error: OAuth2Error) -> Response:
        if error.redirect_uri:
            return super().handle_error_response(request, error)
        return answers.refused(self.provider, request, error)


def _text(prefix: str, length: int) -> str:
    return prefix + secrets.token_urlsafe(length)[: length - len(prefix)]
