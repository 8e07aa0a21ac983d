"""After an older back-up was restored: what was on its way then may long have arrived, so nothing is sent unasked."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane, Message, now
from portal.models.message import IS_HELD, IS_WAITING, State
from portal.reasons import Reason
from portal.services import message_state
from portal.services.message_state import MESSAGE, ON_THE_WAY

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
    some = select(Message.id).where(_unfinished(before)).limit(_BATCH).scalar_subquery()
    again = {"lane_id": None, "attempt": MESSAGE.c.attempt + 1}  # no drain of then can write to it
    return message_state.end(ON_THE_WAY, State.UNCONFIRMED, Reason.RESTORED, MESSAGE.c.id.in_(some), **again)
