"""API keys: shown once when made, kept as a digest."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Text, bindparam, cast, or_, select

from portal.db.prepared import Statement
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import ApiKey, utcnow
from portal.models.api_key import KeyInForce, Scope
from portal.models.base import UTCDateTime
from portal.services.accounts import tenants as shops
from portal.services.errors import InvalidField, NotFound

_PREFIX = "absender_"


def create(
    name: str, *, scopes: Iterable[Scope] = Scope, tenants: Iterable[str] | None = None, until: datetime | None = None
) -> str:
    """Make a key and return it; it can't be had again.

    `tenants` are the platform's ids of those that it is limited to, None for all; they need not exist yet. `until` is
    the moment it ends. Raises InvalidField.
    """
    allowed = None if tenants is None else sorted(set(tenants))
    if allowed is not None and not (allowed and all(map(shops.is_external_id, allowed))):
        raise InvalidField("tenant", "not_an_id")
    if until is not None and until <= utcnow():
        raise InvalidField("until", "past")
    secret = _PREFIX + secrets.token_urlsafe(32)
    with transaction() as session:
        session.add(
            ApiKey(
                name=name, digest=_digest(secret), tenants=allowed, ends_at=until,
                scopes=sorted(set(scopes)),
            )
        )  # fmt: skip
    return secret


def everything() -> list[ApiKey]:
    """All keys, also those that have ended, oldest first."""
    return list(db.session.scalars(select(ApiKey).order_by(ApiKey.id)))


def revoke(key_id: int) -> tuple[ApiKey, bool]:
    """End the key for good, from the next request on. Returns it and whether it was not revoked before.

    Raises NotFound.
    """
    with transaction() as session:
        key = session.get(ApiKey, key_id, with_for_update=True, populate_existing=True)
        if key is None:
            raise NotFound
        revoked = key.revoked_at is None
        if revoked:
            key.revoked_at = utcnow()
    return key, revoked


# Each request asks: past the session, and compiled once (docs/benchmarks.md).
_IN_FORCE = Statement(
    select(ApiKey.id, ApiKey.name, cast(ApiKey.scopes, Text), cast(ApiKey.tenants, Text)).where(
        ApiKey.digest == bindparam("digest"),
        ApiKey.revoked_at.is_(None),
        or_(ApiKey.ends_at.is_(None), ApiKey.ends_at > bindparam("at", type_=UTCDateTime)),
    )
)


def authenticate(secret: str) -> KeyInForce | None:
    """The key behind this secret as it is now, unless it is unknown, revoked or past its end."""
    row = _IN_FORCE.glance(digest=_digest(secret), at=utcnow())
    if row is None:
        return None
    number, name, scopes, tenants = row
    return KeyInForce(number, name, json.loads(scopes), json.loads(tenants) if tenants is not None else None)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
