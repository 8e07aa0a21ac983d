"""Messages that lanes died with, again and again, before their dot: they wait for the operator, who decides of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from sqlalchemy import and_, select

from portal.db.transaction import after_commit, transaction
from portal.extensions import db
from portal.models import Message, Tenant, utcnow
from portal.models.message import IS_SET_ASIDE, State, is_public_id
from portal.models.route import INTERACTIVE, Route
from portal.reasons import Reason
from portal.services import message_state
from portal.services.message_state import CHANGED, MESSAGE, change
from portal.services.routing import lanes
from portal.services.routing import sender as senders


class SetAside(NamedTuple):
    """One of them, as the operator sees it; `since` is when it was set aside."""

    id: int
    public_id: str
    tenant_id: int
    kind: str
    route: Route
    releases: int
    since: datetime
    ambiguous: int
    expires_at: datetime


_LISTED = select(
    Message.id, Message.public_id, Message.tenant_id, Message.kind, Message.route, Message.releases,
    Message.held_at, Message.ambiguous, Message.expires_at,
).where(IS_SET_ASIDE).order_by(Message.id)  # fmt: skip


def listed(most: int) -> list[SetAside]:
    """The first `most` of them, the oldest first."""
    return [SetAside._make(row) for row in db.session.execute(_LISTED.limit(most))]


def release(public_ids: Sequence[str]) -> list[str]:
    """Send these again, each claimed alone as before; return the ids of those that were set aside.

    They go by the sender in force now, and the time that they were held doesn't count towards giving up.
    """
    return [public_id for public_id in public_ids if _release(public_id)]


def _release(public_id: str) -> bool:
    with transaction() as session:
        row = _find(public_id)
        if row is None:
            return False
        tenant = session.get_one(Tenant, row.tenant_id)
        route = INTERACTIVE if row.route == INTERACTIVE else senders.resolve(tenant).route
        at = utcnow()
        # One release is left on its account, so that it is claimed alone and set aside again after two more.
        again = {"releases": 1, "due_at": at, "expires_at": row.expires_at + (at - row.since), "route": route}
        freed = change([State.HELD], State.QUEUED, reason=None, held_at=None, **again)
        which = and_(MESSAGE.c.id == row.id, MESSAGE.c.reason == Reason.SET_ASIDE)
        done = session.execute(freed.where(which).returning(*CHANGED)).all()
        after_commit(partial(lanes.wake, route))
        return message_state.write(done, State.QUEUED, "resumed", None) == 1


def end(public_ids: Sequence[str]) -> list[str]:
    """End these for good; return the ids of those that were set aside.

    They end as `cancelled`, or as `unconfirmed` where an earlier copy may have arrived.
    """
    return [public_id for public_id in public_ids if _end(public_id)]


def _end(public_id: str) -> bool:
    row = _find(public_id)
    if row is None:
        return False
    state = State.UNCONFIRMED if row.ambiguous else State.CANCELLED
    which = and_(MESSAGE.c.id == row.id, MESSAGE.c.reason == Reason.SET_ASIDE)
    return message_state.end([State.HELD], state, Reason.ENDED_BY_SUPPORT, which) == 1


def _find(public_id: str) -> SetAside | None:
    if not is_public_id(public_id):
        return None
    row = db.session.execute(_LISTED.where(Message.public_id == public_id)).one_or_none()
    return SetAside._make(row) if row is not None else None
