"""Retention: what has served its purpose goes, in small batches, so that nobody waits for a long transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select

from portal.db import sqlite
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import (
    BurntToken,
    DriverTest,
    EndedSession,
    IdempotencyKey,
    MailCount,
    Refusal,
    RefusedSignIn,
    Removal,
    Revocation,
    SignInLink,
    utcnow,
)
from portal.services import limits
from portal.services.drivers import guesses
from portal.services.operations import time_watch
from portal.services.outbox import idempotency

_BATCH = 500
_LAUNCHES = timedelta(minutes=5)  # longer than one is good, and than clocks differ
_TESTS = timedelta(days=1)  # they hold a password, encrypted; a pass is good for 30 minutes
_LINKS = timedelta(days=2)  # so long a sign-in link's page can say whether it was used or is too old
_REFUSALS = timedelta(days=1)  # they count for some minutes, or for an hour where a day's quota was named
_REVOCATIONS = timedelta(days=60)  # a shop is kept from asking again for half as long


def clean_up() -> int:
    """Delete some of each kind; the clock's work. Returns how many rows went."""
    if not time_watch.may_delete():
        return 0
    now = utcnow()
    return (
        _delete(BurntToken.jti, BurntToken.expires_at < now - _LAUNCHES)
        + _delete(Removal.id, Removal.at < now - _LAUNCHES)
        + _delete(EndedSession.id, EndedSession.ends_at < now)
        + _delete(DriverTest.id, DriverTest.created_at < now - _TESTS)
        + _delete(RefusedSignIn.key, RefusedSignIn.at < now - guesses.KEPT)
        + _delete(SignInLink.id, SignInLink.created_at < now - _LINKS)
        + _delete(MailCount.id, MailCount.at < now - limits.KEPT)
        + _delete(Refusal.message_id, Refusal.at < now - _REFUSALS)
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
