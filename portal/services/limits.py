"""How often something may be done to a mailbox or by a tenant, counted in rows of the database.

Unlike portal.web.rate_limits, which counts requests in Redis, these counts survive the loss of Redis.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute

from portal.extensions import db
from portal.models import utcnow

Limits = tuple[tuple[int, timedelta], ...]  # at most so many in so long, each of them


def room_at(at: InstrumentedAttribute[datetime], counted: ColumnElement[bool], limits: Limits) -> datetime | None:
    """When the next one fits in again, by the strictest of the limits; None: now.

    `at` is the column with each row's time, `counted` says which rows count.
    """
    now = utcnow()
    waits = []
    for most, window in limits:
        # Room comes when the oldest of the last `most` rows leaves the window.
        rows = select(at).where(counted, at > now - window).order_by(at.desc())
        oldest = db.session.scalar(rows.offset(most - 1).limit(1))
        if oldest is not None:
            waits.append(oldest + window)
    return max(waits, default=None)


def mailbox_of(address_key: str) -> str:
    """Return the mailbox behind a lower-case address: shop+1@ and shop+2@ are one person's inbox.

    At Gmail dots don't matter either (https://support.google.com/mail/answer/7436150).
    """
    local, _, domain = address_key.rpartition("@")
    local = local.partition("+")[0] or local
    if domain in ("gmail.com", "googlemail.com"):
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"
