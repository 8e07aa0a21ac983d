"""Secrets at rest: readable with the keys, re-encrypted with the first of them."""

import pytest
from cryptography.fernet import Fernet
from flask import Flask

from portal import encryption


def test_a_secret_comes_back_and_is_not_what_is_stored(ctx: Flask) -> None:
    token = encryption.encrypt("app-password")
    assert "app-password" not in token
    assert encryption.decrypt(token) == "app-password"


def test_a_secret_of_an_unknown_key_is_told_apart(ctx: Flask) -> None:
    with pytest.raises(encryption.Unreadable):
        encryption.decrypt(Fernet(Fernet.generate_key()).encrypt(b"x").decode())
