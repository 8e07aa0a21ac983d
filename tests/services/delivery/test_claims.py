"""Which lane takes which mail: in turn over the tenants, each once, and at the cost of what is due."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane, Message, Tenant, User, now
from portal.services.accounts import tenants
from portal.services.delivery import claims, outcomes
from portal.services.outbox import accept as outbox
from portal.services.routing import lanes
from portal.services.senders import verification
from portal.transport.base import Reply, Verdict
from tests.conftest import POSTGRES
from tests.support.smtp_sink import SMTPSink
from tests.support.statements import recorded
from tests.support.steps import ACCEPTED, accept, drain, forget_the_limits, lane_id


def test_tenants_take_turns(tenant: Tenant, smtp: SMTPSink) -> None:
    other, _ = tenants.upsert("other", name="Other")
    for _ in range(claims.BATCH * 2):
        accept(tenant)
    accept(other, to="first@other.example")
    drain()
    recipients = [mail.rcpt_to[0] for mail in smtp.received]
    assert recipients.index("first@other.example") < claims.BATCH


def test_two_lanes_never_claim_the_same_message(tenant: Tenant) -> None:
    for _ in range(claims.BATCH + 5):
        accept(tenant)
    ids = list(db.session.scalars(select(Lane.id).where(Lane.route == "relay")))
    first, second = (lanes.take(lane) for lane in ids)
    assert first is not None and second is not None
    claimed = [a.message_id for a in claims.claim(first)] + [a.message_id for a in claims.claim(second)]
    assert len(claimed) == len(set(claimed)) == claims.BATCH + 5


def test_a_lane_is_taken_by_one_drain_at_a_time(ctx: Flask) -> None:
    assert lanes.take(lane_id("relay")) is not None
    assert lanes.take(lane_id("relay")) is None


def test_ten_thousand_tenants_whose_mail_is_not_due_cost_a_claim_little(tenant: Tenant) -> None:
    """Counted in queries, because time is noisy here."""
    with transaction() as session:
        for number in range(200):
            row = Tenant(external_id=f"t{number}", name="T")
            session.add(row)
            session.flush()
            outbox.accept(row, to="a@b.example", **ACCEPTED)
        session.execute(update(Message).values(due_at=now(3600)))
    accept(tenant)
    lease = lanes.take(lane_id("relay"))
    assert lease is not None
    with recorded() as statements:
        assert len(claims.claim(lease)) == 1
    assert 4 <= len(statements) < 14


@pytest.mark.skipif(bool(POSTGRES), reason="PostgreSQL's planner goes by statistics, which an empty table has none of")
def test_what_is_due_is_found_by_the_partial_indexes(ctx: Flask) -> None:
    """SQLite uses a partial index only where it reads the very values that the index names."""
    with recorded() as statements:
        lanes.has_due_mail("relay")
        claims._tenants_after("relay", 0, 5)
        claims._due("relay", 1, 5)
        claims.expire()
    asked = [(query, values) for query, values in statements if "message" in query]
    with db.engine.connect() as connection:
        for query, values in asked:
            plan = str(connection.exec_driver_sql("EXPLAIN QUERY PLAN " + query, tuple(values)).all())
            assert "SCAN message" not in plan and "ix_message_" in plan, (query, plan)
    assert len(asked) == 5


def test_lanes_that_fail_together_count_once(tenant: Tenant, ctx: Flask, smtp: SMTPSink) -> None:
    ids = list(db.session.scalars(select(Lane.id).where(Lane.route == "relay")))
    for _ in range(len(ids)):
        accept(tenant)
    leases = [lease for lane in ids if (lease := lanes.take(lane)) is not None]
    attempts = [attempt for lease in leases for attempt in claims.claim(lease, 1)]
    assert len(attempts) == len(ids)
    for attempt in attempts:
        outcomes.backed_off(attempt, "relay", Verdict("backoff_driver", "service_unavailable"), Reply(0, "lost"))
    db.session.rollback()
    assert set(db.session.scalars(select(Lane.failures).where(Lane.route == "relay"))) == {1}


def test_a_lane_at_work_heeds_what_another_lane_has_found_out(tenant: Tenant) -> None:
    for _ in range(3):
        accept(tenant)
    first, second = (
        lanes.take(lane) for lane in db.session.scalars(select(Lane.id).where(Lane.route == "relay")).all()
    )
    assert first is not None and second is not None
    (attempt,) = claims.claim(first, 1)
    verdict = Verdict("backoff_driver", "quota_daily", 3600)
    outcomes.backed_off(attempt, "relay", verdict, Reply(450, "try again in 3600 seconds"))
    assert claims.claim(second) == []


def test_interactive_mail_goes_by_its_own_lane(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    accept(tenant)
    verification.start_verification(tenant, user, "hello@acme.example", "")
    drain("interactive")
    assert [mail.rcpt_to for mail in smtp.received] == [("hello@acme.example",)]
    forget_the_limits()
