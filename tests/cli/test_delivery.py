"""`flask delivery`: what an operator sees of delivery, and what a restored back-up must not send again."""

from datetime import timedelta

from click.testing import Result
from flask import Flask
from sqlalchemy import select, update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane, LogEntry, Message, Tenant, now, utcnow
from portal.services.operations import heartbeat
from portal.services.outbox import accept as outbox
from portal.services.routing import lanes
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain, execute
from tests.support.valkey import Valkey


def run(app: Flask, *arguments: str) -> Result:
    db.session.rollback()
    return app.test_cli_runner().invoke(args=["delivery", *arguments])


def accept(tenant: Tenant, count: int = 1) -> list[Message]:
    return [
        outbox.accept(tenant, kind="order_update", to=f"jane{n}@customer.example", subject="Order", text="Hi")
        for n in range(count)
    ]


def make_well(valkey: Valkey) -> None:
    """A clock and two workers, as they show themselves in Redis."""
    from redis import Redis

    heartbeat.tick()
    client = Redis.from_url(valkey.url)
    for name in ("mail", "interactive"):
        client.set(f"rq:worker:{name}", 1)
        client.sadd(f"rq:workers:{name}", f"rq:worker:{name}")


def states() -> list[str]:
    db.session.rollback()
    return sorted(db.session.scalars(select(Message.state)))


def test_where_all_is_well_it_says_so_and_ends_with_0(tenant: Tenant, app: Flask, valkey: Valkey) -> None:
    make_well(valkey)
    result = run(app, "status")
    assert result.exit_code == 0 and result.output.endswith("All is well.\n"), result.output
    for sentence in ("No message waits.", "All 3 lanes are free.", "None of 0 drivers", "1 alive, 0 jobs wait"):
        assert sentence in result.output


def test_mail_that_nobody_sends_needs_attention(tenant: Tenant, app: Flask, valkey: Valkey) -> None:
    make_well(valkey)
    accept(tenant, 2)
    with transaction() as session:
        session.execute(update(Message).values(due_at=now(-3665)))
        session.execute(
            update(Lane).where(Lane.route == "relay").values(failures=4, reason="dns_failure", not_before=now(250))
        )
    result = run(app, "status")
    assert result.exit_code == 1
    words = [line.split() for line in result.output.splitlines()]
    assert ["relay", "2", "0", "0", "0", "2", "1", "h", "1", "min"] in words
    assert any(row[1:3] == ["relay/0", "waiting"] and row[-2:] == ["dns_failure", "4"] for row in words if len(row) > 3)
    assert "! Due mail on relay has waited for 36" in result.output
    assert "! The route relay has failed 4 times in a row (dns_failure) and waits." in result.output
    assert "@" not in result.output and "acme" not in result.output.lower()


def test_processes_that_are_missing_need_attention(tenant: Tenant, app: Flask, valkey: Valkey) -> None:
    result = run(app, "status")
    assert result.exit_code == 1
    for sentence in ("! No clock has ticked", "python -m jobs.worker interactive", "python -m jobs.worker mail"):
        assert sentence in result.output
    with valkey.away():
        result = run(app, "status")
    assert result.exit_code == 1 and "! Redis does not answer" in result.output


def test_a_dead_lane_that_nobody_ends_needs_attention(tenant: Tenant, app: Flask, valkey: Valkey) -> None:
    make_well(valkey)
    execute(update(Lane).where(Lane.route == "interactive").values(lease_token="x", leased_until=now(-60)))
    result = run(app, "status")
    assert result.exit_code == 1 and "ran out and no clock has ended them" in result.output


def test_after_a_restore_nothing_of_then_is_sent_unasked(tenant: Tenant, app: Flask, smtp: SMTPSink) -> None:
    sent, *waiting = accept(tenant, 4)
    for message, values in zip(
        (sent, *waiting),
        (
            {"state": "sent", "finished_at": utcnow()},
            {"state": "deferred", "due_at": now(60)},
            {"state": "held", "held_at": now()},
            {"state": "sending", "lane_id": 1},
        ),
        strict=True,
    ):
        execute(update(Message).where(Message.id == message.id).values(**values))
    (queued,) = accept(tenant)
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
    old, _ = accept(tenant, 2)
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
