"""Steps that several tests take."""

from __future__ import annotations

import re
from datetime import timedelta

from flask import current_app
from sqlalchemy import select, update

from portal.extensions import db
from portal.models import Lane, VerificationMail, utcnow
from portal.services import delivery
from portal.services.transaction import transaction
from portal.transport.connection import Timeouts
from tests.support.smtp_sink import SMTPSink

SHORT = Timeouts(connect=1, command=1, dot=1, session=5)


def lane_id(route: str) -> int:
    return db.session.scalars(select(Lane.id).where(Lane.route == route).order_by(Lane.id)).first() or 0


def drain(route: str = "relay", timeouts: Timeouts = SHORT) -> int:
    """One drain in a session of its own, as in a worker; afterwards the test sees what it wrote."""
    lane = lane_id(route)
    db.session.rollback()
    with current_app.app_context():  # type: ignore[attr-defined]
        return delivery.drain(lane, timeouts)


def link_of_last_mail(smtp: SMTPSink) -> str:
    """The token in the link of the newest verification mail."""
    drain("interactive")
    body = smtp.received[-1].message.get_body(("plain",))
    assert body is not None
    found = re.search(r"http://localhost:8000/verify/(\S+)", body.get_content())
    assert found
    return found.group(1)


def forget_the_limits() -> None:
    """As if some days had passed since the last verification mails."""
    with transaction() as session:
        session.execute(update(VerificationMail).values(at=utcnow() - timedelta(days=2)))
