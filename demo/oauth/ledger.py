"""The codes and tokens that a stand-in has given out. Refresh tokens outlive a restart: a saved driver works again."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from authlib.oauth2.rfc6749 import TokenMixin
from authlib.oidc.core import AuthorizationCodeMixin

CODE_SECONDS = 600
MOST_REFRESH_TOKENS = 100  # live ones per person and app: Google drops the oldest, without a word


@dataclass
class Code(AuthorizationCodeMixin):
    """An authorization code. `offline`: a refresh token comes with it."""

    client_id: str
    person: str
    scope: str
    redirect_uri: str
    code_challenge: str
    nonce: str
    offline: bool
    expires_at: float
    code_challenge_method: str = "S256"

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> None:
        return None

    get_acr = get_amr = get_auth_time


@dataclass
class Token(TokenMixin):
    """A refresh token, or an access token; the latter have an end."""

    client_id: str
    person: str
    scope: str
    expires_at: float = 0.0
    dead: bool = False

    def check_client(self, client: Any) -> bool:
        return bool(client.get_client_id() == self.client_id)

    def get_scope(self) -> str:
        return self.scope

    def is_expired(self) -> bool:
        return bool(self.expires_at) and self.expires_at <= time.time()

    def is_revoked(self) -> bool:
        return self.dead


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Ledger:
    """Holds digests, never a token itself. `file`: where refresh tokens are kept, if anywhere."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._codes: dict[str, Code] = {}
        self._spent: set[str] = set()
        self._access: dict[str, Token] = {}
        kept = json.loads(file.read_text()) if file and file.exists() else {}
        self._refresh = {digest: Token(**values) for digest, values in kept.items()}

    def add_code(self, text: str, code: Code) -> None:
        with self._lock:
            self._codes[_digest(text)] = code

    def spend_code(self, text: str) -> Code | None:
        """The code, once, within ten minutes: also an attempt that is refused afterwards spends it."""
        with self._lock:
            code = self._codes.pop(_digest(text), None)
            self._spent.add(_digest(text))
        return code if code and code.expires_at > time.time() else None

    def was_spent(self, text: str) -> bool:
        return _digest(text) in self._spent

    def add_access(self, text: str, token: Token) -> None:
        with self._lock:
            self._access = {digest: one for digest, one in self._access.items() if not one.is_expired()}
            self._access[_digest(text)] = token

    def access(self, text: str) -> Token | None:
        """The access token, if it is good now."""
        token = self._access.get(_digest(text))
        return None if token is None or token.dead or token.is_expired() else token

    def add_refresh(self, text: str, token: Token) -> None:
        with self._lock:
            self._refresh[_digest(text)] = token
            same = [key for key, one in self._refresh.items()
                    if (one.person, one.client_id, one.dead) == (token.person, token.client_id, False)]  # fmt: skip
            for digest in same[:-MOST_REFRESH_TOKENS]:
                del self._refresh[digest]
            self._keep()

    def refresh(self, text: str) -> Token | None:
        """The refresh token, dead ones as well."""
        return self._refresh.get(_digest(text))

    def has_consent(self, person: str) -> bool:
        return self.live_refresh_tokens(person) > 0

    def live_refresh_tokens(self, person: str) -> int:
        with self._lock:
            return sum(one.person == person and not one.dead for one in self._refresh.values())

    def kill(self, person: str, *, access_too: bool) -> None:
        """What withdrawing access does: all refresh tokens of this person die."""
        with self._lock:
            for one in [*self._refresh.values(), *(self._access.values() if access_too else ())]:
                one.dead = one.dead or one.person == person
            self._keep()

    def kill_one(self, token: Token) -> None:
        with self._lock:
            token.dead = True
            self._keep()

    def end_access(self) -> None:
        """Let all access tokens run out now; refresh tokens stay."""
        with self._lock:
            self._access.clear()

    def _keep(self) -> None:
        if self._file is None:
            return
        unfinished = self._file.with_suffix(".new")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({digest: asdict(one) for digest, one in self._refresh.items()}, file)
        unfinished.replace(self._file)
