"""Which lane takes which mail: in turn over the tenants, each once, and at the cost of what is due."""

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane, Message, Tenant, now
from portal.models.route import RELAY
from portal.services.accounts import tenants
from portal.services.delivery import claims, suspects
from portal.services.outbox import accept as outbox
from portal.services.routing import lanes
from tests.conftest import POSTGRES
from tests.support.smtp_sink import SMTPSink
from tests.support.statements import recorded
from tests.support.steps import ACCEPTED, accept, drain, lane_id


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
        suspects.next_of(RELAY)
        claims.expire()
    asked = [(query, values) for query, values in statements if "message" in query]
    with db.engine.connect() as connection:
        for query, values in asked:
            plan = str(connection.exec_driver_sql("EXPLAIN QUERY PLAN " + query, tuple(values)).all())
            assert "SCAN message" not in plan and "ix_message_" in plan, (query, plan)
    assert len(asked) == 6
