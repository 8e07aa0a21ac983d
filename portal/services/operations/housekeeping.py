"""Retention: what has served its purpose goes, in small batches, so that nobody waits for a long transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select

from portal.db import sqlite
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import BurntToken, DriverTest, IdempotencyKey, Revocation, SignInLink, VerificationMail, utcnow
from portal.services.outbox import idempotency

_BATCH = 500
_TESTS = timedelta(days=1)  # they hold a password, encrypted; a pass is good for 30 minutes
_LINKS = timedelta(days=1)  # so long a sign-in link's page can say whether it was used or is too old
_LONGEST_LIMIT = timedelta(days=2)  # the limits on verification mail look back a day
_REVOCATIONS = timedelta(days=60)  # a shop is kept from asking again for half as long


def clean_up() -> int:
    """Delete some of each kind; the clock's work. Returns how many rows went."""
    now = utcnow()
    return (
        _delete(BurntToken.jti, BurntToken.expires_at < now - timedelta(minutes=5))
        + _delete(DriverTest.id, DriverTest.created_at < now - _TESTS)
        + _delete(SignInLink.id, SignInLink.created_at < now - _LINKS)
        + _delete(VerificationMail.id, VerificationMail.at < now - _LONGEST_LIMIT)
        + _delete(Revocation.id, Revocation.at < now - _REVOCATIONS)
        + _delete(IdempotencyKey.id, IdempotencyKey.created_at < now - idempotency.KEPT)
    )


def checkpoint() -> None:
    """Carry SQLite's write-ahead log over into the database, so that nobody who sends waits for the disk."""
    sqlite.checkpoint(db.engine)


def _delete(key: Any, old: ColumnElement[bool]) -> int:
    with transaction() as session:
        done = session.execute(
            delete(key.class_)
            .where(key.in_(select(key).where(old).limit(_BATCH).with_for_update(skip_locked=True)))
            .execution_options(synchronize_session=False)
        )
    return int(done.rowcount)  # type: ignore[attr-defined]
