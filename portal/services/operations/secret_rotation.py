"""Rotating the keys of secrets at rest: every stored secret is encrypted again with the first key."""

from __future__ import annotations

import time

from sqlalchemy import Column, bindparam, select, true, update

from portal import encryption
from portal.db.transaction import transaction
from portal.models import Base
from portal.models.base import EncryptedText

_BATCH = 200
_PAUSE = 0.05  # seconds between two of them


def rotate() -> int:
    """Encrypt every stored secret again, with the first key, in small batches.

    Returns how many. Raises encryption.Unreadable.
    """
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
                changes = [{"row": row_id, "old": token, "new": encryption.renewed(token)} for row_id, token in rows]
                session.connection().execute(anew, changes)
        if not rows:
            return done
        time.sleep(_PAUSE)  # or SQLite, which lets waiters in by chance, keeps everybody else out
        done, last = done + len(rows), rows[-1][0]
