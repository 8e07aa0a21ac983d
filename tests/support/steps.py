"""Steps that several tests take."""

import re
from datetime import timedelta
from typing import Any

from flask import current_app
from sqlalchemy import Executable, select, update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane, MailCount, Message, SenderIdentity, Tenant, User, now, utcnow
from portal.services.delivery import drain as delivery
from portal.services.outbox import accept as outbox
from portal.services.outbox import message_log
from portal.services.senders import verification
from portal.transport.base import Timeouts
from tests.support.smtp_sink import SMTPSink

ACCEPTED = {"kind": "order_update", "subject": "Your order", "text": "It is on its way.\n"}
PATIENT = Timeouts(connect=30, command=30, dot=30, session=300)


def execute(*statements: Executable) -> None:
    """In a transaction of their own."""
    with transaction() as session:
        for statement in statements:
            session.execute(statement)


def lane_id(route: str) -> int:
    return db.session.scalars(select(Lane.id).where(Lane.route == route).order_by(Lane.id)).first() or 0


def drain(route: str = "relay", timeouts: Timeouts = PATIENT) -> int:
    """One drain in a session of its own, as in a worker; afterwards the test sees what it wrote."""
    lane = lane_id(route)
    db.session.rollback()
    with current_app.app_context():  # type: ignore[attr-defined]
        return delivery.drain(lane, timeouts)


def link_of_last_mail(smtp: SMTPSink) -> str:
    """The token in the link of the newest verification mail."""
    drain("interactive")
    found = re.search(r"http://localhost:8000/verify/(\S+)", smtp.received[-1].text)
    assert found
    return found.group(1)


def forget_the_limits() -> None:
    """As if some days had passed since the last mails that people have caused."""
    execute(update(MailCount).values(at=utcnow() - timedelta(days=2)))


def verified(tenant: Tenant, user: User, smtp: SMTPSink, address: str) -> SenderIdentity:
    identity = verification.start_verification(tenant, user, address, "Acme")
    assert verification.confirm(link_of_last_mail(smtp)).state == "confirmed"
    forget_the_limits()
    return identity


def accept(tenant: Tenant, to: str = "jane@customer.example", **more: Any) -> Message:
    return outbox.accept(tenant, to=to, **(ACCEPTED | more))


def accept_many(tenant: Tenant, count: int) -> list[Message]:
    return [accept(tenant, f"jane{number}@customer.example") for number in range(count)]


def again(message: Message) -> Message:
    """The message as the database has it now."""
    db.session.rollback()
    row = db.session.get(Message, message.id, populate_existing=True)
    assert row is not None
    return row


def events(message: Message) -> list[str]:
    db.session.rollback()
    return [entry.event for entry in message_log.entries(message)]


def make_due() -> None:
    """As if every waiting message's and every lane's time had come."""
    execute(update(Message).values(due_at=now(-1)), update(Lane).values(not_before=None))


def expire_leases() -> None:
    execute(update(Lane).where(Lane.lease_token.is_not(None)).values(leased_until=now(-1)))
