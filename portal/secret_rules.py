"""What a secret in the settings must not be: short, an example that everybody can read, one letter repeated."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from cryptography.fernet import Fernet

_MIN_LENGTH = 32
_MIN_TOKEN = 16
# Of 32 random octets about 30 differ; what has fewer than this was typed or filled in.
_MIN_DIFFERENT = 8
# What examples and templates hold in place of a secret: everybody knows it.
_PLACEHOLDER = re.compile(
    r"change.?me|replace.?(me|this)|your.?(own.?)?secret|(demo|default|example|sample).?(secret|key)|insecure|not.?secret",
    re.IGNORECASE,
)
_MAKE = "make your own with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
_MAKE_FERNET = "make one with: python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"


def check_secret(value: str, others: Iterable[str], *, demo: bool) -> None:
    """Raises ValueError with a sentence that never quotes the value, also if it is one of `others`."""
    if len(value) < _MIN_LENGTH:
        raise ValueError(f"must have at least {_MIN_LENGTH} characters")
    if demo:
        return
    if _PLACEHOLDER.search(value):
        raise ValueError(
            f"it is a placeholder that anybody can read in an example, and only the demo may run with one; {_MAKE}"
        )
    if len(set(value)) < _MIN_DIFFERENT:
        raise ValueError(f"it repeats a few characters, so that it can be guessed; {_MAKE}")
    if value in others:
        raise ValueError(f"it is another setting's secret, and whoever has one must not have both; {_MAKE}")


def check_fernet_keys(keys: list[str], others: Iterable[str], *, demo: bool) -> None:
    """Raises ValueError with a sentence that names the key by its place."""
    if not keys:
        raise ValueError("at least one key is needed")
    for number, key in enumerate(keys, 1):
        try:
            Fernet(key)
        except ValueError:
            raise ValueError(f"key {number} is not a Fernet key (32 bytes, url-safe base64)") from None
        if demo:
            continue
        if len(set(base64.urlsafe_b64decode(key))) < _MIN_DIFFERENT:
            raise ValueError(f"key {number} repeats a few bytes, so that it can be guessed; {_MAKE_FERNET}")
        if key in others:
            raise ValueError(f"key {number} is another setting's secret; {_MAKE_FERNET}")


def check_token(value: str) -> None:
    """Raises ValueError for a bearer that can be guessed."""
    if value and len(value) < _MIN_TOKEN:
        raise ValueError(f"must have at least {_MIN_TOKEN} characters")
