"""API keys: shown once, kept as a digest."""

from flask import Flask

from portal.services.accounts import api_keys


def test_a_key_opens_until_it_is_revoked_and_is_stored_nowhere(ctx: Flask) -> None:
    secret = api_keys.create("backend")
    found = api_keys.authenticate(secret)
    assert found and found.name == "backend" and secret not in str(found._asdict())
    assert api_keys.authenticate(secret + "x") is None
    api_keys.revoke(found.id)
    assert api_keys.authenticate(secret) is None
