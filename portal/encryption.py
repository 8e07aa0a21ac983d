"""Secrets at rest: encrypted by MultiFernet; the first of PORTAL_ENCRYPTION_KEYS encrypts, all of them decrypt."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from portal.config import settings


class Unreadable(Exception):
    """A stored secret was encrypted with a key that is not in PORTAL_ENCRYPTION_KEYS."""


def encrypt(secret: str) -> str:
    return _fernet().encrypt(secret.encode()).decode()


def decrypt(token: str) -> str:
    """Raises Unreadable."""
    try:
        return _fernet().decrypt(token).decode()
    except InvalidToken:
        raise Unreadable from None


def can_read(token: str) -> bool:
    """Whether one of the keys has signed it: told by the signature alone, without decrypting."""
    return any(_has_signed(key, token) for key in settings().encryption_keys)


def _has_signed(key: str, token: str) -> bool:
    try:
        Fernet(key).extract_timestamp(token)
    except InvalidToken:
        return False
    return True


def renewed(token: str) -> str:
    """The same secret, encrypted with the first key. Raises Unreadable."""
    try:
        return _fernet().rotate(token).decode()
    except InvalidToken:
        raise Unreadable from None


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings().encryption_keys])
