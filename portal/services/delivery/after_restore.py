"""After an older back-up was restored: what was on its way then may long have arrived, so nothing is sent unasked."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, insert, or_, select, update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane, LogEntry, Message, now, utcnow
from portal.models.message import IS_HELD, IS_WAITING
from portal.services.delivery import outcome_log

_BATCH = 500
# A driver's test mail is not among them: it has no lane, and ends by itself.
_ON_THE_WAY = or_(IS_WAITING, IS_HELD, and_(Message.lane_id.is_not(None), Message.state == "sending"))


class StillWorking(Exception):
    """A lane is leased: a worker sends mail meanwhile."""


def count(before: datetime) -> int:
    """How many messages accepted before then have not ended."""
    return db.session.scalar(select(func.count()).select_from(Message).where(_unfinished(before))) or 0


def end_unconfirmed(before: datetime) -> int:
    """End them as `unconfirmed`; their log says why. Returns how many. Raises StillWorking.

    The back-up may hold the leases of workers of then; one that has run out counts as none.
    """
    with transaction() as session:
        if session.scalar(select(Lane.id).where(Lane.leased_until > now()).limit(1)):
            raise StillWorking
    done = 0
    while ended := _end_some(before):
        done += ended
    return done


def _unfinished(before: datetime) -> ColumnElement[bool]:
    return and_(_ON_THE_WAY, Message.accepted_at < before)


def _end_some(before: datetime) -> int:
    with transaction() as session:
        ids = session.scalars(select(Message.id).where(_unfinished(before)).limit(_BATCH)).all()
        ended = session.execute(
            update(Message)
            .where(Message.id.in_(ids), _ON_THE_WAY)
            .values(
                state="unconfirmed", reason="restored", finished_at=utcnow(), lane_id=None, attempt=Message.attempt + 1
            )
            .returning(Message.id, Message.tenant_id, Message.public_id, Message.route, Message.attempt)
            .execution_options(synchronize_session=False)
        ).all()
        if ended:
            session.execute(
                insert(LogEntry),
                [
                    {"tenant_id": m.tenant_id, "message_id": m.id, "event": "unconfirmed", "reason": "restored"}
                    for m in ended
                ],
            )
    for m in ended:
        outcome_log.outcome(
            "unconfirmed", m.public_id, tenant=m.tenant_id, route=m.route, lane=None, attempt=m.attempt,
            reason="restored",
        )  # fmt: skip
    return len(ended)
