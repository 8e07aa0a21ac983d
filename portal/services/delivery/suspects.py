"""Suspects: mail that lanes died with before its dot, and how it is tried again (docs/decisions/0018).

Some mail may kill every worker that takes it up, or hold it for longer than its lease. Nobody can tell from the outside
which of the claimed ones it was, or whether somebody killed the worker for another reason. So whatever a dead lane had
claimed and not brought to its dot is claimed alone from then on, and a release counts for what was at hand and nothing
else. At the third release the message is set aside. Of several suspects the one with the fewest releases is tried next,
whenever they are due: no message meets its third death before every other suspect of its route has met its second.

A process dies with all of its drains. So a message that has met its second death is tried while no other such one is,
whatever its route: what dies beside it has not met its own second yet. And while others wait that have met their second
death, too, none is set aside for its third: a kill from outside hits whichever is at hand. They are tried first, and if
this one dies again once they are sent, it stands alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Text, bindparam, cast, exists, func, or_, select
from sqlalchemy.orm import aliased

from portal.db.prepared import Statement, is_postgresql
from portal.extensions import db
from portal.models import Message, statement_time
from portal.models.message import IS_SUSPECT
from portal.models.route import Route

# At so many releases a message is set aside: for a person, and never as failed.
MOST_RELEASES = 3
MOST_IN_COMPANY = 6  # the same where others are under the same suspicion
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
# Whether another that died as often waits for its turn.
_ANOTHER = (
    select(Message.id)
    .where(
        IS_SUSPECT, Message.releases == EXCLUSIVE, Message.due_at <= statement_time(), Message.id != bindparam("own")
    )
    .limit(1)
)


def is_convicted(message_id: int, releases: int) -> bool:
    """Whether a message that lanes have died with so many times by now is set aside."""
    if releases < MOST_RELEASES or releases >= MOST_IN_COMPANY:
        return releases >= MOST_RELEASES
    return db.session.execute(_ANOTHER, {"own": message_id}).first() is None


def next_of(route: Route) -> list[Any]:
    """The one message to be claimed alone: of the route's suspects that may be tried, the one with the fewest releases.

    Within the transaction that claims it.
    """
    found = _NEXT.rows(on_route=route)
    if found and found[0].releases >= EXCLUSIVE and is_postgresql():
        _ONE_AT_A_TIME.rows()  # until the commit: another lane may be claiming one; SQLite has one writer anyway
        found = _NEXT.rows(on_route=route)
    return found
