"""An account at a provider's API, and how the provider's words are kept free of its token."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import quote, urlsplit

from portal.transport import destinations

MAX_TEXT = 1000  # characters of what is stored and shown of an answer
_TOKEN = re.compile(r"[\x21-\x7e]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{4,}", re.I)
_NAMED = re.compile(
    r"""\b(access_token|refresh_token|id_token|client_secret|api_?key)(["']?\s?[:=]\s?["']?)[^\s"'&,}]+""", re.I
)


@dataclass(frozen=True)
class HTTPAccount:
    """An account at a provider's API. `service` is a key of registry.SERVICES, `token` an access token or a key.

    `url`: where a stand-in for the provider listens; that is the operator's word, so it may be on this machine and
    without TLS.
    """

    service: str
    address: str
    token: str = field(repr=False)
    url: str | None = None

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.token):
            raise ValueError("a token must not be empty and must hold nothing but printable ASCII without blanks")
        if self.url is not None and urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError("a stand-in's URL must begin with http:// or https://")

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """Every form in which the token can be echoed; the longest first."""
        forms = {self.token, quote(self.token, safe=""), base64.b64encode(self.token.encode()).decode()}
        return tuple(sorted(forms, key=len, reverse=True))


def policy_for(account: HTTPAccount, policy: destinations.Policy) -> destinations.Policy:
    """What may be dialled for the account: the Web at public addresses, or wherever the operator's stand-in is."""
    if account.url is not None:
        return destinations.Policy(resolver=policy.resolver, unrestricted=True, purpose=destinations.WEB)
    return policy.used_for(destinations.WEB)


def readable(text: str, account: HTTPAccount) -> str:
    """A provider's words fit to be stored and shown: no control characters, no secrets, not too long."""
    for secret in account.secrets:
        text = text.replace(secret, "[removed]")
    text = _BEARER.sub(r"\1 [removed]", _UNPRINTABLE.sub(" ", text[: 4 * MAX_TEXT]))
    return _NAMED.sub(r"\1\2[removed]", text).strip()[:MAX_TEXT]
