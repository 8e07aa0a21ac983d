"""Retention of mail: bodies and files some days after a message's end, its row by the tenant's plan; never what waits.

Ids follow time, so what is old lies at the beginning of an index, and looking costs nothing where nothing is to go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from portal.config import settings
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Message, MessageAttachment, MessageBody, Tenant, utcnow
from portal.models.message import ENDED
from portal.services import entitlements
from portal.services.operations import time_watch

_BATCH = 50  # messages in one transaction: some ten milliseconds, in which nothing else writes on SQLite
_BREATH = 0.05  # seconds between them at least: who waits for the lock there asks again that often
_FILES = 3  # messages with files in one transaction: up to 30 MB
_SECONDS = 0.5  # the clock has other work; the rest goes at the next call
_LOOK = 500  # rows read at a time


def clean_up() -> int:
    """Delete some of each; the clock's work. Returns how many rows went."""
    return delete_bodies() + delete_messages() if time_watch.may_delete() else 0


def delete_bodies() -> int:
    """Delete bodies and files of messages that ended PORTAL_BODY_RETENTION_DAYS ago. Returns how many went."""
    before = utcnow() - timedelta(days=settings().body_retention_days)
    return _each_batch(_old_bodies(before), _delete_bodies)


def delete_messages() -> int:
    """Delete what ended longer ago than the tenant's plan keeps its log, with all that belongs to it."""
    return _each_batch(_old_messages(utcnow()), _delete_messages)


def _each_batch(batches: Iterator[Sequence[int]], remove: Callable[[Sequence[int]], int]) -> int:
    """A transaction for each batch, and for as long as it took a chance for those who wait to write; stops in time."""
    until = time.monotonic() + _SECONDS
    gone = 0
    for ids in batches:
        started = time.monotonic()
        gone += remove(ids)
        ended = time.monotonic()
        if ended > until:
            break
        time.sleep(max(_BREATH, ended - started))
    db.session.rollback()
    return gone


def _delete_bodies(ids: Sequence[int]) -> int:
    with transaction() as session:
        session.execute(
            delete(MessageAttachment)
            .where(MessageAttachment.message_id.in_(ids))
            .execution_options(synchronize_session=False)
        )
        done = session.execute(
            delete(MessageBody).where(MessageBody.message_id.in_(ids)).execution_options(synchronize_session=False)
        )
    return int(done.rowcount)  # type: ignore[attr-defined]


def _delete_messages(ids: Sequence[int]) -> int:
    with transaction() as session:
        done = session.execute(
            delete(Message)
            .where(Message.id.in_(ids), Message.state.in_(ENDED))
            .execution_options(synchronize_session=False)
        )
    return int(done.rowcount)  # type: ignore[attr-defined]


def _old_bodies(before: datetime) -> Iterator[Sequence[int]]:
    """Ids of ended messages that still have a body, from the oldest body on, until they are too young to have ended."""
    last = 0
    while True:
        rows = db.session.execute(
            select(MessageBody.message_id, MessageBody.attachments, Message.accepted_at, Message.finished_at)
            .join(Message, Message.id == MessageBody.message_id)
            .where(MessageBody.message_id > last)
            .order_by(MessageBody.message_id)
            .limit(_LOOK)
        ).all()
        old = [row for row in rows if row.finished_at is not None and row.finished_at < before]
        plain = [row.message_id for row in old if not row.attachments]
        loaded = [row.message_id for row in old if row.attachments]
        yield from (plain[begin : begin + _BATCH] for begin in range(0, len(plain), _BATCH))
        yield from (loaded[begin : begin + _FILES] for begin in range(0, len(loaded), _FILES))
        if len(rows) < _LOOK or rows[-1].accepted_at >= before:
            return
        last = rows[-1].message_id


def _old_messages(now: datetime) -> Iterator[Sequence[int]]:
    """Ids of ended messages beyond their tenant's retention, tenant by tenant."""
    for tenant_id, before in _tenants_with_old(now):
        for state in ENDED:
            yield from _old_of(tenant_id, state, before)


def _tenants_with_old(now: datetime) -> list[tuple[int, datetime]]:
    """The tenants whose oldest message is beyond its plan's retention, and where that begins.

    The oldest is a scalar subquery: one look at the index per tenant, which no planner can turn into a scan of all.
    """
    oldest = (
        select(Message.accepted_at)
        .where(Message.tenant_id == Tenant.id)
        .order_by(Message.accepted_at, Message.id)
        .limit(1)
        .scalar_subquery()
    )
    known = entitlements.known()
    longest = max(plan.log_retention_days for plan in known.values())
    rows = db.session.execute(select(Tenant.id, Tenant.plan, oldest.label("oldest")).order_by(Tenant.id)).all()
    found = []
    for tenant_id, plan, first in rows:
        # A plan that has gone from the file is no reason to delete anything early.
        days = known[plan].log_retention_days if plan in known else longest
        before = now - timedelta(days=days)
        if first is not None and first < before:
            found.append((tenant_id, before))
    return found


def _old_of(tenant_id: int, state: str, before: datetime) -> Iterator[Sequence[int]]:
    """By (tenant, state, id): mail that waits lies elsewhere in this index, so it is not even looked at."""
    last = 0
    while True:
        rows = db.session.execute(
            select(Message.id, Message.accepted_at, Message.finished_at, MessageBody.attachments)
            .outerjoin(MessageBody, MessageBody.message_id == Message.id)
            .where(Message.tenant_id == tenant_id, Message.state == state, Message.id > last)
            .order_by(Message.id)
            .limit(_LOOK)
        ).all()
        old = [row for row in rows if (row.finished_at or row.accepted_at) < before]
        plain = [row.id for row in old if not row.attachments]
        loaded = [row.id for row in old if row.attachments]  # of a body that is kept as long as its row
        yield from (plain[begin : begin + _BATCH] for begin in range(0, len(plain), _BATCH))
        yield from (loaded[begin : begin + _FILES] for begin in range(0, len(loaded), _FILES))
        if len(rows) < _LOOK or rows[-1].accepted_at >= before:
            return
        last = rows[-1].id
