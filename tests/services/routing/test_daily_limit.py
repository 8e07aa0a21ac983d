"""A plan's daily limit: what is above it waits and resumes by itself, and nothing else is concerned."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.extensions import db
from portal.models import Driver, Lane, Message, Tenant, TenantUsage, User, now, utcnow
from portal.models.route import RELAY
from portal.services.accounts import tenants
from portal.services.delivery import claims
from portal.services.drivers import lifecycle
from portal.services.outbox import message_log
from portal.services.routing import daily_limit, lanes, reroute
from portal.services.senders import verification
from portal.services.senders.settings_page import sender_settings
from tests.conftest import POSTGRES
from tests.support.at_once import at_once
from tests.support.backlog import backlog
from tests.support.driver_steps import drain_driver, states
from tests.support.mail_service import MailService
from tests.support.plans import limit_plans, use_up
from tests.support.scripted_server import ScriptedServer
from tests.support.smtp_sink import SMTPSink
from tests.support.statements import recorded
from tests.support.steps import accept, accept_many, again, drain, execute, lane_id, make_due


@pytest.fixture
def limited(ctx: Flask, tmp_path: Path) -> None:
    limit_plans(ctx, tmp_path, basic=10, pro=20)


@pytest.fixture
def shop(limited: None) -> Tenant:
    """On the plan with ten a day."""
    return tenants.upsert("basil", name="Basil Books", plan="basic")[0]


def test_above_the_limit_mail_waits_with_its_reason(shop: Tenant, smtp: SMTPSink) -> None:
    accept_many(shop, 25)
    send()
    assert states() == {"sent": 10, "held": 15} and len(smtp.received) == 10
    assert set(reasons()) == {"plan_daily_limit"}
    later = accept(shop)
    assert (later.state, later.reason) == ("held", "plan_daily_limit")
    assert [entry.reason for entry in message_log.entries(again(later))] == [None, "plan_daily_limit"]
    shown = daily_limit.status(shop)
    assert (shown.limit, shown.used, shown.waiting) == (10, 10, 16)
    assert shown.until.date() == utcnow().date() + timedelta(days=1)


def test_the_next_day_it_resumes_by_itself_the_oldest_first(shop: Tenant, smtp: SMTPSink) -> None:
    messages = [accept(shop, f"jane{number}@customer.example") for number in range(25)]
    send()
    for sent in (20, 25):
        smtp.clear()
        tomorrow()
        send()
        assert len(smtp.received) == sent - (10 if sent == 20 else 20)
        assert states() == {"sent": sent} | ({"held": 25 - sent} if sent < 25 else {})
        assert [again(message).state for message in messages[:sent]] == ["sent"] * sent
    assert reroute.move_some() == 0


def test_time_does_not_run_out_while_it_waits(shop: Tenant) -> None:
    message = accept_many(shop, 11)[-1]
    send()
    before = again(message).expires_at
    execute(update(Message).where(Message.id == message.id).values(held_at=now(-7200)))
    tomorrow()
    reroute.move_some()
    assert 7199 < (again(message).expires_at - before).total_seconds() < 7300


def test_lanes_that_claim_in_the_same_moment_stay_within_the_limit(shop: Tenant, app: Flask) -> None:
    backlog(shop, RELAY, 60)
    leases = [
        lease for lane in db.session.scalars(select(Lane.id).where(Lane.route == RELAY)) if (lease := lanes.take(lane))
    ]
    assert len(leases) > 1

    def claim(lease: lanes.Lease) -> Callable[[], int]:
        def run() -> int:
            return sum(len(claims.claim(lease, 4)) for _ in range(4))

        return run

    assert sum(at_once(*(claim(lease) for lease in leases), app=app)) == 10
    db.session.rollback()
    assert db.session.scalar(select(TenantUsage.mails)) == 10


def test_a_message_that_is_tried_again_counts_once(shop: Tenant, relay_to: Callable[[ScriptedServer], None]) -> None:
    with ScriptedServer({"RCPT": "451 4.7.1 greylisted"}) as server:
        relay_to(server)
        accept_many(shop, 3)
        for _ in range(3):
            drain()
            make_due()
    assert daily_limit.used(shop.id) == 3


def test_at_the_limit_what_has_counted_is_tried_again(shop: Tenant, smtp: SMTPSink) -> None:
    accept_many(shop, 12)
    send()
    execute(update(Message).where(Message.state == "sent").values(state="deferred", finished_at=None))
    execute(update(Tenant).values(moving_since=utcnow(), moved_to=0))
    send()
    assert states() == {"sent": 10, "held": 2} and len(smtp.received) == 20


def test_verification_notices_and_driver_tests_neither_count_nor_wait(
    shop: Tenant, user: User, tenant: Tenant, driver: Driver, smtp: SMTPSink
) -> None:
    accept_many(shop, 10)
    send()
    accept(shop, kind="notice", route="interactive")
    verification.start_verification(tenant, user, "hello@acme.example", "")
    smtp.clear()
    drain("interactive")
    assert len(smtp.received) == 2
    assert (daily_limit.used(shop.id), daily_limit.used(tenant.id)) == (10, 0)


def test_a_merchants_own_mail_service_has_no_limit_and_takes_along_what_waits(
    ctx: Flask, tenant: Tenant, user: User, driver: Driver, service: MailService, smtp: SMTPSink, tmp_path: Path
) -> None:
    limit_plans(ctx, tmp_path, enterprise=10)
    lifecycle.pause(tenant, user)
    lifecycle.set_held_mail(tenant, user, "default")
    accept_many(tenant, 15)
    send()
    assert states() == {"sent": 10, "held": 5}
    lifecycle.resume(tenant, user)
    accept_many(tenant, 15)
    drain_driver(driver)
    assert len(service.sink.received) == 20 and daily_limit.used(tenant.id) == 10


def test_a_larger_plan_takes_effect_at_once_and_so_does_a_smaller_one(shop: Tenant, smtp: SMTPSink) -> None:
    accept_many(shop, 25)
    send()
    tenants.upsert("basil", plan="pro")
    send()
    assert states() == {"sent": 20, "held": 5}
    tenants.upsert("basil", plan="enterprise")
    waiting = accept_many(shop, 2)
    assert [again(message).state for message in waiting] == ["queued"] * 2
    tenants.upsert("basil", plan="basic")
    assert [again(message).reason for message in waiting] == ["plan_daily_limit"] * 2
    tenants.upsert("basil", plan="enterprise")
    send()
    assert states() == {"sent": 27}


def test_one_shop_at_its_limit_keeps_no_other_waiting(shop: Tenant, smtp: SMTPSink) -> None:
    other, _ = tenants.upsert("atlas", name="Atlas", plan="enterprise")
    accept_many(shop, 120)
    accept_many(other, 30)
    send()
    assert daily_limit.used(other.id) == 30 and daily_limit.used(shop.id) == 10
    assert states() == {"sent": 40, "held": 110}


def test_without_the_field_nothing_is_counted(tenant: Tenant, smtp: SMTPSink) -> None:
    accept_many(tenant, 12)
    send()
    assert states() == {"sent": 12} and db.session.scalars(select(TenantUsage)).all() == []
    assert daily_limit.status(tenant).limit is None


def test_a_day_that_another_machines_clock_has_begun_is_not_left_again(shop: Tenant) -> None:
    accept_many(shop, 5)
    send()
    execute(update(TenantUsage).values(day=utcnow().date() + timedelta(days=1)))
    accept_many(shop, 7)
    send()
    assert states() == {"sent": 10, "held": 2}


def test_a_tick_at_the_limit_costs_the_same_whatever_waits(shop: Tenant) -> None:
    accept_many(shop, 10)
    send()
    asked = []
    for _ in range(2):
        hold_back(shop, 1_000)
        with recorded() as statements:
            assert reroute.move_some() == 0
        asked.append([query for query, _ in statements])
    assert asked[0] == asked[1]


def test_shops_at_their_limit_take_no_turn_from_those_that_have_room(shop: Tenant) -> None:
    hold_back(shop, 5)
    assert daily_limit.resumable() == [shop.id]
    use_up(shop, 10)
    other, _ = tenants.upsert("atlas", name="Atlas", plan="pro")
    hold_back(other, 5)
    assert daily_limit.resumable() == [other.id]


def test_on_a_new_day_no_more_is_released_than_is_sent_next(shop: Tenant) -> None:
    tenants.upsert("basil", plan="enterprise")
    hold_back(shop, 3 * reroute.NEXT)
    for _ in range(3):
        reroute.move_some()
    assert states() == {"queued": reroute.NEXT, "held": 2 * reroute.NEXT}


def test_the_counts_of_a_page_end_somewhere(shop: Tenant) -> None:
    hold_back(shop, daily_limit.MOST_COUNTED + 500)
    assert daily_limit.status(shop).waiting == daily_limit.MOST_COUNTED + 1


@pytest.mark.skipif(bool(POSTGRES), reason="PostgreSQL's planner goes by statistics, which an empty table has none of")
def test_what_is_above_the_limit_is_found_by_its_index(shop: Tenant) -> None:
    hold_back(shop, 5)
    with recorded() as statements:
        daily_limit.resumable()
        daily_limit.status(shop)
        reroute.move_some()
    asked = [(query, values) for query, values in statements if "plan_daily_limit" in query and "SELECT" in query]
    assert len(asked) >= 4
    with db.engine.connect() as connection:
        for query, values in asked:
            plan = str(connection.exec_driver_sql("EXPLAIN QUERY PLAN " + query, tuple(values)).all())
            assert "ix_message_over_limit" in plan and "SCAN message" not in plan, (query, plan)


def test_a_claim_asks_the_same_however_many_messages_it_takes(shop: Tenant) -> None:
    tenants.upsert("basil", plan="enterprise")
    backlog(shop, RELAY, 120)
    lease = lanes.take(lane_id(RELAY))
    assert lease is not None
    claims.claim(lease, 10)
    asked = []
    for most in (10, 50):
        with recorded() as statements:
            assert len(claims.claim(lease, most)) == most
        asked.append(len(statements))
    assert asked[0] == asked[1]


def test_the_settings_page_knows_of_it_while_it_is_reached(shop: Tenant) -> None:
    accept_many(shop, 12)
    assert sender_settings(shop).daily_limit is None
    send()
    shown = sender_settings(shop).daily_limit
    assert shown is not None and (shown.limit, shown.waiting) == (10, 2)


def send() -> None:
    """Ticks and drains until nothing changes any more."""
    db.session.rollback()
    for _ in range(20):
        changed = reroute.move_some()
        if not drain() and not changed:
            return
    raise AssertionError("it never ends")


def tomorrow() -> None:
    """As if midnight (UTC) had passed."""
    yesterday = utcnow().date() - timedelta(days=1)
    execute(update(TenantUsage).values(day=yesterday), update(Message).values(counted_on=yesterday))


def hold_back(tenant: Tenant, count: int) -> None:
    ids = backlog(tenant, RELAY, count)
    held = update(Message).where(Message.id.between(ids[0], ids[-1]))
    execute(held.values(state="held", reason="plan_daily_limit", held_at=now()))


def reasons() -> list[str | None]:
    return list(db.session.scalars(select(Message.reason).where(Message.state == "held")))
