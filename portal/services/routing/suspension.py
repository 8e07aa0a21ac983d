"""A suspended shop's mail waits, and goes on once the shop is active again: some at a time, however much there is.

Drains hold what they claim, so nothing is sent in between; this is for what nobody claims, and for all that waits to go
on.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from sqlalchemy import and_, bindparam, func, select

from portal.db.transaction import after_commit, transaction
from portal.extensions import db
from portal.models import Tenant, utcnow
from portal.models.message import WAITING, State
from portal.models.route import INTERACTIVE
from portal.models.tenant import TenantState
from portal.reasons import Reason
from portal.services import message_state
from portal.services.message_state import CHANGED, MESSAGE, change
from portal.services.routing import lanes
from portal.services.routing import sender as senders

_BATCH = 500  # in one transaction, for which others wait
# What was accepted while the state changed is seen only after its commit, so the clock goes on looking for so long.
_SETTLES = timedelta(minutes=1)


def follow(tenant: Tenant) -> None:
    """Hold or release the tenant's first mail, as its new state says; the rest is the clock's work.

    Within a transaction that holds the tenant.
    """
    tenant.settling_until = utcnow() + _SETTLES
    db.session.flush()
    _some(tenant)


def settle() -> int:
    """Hold or release some more; the clock's work. Returns how many messages."""
    settling = select(Tenant.id).where(Tenant.settling_until.is_not(None)).order_by(func.random())
    moved = 0
    for tenant_id in db.session.scalars(settling).all():
        with transaction() as session:
            # Whoever hands in mail of this shop meanwhile need not wait.
            tenant = session.get_one(Tenant, tenant_id, with_for_update={"key_share": True}, populate_existing=True)
            some = _some(tenant)
            if not some and tenant.settling_until is not None and tenant.settling_until <= utcnow():
                tenant.settling_until = None
        moved += some
        if moved >= _BATCH:
            break  # the others at the next tick
    return moved


def _some(tenant: Tenant) -> int:
    return _hold(tenant) if tenant.state == TenantState.SUSPENDED else _release(tenant)


def _hold(tenant: Tenant) -> int:
    waiting = select(MESSAGE.c.id).where(MESSAGE.c.tenant_id == tenant.id, MESSAGE.c.state.in_(WAITING))
    ids = db.session.scalars(waiting.limit(_BATCH).with_for_update(skip_locked=True)).all()
    held = change(WAITING, State.HELD, reason=Reason.TENANT_SUSPENDED, held_at=utcnow()).where(MESSAGE.c.id.in_(ids))
    rows = db.session.execute(held.returning(*CHANGED)).all()
    return message_state.write(rows, State.HELD, "held", Reason.TENANT_SUSPENDED)


def _release(tenant: Tenant) -> int:
    """Its time goes on from where it stood, by the sender in force now."""
    ours = MESSAGE.c.tenant_id == tenant.id, MESSAGE.c.state == State.HELD
    held = select(*CHANGED, MESSAGE.c.expires_at, MESSAGE.c.held_at).where(
        *ours, MESSAGE.c.reason == Reason.TENANT_SUSPENDED
    )
    rows = db.session.execute(held.order_by(MESSAGE.c.id).limit(_BATCH).with_for_update(skip_locked=True)).all()
    if not rows:
        return 0
    now, sender = utcnow(), senders.resolve(tenant)
    released = change([State.HELD], State.QUEUED, reason=None, held_at=None, due_at=now)
    released = released.where(and_(MESSAGE.c.id == bindparam("one"), *ours))
    released = released.values(expires_at=bindparam("later"), route=bindparam("to_route"))
    given = [
        {
            "one": row.id,
            "later": row.expires_at + (now - (row.held_at or now)),
            "to_route": row.route if row.route == INTERACTIVE else sender.route,
        }
        for row in rows
    ]
    db.session.execute(released, given)
    event = ("sender_changed", Reason.DRIVER_STOPPED) if sender.stands_in else ("resumed", None)
    message_state.write(rows, State.QUEUED, *event)
    for route in {one["to_route"] for one in given}:
        after_commit(partial(lanes.wake, route))
    return len(rows)
