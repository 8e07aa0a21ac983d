"""Many waiting messages at once, past the outbox: what a large shop has when its mail service is paused."""

from sqlalchemy import func, insert, select

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Message, Tenant, now, utcnow
from portal.models.message import new_public_id
from portal.models.route import Route
from portal.reasons import GIVE_UP


def backlog(tenant: Tenant, route: Route, count: int) -> list[int]:
    """Their ids, the oldest first."""
    at = utcnow()
    about = {"tenant_id": tenant.id, "kind": "order_update", "subject": "x", "route": route, "accepted_at": at}
    about |= {"to_address": "jane@customer.example", "expires_at": at + GIVE_UP}
    ids = [new_public_id() for _ in range(count)]
    with transaction() as session:
        before = session.scalar(select(func.max(Message.id))) or 0
        rows = [about | {"public_id": public_id, "message_id": f"<{public_id}@x>"} for public_id in ids]
        session.execute(insert(Message).values(due_at=now(-1)), rows)
    return list(db.session.scalars(select(Message.id).where(Message.id > before).order_by(Message.id)))
