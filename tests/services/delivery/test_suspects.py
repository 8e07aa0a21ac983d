"""A process dies with all of its drains: what died twice is tried while no other such mail is, on any route."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import select, text, update

from portal.db import prepared
from portal.extensions import db
from portal.models import Lane, Message, Tenant
from portal.models.route import RELAY
from portal.services.accounts import tenants
from portal.services.delivery import claims, outcomes, suspects
from portal.services.delivery.outcomes import Attempt
from portal.services.routing import lanes
from portal.transport.base import Receipt
from tests.conftest import POSTGRES
from tests.support.settings import configure
from tests.support.steps import accept, accept_many, again, execute, expire_leases

LANES = 6


@pytest.fixture
def relay(ctx: Flask) -> list[int]:
    """The relay's lanes."""
    configure(ctx, relay_lanes=LANES)
    lanes.ensure()
    return list(db.session.scalars(select(Lane.id).where(Lane.route == "relay").order_by(Lane.id)))


def died(messages: list[Message], times: int) -> None:
    execute(update(Message).where(Message.id.in_([one.id for one in messages])).values(releases=times))


def claim(lane_id: int) -> list[Attempt]:
    lease = lanes.take(lane_id)
    assert lease is not None
    return claims.claim(lease)


def send(attempt: Attempt) -> None:
    outcomes.mark_dot(attempt, {}, 10)
    outcomes.sent(attempt, Receipt(250, "ok"), "a@shop.example")
    lanes.release(attempt.lease)


def test_of_mail_that_died_twice_one_is_tried_at_a_time_on_all_routes(tenant: Tenant, relay: list[int]) -> None:
    bad = [accept(tenant), accept(tenant), accept(tenant, route="interactive")]
    died(bad, 2)
    (first,) = claim(relay[0])
    interactive = db.session.scalars(select(Lane.id).where(Lane.route == "interactive")).first()
    assert claim(relay[1]) == [] == claim(interactive or 0)
    assert not claims.is_due(first.lease.route), "nobody is woken for what has to wait"
    fine = accept(tenant)
    assert [one.message_id for one in claim(relay[2])] == [fine.id], "other mail doesn't wait for it"
    send(first)
    (second,) = claim(relay[3])
    assert {first.message_id, second.message_id} == {bad[0].id, bad[1].id}


def test_mail_that_died_once_is_tried_on_all_lanes(tenant: Tenant, relay: list[int]) -> None:
    died(accept_many(tenant, LANES), 1)
    assert [len(claim(lane)) for lane in relay] == [1] * LANES


@pytest.mark.parametrize("poisonous", [1, 2])
def test_a_mail_that_kills_the_process_is_set_aside_alone_whatever_the_other_drains_have_at_hand(
    tenant: Tenant, relay: list[int], poisonous: int
) -> None:
    shops = [tenant, *(tenants.upsert(f"t{number}", name="T")[0] for number in range(3))]
    messages = [accept(shops[number % 4], f"c{number}@customer.example") for number in range(70)]
    bad = {messages[10 + 20 * number].id for number in range(poisonous)}
    for _ in range(200):
        at_hand = [attempts[0] for attempts in map(claim, relay) if attempts]
        if not at_hand:
            break
        if bad & {one.message_id for one in at_hand}:
            expire_leases()
            claims.reclaim_expired()
            continue
        for one in at_hand:
            send(one)
            rest = select(Message.id).where(Message.lane_id == one.lease.lane_id)
            execute(update(Message).where(Message.id.in_(rest.scalar_subquery())).values(state="queued", lane_id=None))
        execute(update(Lane).values(lease_token=None, leased_until=None))
    held = set(db.session.scalars(select(Message.id).where(Message.state == "held")))
    assert held == bad and {again(one).state for one in messages if one.id not in bad} == {"sent"}


def test_lanes_that_claim_at_the_same_moment_try_one_of_them(app: Flask, tenant: Tenant, relay: list[int]) -> None:
    died(accept_many(tenant, 2 * LANES), 2)
    leases = [lease for lease in map(lanes.take, relay) if lease is not None]
    db.session.rollback()

    def at_once(lease: lanes.Lease) -> int:
        with app.app_context():
            return len(claims.claim(lease))

    with ThreadPoolExecutor(LANES) as threads:
        for _ in range(10):
            assert sum(threads.map(at_once, leases)) == 1
            execute(update(Message).values(state="queued", lane_id=None))


@pytest.mark.skipif(not POSTGRES, reason="SQLite has one writer at a time")
def test_who_is_about_to_claim_one_keeps_the_others_waiting_until_the_commit(tenant: Tenant, relay: list[int]) -> None:
    died(accept_many(tenant, 2), 2)
    db.session.rollback()
    held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")
    with prepared.transaction():
        assert suspects.next_of(RELAY)
        with db.engine.connect() as other:
            assert other.scalar(held) == 1
    with db.engine.connect() as other:
        assert other.scalar(held) == 0


def test_the_third_death_sets_nothing_aside_while_others_wait_that_died_twice(tenant: Tenant, relay: list[int]) -> None:
    """A kill from outside hits whichever of them is at hand."""
    messages = accept_many(tenant, 2)
    died(messages, 2)

    def die() -> Message:
        (attempt,) = claim(relay[0])
        expire_leases()
        assert claims.reclaim_expired() == 1
        return next(again(one) for one in messages if one.id == attempt.message_id)

    first = die()
    assert (first.state, first.releases) == ("queued", 3)
    second = die()
    assert second.id != first.id and (second.state, second.reason) == ("held", "set_aside"), "it is the last of them"
    assert die().state == "held", "and nobody else is under suspicion now"


def test_at_the_sixth_death_a_message_is_set_aside_whatever_else_waits(tenant: Tenant, relay: list[int]) -> None:
    bad, other = accept_many(tenant, 2)
    died([other], 2)
    for releases, convicted in ((2, False), (3, False), (5, False), (6, True)):
        assert suspects.is_convicted(bad.id, releases) is convicted
    died([other], 1)
    assert suspects.is_convicted(bad.id, 3) and not suspects.is_convicted(bad.id, 2)
