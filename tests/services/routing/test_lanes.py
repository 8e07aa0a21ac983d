"""Lanes: one drain each, and what one has found out holds for its route."""

from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import Lane, Tenant, User
from portal.models.route import Route
from portal.services.delivery import claims, outcomes
from portal.services.routing import lanes
from portal.services.senders import verification
from portal.transport.base import Reply, Verdict
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import accept, drain, forget_the_limits, lane_id


def test_a_lane_is_taken_by_one_drain_at_a_time(ctx: Flask) -> None:
    assert lanes.take(lane_id("relay")) is not None
    assert lanes.take(lane_id("relay")) is None


def test_waking_leaves_no_transaction_open_to_the_drain_that_goes_on(ctx: Flask) -> None:
    lanes.wake(Route.of_driver(1))
    assert not db.session().in_transaction()


def test_lanes_that_fail_together_count_once(tenant: Tenant) -> None:
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
