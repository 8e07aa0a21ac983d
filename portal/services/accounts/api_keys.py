"""API keys: shown once when made, kept as a digest."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import select

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import ApiKey

_PREFIX = "absender_"


def create(name: str) -> str:
    """Make a key and return it; it can't be had again."""
    secret = _PREFIX + secrets.token_urlsafe(32)
    with transaction() as session:
        session.add(ApiKey(name=name, digest=_digest(secret)))
    return secret


def authenticate(secret: str) -> ApiKey | None:
    """The key behind this secret, unless it is unknown or revoked."""
    query = select(ApiKey).where(ApiKey.digest == _digest(secret), ApiKey.revoked_at.is_(None))
    return db.session.scalar(query)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
