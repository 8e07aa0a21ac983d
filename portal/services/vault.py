"""Secrets at rest: encrypted by MultiFernet; the first of PORTAL_ENCRYPTION_KEYS encrypts, all of them decrypt."""

from __future__ import annotations

import time

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Column, bindparam, select, true, update

from portal.config import settings
from portal.models import Base
from portal.models.base import EncryptedText
from portal.services.transaction import transaction

_BATCH = 200
_BREATH = 0.05  # seconds between two of them


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
    try:
        decrypt(token)
    except Unreadable:
        return False
    return True


def rotate() -> int:
    """Encrypt every stored secret anew with the first key, in small batches. Returns how many. Raises Unreadable."""
    return sum(
        _rotate_column(column)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, EncryptedText)
    )


def _rotate_column(column: Column[str]) -> int:
    """Row by row conditional on the old text: a secret that is being replaced meanwhile stays replaced."""
    key = column.table.primary_key.columns[0]
    anew = update(column.table).where(key == bindparam("row"), column == bindparam("old"))
    anew = anew.values({column.name: bindparam("new")})
    done, last = 0, None
    while True:
        with transaction() as session:
            after = key > last if last is not None else true()
            rows = session.execute(
                select(key, column).where(column.is_not(None), after).order_by(key).limit(_BATCH)
            ).all()
            if rows:
                changes = [{"row": row_id, "old": token, "new": _rotated(token)} for row_id, token in rows]
                session.connection().execute(anew, changes)
        if not rows:
            return done
        time.sleep(_BREATH)  # or SQLite, which lets waiters in by chance, keeps everybody else out
        done, last = done + len(rows), rows[-1][0]


def _rotated(token: str) -> str:
    try:
        return _fernet().rotate(token).decode()
    except InvalidToken:
        raise Unreadable from None


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings().encryption_keys])
