"""Refusals of one mail in words that may concern its whole route: whose matter they are (docs/decisions/0018).

A server that says "rate limit exceeded" of one mail may mean its recipient, its sender, or whoever is connected.
Another mail tells: a shared route has to wait only when mail of two tenants to two recipients was refused so, and a
merchant's own when mail to two recipients was, with nothing sent in between. A tenant whose mail alone is refused
waits alone.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, delete, exists, func, insert, or_, select, update

from portal.db.prepared import Statement
from portal.db.transaction import serialize, transaction
from portal.extensions import db
from portal.models import Message, Refusal, now
from portal.models.route import Route
from portal.services.routing import lanes
from portal.services.routing.lanes import Wait

# Seconds after which a refusal says nothing any more of its route: twice the longest usual wait.
_FRESH = 2 * lanes.BACKOFF[-1]
_LATELY = 60  # seconds
# A tenant with so many refused in a row waits: nobody is asked without end what it has refused to everybody.
IN_A_ROW = 10
_IS_FRESH = or_(Refusal.at > now(-_FRESH), Refusal.not_before > now(-_FRESH))
_STANDING = Statement(select(Refusal.tenant_id).where(Refusal.route == bindparam("on_route")))


def standing(route: Route) -> set[int]:
    """The tenants whose mail was refused on the route lately; by the drain's own connection."""
    return {row.tenant_id for row in _STANDING.rows(on_route=route)}


def was_met_by_another(route: Route, tenant_id: int, recipient: str) -> bool:
    """Whether mail of another tenant to another recipient was refused too, and nothing has gone out since.

    Where only one tenant sends, on its own mail service's route, another recipient is enough.
    """
    others: list[ColumnElement[bool]] = [Refusal.route == route, _IS_FRESH]
    others.append(func.lower(Message.to_address) != recipient.lower())
    if route.driver_id is None:
        others.append(Refusal.tenant_id != tenant_id)
    query = select(func.max(Refusal.at)).join(Message, Message.id == Refusal.message_id)
    last = db.session.scalar(query.where(*others))
    return last is not None and not _sent_since(route, last)


def was_refuted(route: Route, tenant_id: int) -> bool:
    """Whether mail has gone out on the route since the first refusal of this tenant's: then it is not the route.

    On a shared route another tenant's mail of the last minute says the same.
    """
    if route.driver_id is None and _sent_since(route, now(-_LATELY), Message.tenant_id != tenant_id):
        return True
    since = select(Refusal.since).where(Refusal.route == route, Refusal.tenant_id == tenant_id, _IS_FRESH)
    first = db.session.scalar(since)
    return first is not None and _sent_since(route, first)


def _sent_since(route: Route, moment: datetime | ColumnElement[datetime], *which: ColumnElement[bool]) -> bool:
    sent = exists().where(Message.route == route, Message.finished_at > moment, Message.state == "sent", *which)
    return bool(db.session.scalar(select(sent)))


def note(
    route: Route, tenant_id: int, message_id: int, reason: str, *, named: int | None = None, counts: bool = True
) -> bool:
    """Write down that this message was refused. Within a transaction; returns whether its tenant has to wait now.

    `named`: the seconds that the server has named. Not `counts`: the route waits, so that the tenant needn't.
    """
    serialize(f"refusal:{route}:{tenant_id}")
    about = (Refusal.route == route, Refusal.tenant_id == tenant_id)
    recipient = func.lower(Message.to_address)
    ours = select(recipient).where(Message.id == message_id).scalar_subquery()
    another = (recipient != ours).label("another")
    query = select(Refusal.in_a_row, _IS_FRESH.label("fresh"), another).join(Message, Message.id == Refusal.message_id)
    before = db.session.execute(query.where(*about)).one_or_none()
    in_a_row = before.in_a_row if before is not None and before.fresh else 0
    if counts and (not in_a_row or (before is not None and before.another)):
        in_a_row += 1
    values = {"message_id": message_id, "at": now(), "in_a_row": in_a_row, "reason": reason, "not_before": None}
    waits = counts and in_a_row >= IN_A_ROW
    if waits:
        values["not_before"] = now(named or lanes.usual_wait(reason, in_a_row - IN_A_ROW))
    if before is None or not before.fresh:
        values["since"] = values["at"]
    if before is None:
        db.session.execute(insert(Refusal).values(route=route, tenant_id=tenant_id, **values))
    else:
        db.session.execute(update(Refusal).where(*about).values(**values))
    return waits


def clear(route: Route, tenant_id: int) -> None:
    """Mail of the tenant got through."""
    with transaction() as session:
        session.execute(delete(Refusal).where(Refusal.route == route, Refusal.tenant_id == tenant_id))


def waits(routes: Collection[Route], tenant_id: int) -> dict[Route, Wait]:
    """On which of these routes the tenant's mail has to wait, and why: the route's own wait, or the tenant's."""
    found = lanes.waits(routes)
    if not routes:
        return found
    own = select(Refusal.route, Refusal.not_before, Refusal.reason).where(
        Refusal.route.in_(routes), Refusal.tenant_id == tenant_id, Refusal.not_before > now()
    )
    for row in db.session.execute(own):
        if row.route not in found or found[row.route].until < row.not_before:
            found[row.route] = Wait(row.not_before, row.reason)
    return found
