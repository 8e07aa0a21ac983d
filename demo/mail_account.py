"""A merchant's account at a provider that works like Gmail: an app password, a daily limit, a password that changes."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import string
import threading
import time
from collections import deque
from pathlib import Path

ADDRESS = "shop@gmail-demo.example"
DAY = 24 * 3600
FEW_MAILS = 3
_TRAILER = "gmail-demo - gsmtp"

# Gmail's own words, https://support.google.com/a/answer/3726730
BAD_CREDENTIALS = (
    "535-5.7.8 Username and Password not accepted. For more information, go to\r\n"
    f"535 5.7.8  https://support.google.com/mail/?p=BadCredentials {_TRAILER}"
)
NEEDS_APP_PASSWORD = (
    "534-5.7.9 Application-specific password required. For more information, go to\r\n"
    f"534 5.7.9  https://support.google.com/mail/?p=InvalidSecondFactor {_TRAILER}"
)
LIMIT_EXCEEDED = (
    "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\r\n"
    "550-5.4.5 sending limits go to\r\n"
    f"550 5.4.5  https://support.google.com/a/answer/166852 {_TRAILER}"
)
NOT_SIGNED_IN = (
    "530-5.7.0 Authentication Required. For more information, go to\r\n"
    f"530 5.7.0  https://support.google.com/mail/?p=WantAuthError {_TRAILER}"
)
ACCEPTED = f"250 2.0.0 OK  {_TRAILER}"


class Account:
    """What the provider knows of the account. Kept in `file`: a driver that was saved works after a restart, too."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._sent: deque[float] = deque()
        kept = json.loads(file.read_text()) if file.exists() else {}
        self._passwords: int = kept.get("passwords", 1)
        self._app_password: str = kept.get("app_password", "")
        self.daily_limit: int | None = kept.get("daily_limit")

    @property
    def password(self) -> str:
        """Opens the provider's web pages; SMTP refuses it, as Gmail does."""
        return f"shop-password-{self._passwords}"

    @property
    def has_app_password(self) -> bool:
        return bool(self._app_password)

    @property
    def sent_today(self) -> int:
        """Mails in the last 24 hours, as far as this process has lived through them."""
        with self._lock:
            return self._forget_older()

    def new_app_password(self) -> str:
        """Sixteen letters in groups of four. Only their digest is kept; the one before is dead."""
        letters = "".join(secrets.choice(string.ascii_lowercase) for _ in range(16))
        self._keep(_app_password=_digest(letters))
        return " ".join(letters[start : start + 4] for start in range(0, 16, 4))

    def change_password(self) -> None:
        """All app passwords die with the old one (https://support.google.com/accounts/answer/185833)."""
        self._keep(_passwords=self._passwords + 1, _app_password="")

    def set_daily_limit(self, mails: int | None) -> None:
        self._keep(daily_limit=mails)

    def sign_in(self, username: str, password: str) -> str | None:
        """The refusal, or None. Spaces in an app password don't count."""
        if username.lower() != ADDRESS:
            return BAD_CREDENTIALS
        if password == self.password:
            return NEEDS_APP_PASSWORD
        given = _digest("".join(password.split()))
        return None if hmac.compare_digest(given, self._app_password) else BAD_CREDENTIALS

    def take_mail(self) -> str | None:
        """The refusal, or None: then the mail is counted."""
        with self._lock:
            if self.daily_limit is not None and self._forget_older() >= self.daily_limit:
                return LIMIT_EXCEEDED
            self._sent.append(time.time())
        return None

    def _forget_older(self) -> int:
        while self._sent and self._sent[0] <= time.time() - DAY:
            self._sent.popleft()
        return len(self._sent)

    def _keep(self, **changes: int | str | None) -> None:
        with self._lock:
            self.__dict__.update(changes)
            state = {
                "passwords": self._passwords,
                "app_password": self._app_password,
                "daily_limit": self.daily_limit,
            }
            unfinished = self._file.with_suffix(".new")
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(state, file)
            unfinished.replace(self._file)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
