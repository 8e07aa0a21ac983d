"""After an older back-up was restored, by the operator's command: nothing of then is sent again unasked."""

from datetime import timedelta

from flask import Flask
from sqlalchemy import select, update

from portal.extensions import db
from portal.models import LogEntry, Message, Tenant, now, utcnow
from portal.services.routing import lanes
from tests.cli.test_delivery import run
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import accept, accept_many, drain, execute


def states() -> list[str]:
    db.session.rollback()
    return sorted(db.session.scalars(select(Message.state)))


def test_after_a_restore_nothing_of_then_is_sent_unasked(tenant: Tenant, app: Flask, smtp: SMTPSink) -> None:
    for values in (
        {"state": "sent", "finished_at": utcnow()},
        {"state": "deferred", "due_at": now(60)},
        {"state": "held", "held_at": now()},
        {"state": "sending", "lane_id": 1},
    ):
        execute(update(Message).where(Message.id == accept(tenant).id).values(**values))
    queued = accept(tenant)
    result = run(app, "restored", "--yes")
    assert (result.exit_code, result.output) == (0, "Ended 4 messages as unconfirmed.\n")
    assert states() == ["sent", *["unconfirmed"] * 4]
    entries = db.session.execute(
        select(LogEntry.event, LogEntry.reason).where(LogEntry.message_id == queued.id).order_by(LogEntry.id)
    ).all()
    assert [tuple(row) for row in entries] == [("queued", None), ("unconfirmed", "restored")]
    accept(tenant)  # what comes from now on goes out as ever
    assert drain() == 1 and len(smtp.received) == 1
    assert run(app, "restored", "--yes").output == "No message accepted before then is on its way.\n"


def test_mail_accepted_since_can_be_left_alone(tenant: Tenant, app: Flask) -> None:
    old, _ = accept_many(tenant, 2)
    execute(update(Message).where(Message.id == old.id).values(accepted_at=utcnow() - timedelta(days=2)))
    before = (utcnow() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S")
    assert run(app, "restored", "--before", before, "--yes").output == "Ended 1 messages as unconfirmed.\n"
    assert states() == ["queued", "unconfirmed"]


def test_it_asks_first_and_not_while_a_worker_sends(tenant: Tenant, app: Flask) -> None:
    accept(tenant)
    assert run(app, "restored").exit_code == 1 and states() == ["queued"]
    lease = lanes.take(1)
    assert lease is not None
    result = run(app, "restored", "--yes")
    assert result.exit_code == 1 and "A lane is leased" in result.output and states() == ["queued"]
