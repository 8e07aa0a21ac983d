"""Suspects: mail that lanes died with before its dot, and how it is tried again (docs/decisions/0018).

Some mail may kill every worker that takes it up, or hold it for longer than its lease. Nobody can tell from the outside
which of the claimed ones it was, or whether somebody killed the worker for another reason. So whatever a dead lane had
claimed and not brought to its dot is claimed alone from then on, and a release counts for what was at hand and nothing
else. At the third release the message is set aside. Of several suspects the one with the fewest releases is tried next,
whenever they are due: no message meets its third death before every other suspect of its route has met its second.

A process dies with all of its drains. So a message that has met its second death is tried while no other such one is,
whatever its route: what dies beside it has not met its own second yet, and the third death is nobody's but its own.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Text, bindparam, cast, exists, func, or_, select
from sqlalchemy.orm import aliased

from portal.db.prepared import Statement, is_postgresql
from portal.models import Message, statement_time
from portal.models.message import IS_SUSPECT

EXCLUSIVE = 2  # releases from which on a message is tried while no other such one is
_OTHER = aliased(Message)
# Whether a waiting message may be claimed now, as far as others are concerned.
MAY_BE_TRIED = or_(
    Message.releases < EXCLUSIVE, ~exists().where(_OTHER.lane_id.is_not(None), _OTHER.releases >= EXCLUSIVE)
)
_NEXT = Statement(
    select(Message.id, Message.releases)
    .where(Message.route == bindparam("on_route"), IS_SUSPECT, Message.due_at <= statement_time(), MAY_BE_TRIED)
    .order_by(Message.releases, Message.due_at, Message.id)
    .limit(1)
    .with_for_update(skip_locked=True, of=Message)
)
_ONE_AT_A_TIME = Statement(
    select(cast(func.pg_advisory_xact_lock(func.hashtextextended("a suspect that is tried alone", 0)), Text))
)


def next_of(route: Any) -> list[Any]:
    """The one message to be claimed alone: of the route's suspects that may be tried, the one with the fewest releases.

    Within the transaction that claims it.
    """
    found = _NEXT.rows(on_route=route)
    if found and found[0].releases >= EXCLUSIVE and is_postgresql():
        _ONE_AT_A_TIME.rows()  # until the commit: another lane may be claiming one; SQLite has one writer anyway
        found = _NEXT.rows(on_route=route)
    return found
