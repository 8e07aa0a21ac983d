"""Other settings for an application that runs, as a start with other PORTAL_* variables would give it."""

from typing import Any

from flask import Flask

from portal.config import load_settings


def configure(app: Flask, **values: Any) -> None:
    """What is read once at the start (secret_key, database_url, redis_url, trusted_proxies) stays as it was."""
    app.extensions["settings"] = load_settings(**app.extensions["settings"].model_dump() | values)
