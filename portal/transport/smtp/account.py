"""An SMTP account, and how the server's words are kept free of its secrets."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal
from urllib.parse import unquote, urlsplit

Encryption = Literal["none", "starttls", "tls"]

MAX_REPLY_TEXT = 1000  # characters
_SCHEMES: dict[str, tuple[Encryption, int]] = {
    "smtp": ("none", 25),
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNPRINTABLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_PAIRS = re.compile(rb"(?:[\x00-\x7f]+|[\x81-\xfe][\x80-\xfe])*")
_AUTH_COMMAND = re.compile(r"\bAUTH[ =]+(PLAIN|LOGIN|XOAUTH2|CRAM-MD5|OAUTHBEARER)[ =]+[A-Za-z0-9+/=]{4,}", re.I)


@dataclass(frozen=True)
class Account:
    """An SMTP account. `exempt`: the platform's own relay, whose address may be private.

    `oauth`: the password is an access token of this provider's, as portal.transport.oauth names it (google, microsoft).
    """

    host: str
    port: int
    encryption: Encryption = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    exempt: bool = False
    oauth: str = ""

    def __post_init__(self) -> None:
        if self.encryption not in ("none", "starttls", "tls"):
            raise ValueError("encryption must be none, starttls or tls")
        if not self.host or not 0 < self.port < 65536:
            raise ValueError("host must not be empty and port must be between 1 and 65535")
        if bool(self.username) != bool(self.password):
            raise ValueError("username and password belong together")
        if self.oauth and not self.password:
            raise ValueError("a sign-in by token needs the token")
        if any(_CONTROL.search(text) for text in (self.host, self.username or "", self.password or "")):
            raise ValueError("host, username and password must not hold control characters")

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """Every form in which the password, or the sign-in as a whole, can be echoed; the longest first."""
        if not self.password or not self.username:
            return ()
        password = self.password
        forms = {plain_response(self), encoded(password), encoded(self.username), password, repr(password)[1:-1]}
        if self.oauth:
            forms.add(token_response(self))
        return tuple(sorted(forms, key=len, reverse=True))

    @classmethod
    def from_url(cls, url: str) -> Account:
        """The relay from its URL: smtp://host:port, smtp+starttls://user:password@host:port or smtps://...

        Raises ValueError with a sentence that never quotes the URL, since that holds a password.
        """
        try:
            parts = urlsplit(url.strip())
            encryption, default_port = _SCHEMES[parts.scheme]
            port = parts.port or default_port
        except KeyError:
            raise ValueError("the relay's URL must begin with smtp://, smtp+starttls:// or smtps://") from None
        except ValueError:
            raise ValueError("the relay's URL is malformed: look at its port and its password") from None
        if not parts.hostname:
            raise ValueError("the relay's URL names no host")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("the relay's URL must end after the port: percent-encode / ? # @ in the password")
        username, password = (unquote(part) if part else None for part in (parts.username, parts.password))
        return cls(parts.hostname, port, encryption, username, password, exempt=True)


def readable(raw: bytes, account: Account) -> str:
    """A reply's text fit to be stored and shown: no control characters, no secrets, not too long."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        # Chinese providers write GBK, whose characters are two octets above ASCII; Latin-1's stand alone among letters.
        text = raw.decode("gb18030" if _PAIRS.fullmatch(raw) else "latin-1")
    text = _UNPRINTABLE.sub(" ", text)
    for secret in account.secrets:
        text = text.replace(secret, "[removed]")
    return _AUTH_COMMAND.sub(r"AUTH \1 [removed]", text)[:MAX_REPLY_TEXT]


def plain_response(account: Account) -> str:
    """The initial response of AUTH PLAIN (RFC 4616)."""
    return encoded(f"\0{account.username}\0{account.password}")


def token_response(account: Account) -> str:
    """The response of AUTH XOAUTH2 (developers.google.com/gmail/imap/xoauth2-protocol)."""
    return encoded(f"user={account.username}\1auth=Bearer {account.password}\1\1")


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
