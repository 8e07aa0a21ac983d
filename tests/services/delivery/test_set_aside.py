"""Mail that workers die with: claimed alone after the first death, set aside at the third, and nothing else with it."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.extensions import db
from portal.models import Lane, Message, Tenant, User, now
from portal.services.accounts import tenants
from portal.services.delivery import claims, set_aside
from portal.services.drivers import lifecycle
from portal.services.operations import delivery_status, health_checks
from portal.services.outbox import accept as outbox
from portal.services.routing import compose, lanes
from tests.cli.test_delivery import run
from tests.conftest import POSTGRES
from tests.services.conftest import RelayTo
from tests.support.scripted_server import ScriptedServer
from tests.support.smtp_sink import SMTPSink
from tests.support.statements import recorded
from tests.support.steps import accept, accept_many, again, drain, events, execute, expire_leases, lane_id, make_due


class Killed(BaseException):
    """What ends a worker in the midst of its work: nothing in the engine catches it."""


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail with this subject kills the worker that makes it."""
    build = compose.build

    def build_or_die(content: Any, stamp: Any, **options: Any) -> bytes:
        if content.subject == "poison":
            raise Killed
        return build(content, stamp, **options)

    monkeypatch.setattr(compose, "build", build_or_die)


def worker(route: str = "relay") -> bool:
    """One drain; if it dies, its lease runs out and the clock takes back what it had. Returns whether it lived."""
    try:
        drain(route)
    except Killed:
        expire_leases()
        assert claims.reclaim_expired() == 1
        return False
    return True


def held() -> list[int]:
    db.session.rollback()
    return list(db.session.scalars(select(Message.id).where(Message.state == "held").order_by(Message.id)))


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("place", [0, 3, 6])
def test_mail_that_kills_its_worker_is_set_aside_and_all_else_is_sent(
    tenant: Tenant, smtp: SMTPSink, place: int
) -> None:
    messages = [accept(tenant, f"c{n}@customer.example", subject="poison" if n == place else "") for n in range(7)]
    lived = [worker() for _ in range(5)]
    assert lived.count(False) == 3
    assert held() == [messages[place].id] and again(messages[place]).reason == "set_aside"
    assert events(messages[place]) == ["queued", "released", "released", "held"]
    assert len(smtp.received) == 6 and {again(one).state for one in messages} == {"held", "sent"}


@pytest.mark.usefixtures("poison")
def test_mail_that_kills_on_the_interactive_lane_stops_no_other_there(tenant: Tenant, smtp: SMTPSink) -> None:
    bad = accept(tenant, subject="poison", route="interactive")
    good = accept(tenant, route="interactive")
    assert [worker("interactive") for _ in range(4)].count(False) == 3
    assert (again(bad).state, again(good).state) == ("held", "sent")


@pytest.mark.usefixtures("poison")
def test_two_of_them_among_many_tenants_are_both_found(tenant: Tenant, smtp: SMTPSink) -> None:
    others = [tenants.upsert(f"t{number}", name="T")[0] for number in range(8)]
    fine = [accept(other) for other in (tenant, *others) for _ in range(2)]
    bad = [accept(others[2], subject="poison"), accept(others[5], subject="poison")]
    for _ in range(12):
        worker()
    assert held() == [one.id for one in bad] and {again(one).state for one in fine} == {"sent"}


def kill(lane: int) -> int:
    """Let a worker take the lane, claim 50, and be killed. Returns how many it had claimed."""
    lease = lanes.take(lane)
    assert lease is not None
    claimed = claims.claim(lease)
    expire_leases()
    assert claims.reclaim_expired() == 1
    return len(claimed)


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("shops", [1, 7])
def test_twenty_quick_kills_with_fifty_claimed_on_each_lane_set_nothing_aside(
    tenant: Tenant, smtp: SMTPSink, in_order: bool, shops: int
) -> None:
    """In whatever order: `in_order`, as released; else as if all had become due in the same moment again."""
    all_shops = [tenant, *(tenants.upsert(f"t{number}", name="T")[0] for number in range(shops - 1))]
    ids = list(db.session.scalars(select(Lane.id).where(Lane.route == "relay").order_by(Lane.id)))
    for number in range(claims.BATCH * len(ids)):
        # One shop has most of it: another's single mail must not be at hand every other time.
        accept(all_shops[number % shops if number < 2 * shops else 0], f"c{number}@customer.example")
    for number in range(20):
        leases = [lease for lane in ids if (lease := lanes.take(lane)) is not None]
        claimed = [len(claims.claim(lease)) for lease in leases]
        assert min(claimed) > 0 and (number or shops > 1 or claimed == [claims.BATCH] * len(ids))
        expire_leases()
        assert claims.reclaim_expired() == len(ids)
        if not in_order:
            make_due()
    assert held() == []
    assert max(db.session.scalars(select(Message.releases))) == 2
    while drain():
        pass
    assert len(smtp.received) == claims.BATCH * len(ids)


def test_new_mail_is_claimed_together_as_ever_beside_mail_that_a_lane_died_with(tenant: Tenant) -> None:
    accept_many(tenant, 5)
    lane = lane_id("relay")
    assert kill(lane) == 5
    accept_many(tenant, 5)
    sizes = [take(lane) for _ in range(6)]
    assert sizes == [1, 1, 1, 1, 1, 5]


def take(lane: int) -> int:
    """Claim, and send what was claimed."""
    lease = lanes.take(lane)
    assert lease is not None
    claimed = claims.claim(lease)
    execute(update(Message).where(Message.id.in_([one.message_id for one in claimed])).values(state="sent"))
    lanes.release(lease)
    return len(claimed)


def test_an_answer_from_the_server_shows_that_the_mail_kills_nobody(tenant: Tenant, relay_to: RelayTo) -> None:
    message = accept(tenant)
    kill(lane_id("relay"))
    kill(lane_id("relay"))
    assert again(message).releases == 2
    with ScriptedServer({"RCPT": "450 4.2.0 greylisted, try later"}) as server:
        relay_to(server)
        drain()
    assert (again(message).state, again(message).releases) == ("deferred", 0)


def put_aside(message: Message, **more: Any) -> None:
    values = {"state": "held", "reason": "set_aside", "held_at": now(-3600), "releases": 3} | more
    execute(update(Message).where(Message.id == message.id).values(**values))


def test_the_operator_sees_it_and_releases_it(tenant: Tenant, app: Flask, smtp: SMTPSink) -> None:
    message = accept(tenant)
    put_aside(message)
    before = again(message).expires_at
    view = delivery_status.read()
    assert view.set_aside == 1
    assert any("1 message was set aside" in sentence for sentence in health_checks.sentences(view))
    assert message.public_id in run(app, "status").output
    result = run(app, "release", message.public_id)
    assert (result.exit_code, result.output) == (0, "Released 1 of 1 messages.\n")
    row = again(message)
    assert (row.state, row.reason, row.releases) == ("queued", None, 1), "claimed alone still"
    assert (row.expires_at - before).total_seconds() > 3500
    assert drain() == 1 and events(message) == ["queued", "resumed", "sent"]


@pytest.mark.parametrize(("ambiguous", "state"), [(0, "cancelled"), (1, "unconfirmed")])
def test_the_operator_ends_it(tenant: Tenant, app: Flask, ambiguous: int, state: str) -> None:
    message, waiting = accept(tenant), accept(tenant)
    put_aside(message, ambiguous=ambiguous)
    result = run(app, "end", message.public_id, waiting.public_id, "nonsense")
    assert result.exit_code == 1 and "Ended 1 of 3" in result.output
    assert f"Not set aside: {waiting.public_id}, nonsense" in result.output
    assert (again(message).state, again(message).reason) == (state, "ended_by_support")
    assert again(waiting).state == "queued"


def test_a_shops_own_changes_dont_release_it(tenant: Tenant, user: User, smtp: SMTPSink) -> None:
    message = accept(tenant)
    put_aside(message)
    lifecycle.set_held_mail(tenant, user, "default")
    assert again(message).state == "held"
    claims.expire()
    assert again(message).state == "held"


def test_a_shop_may_withdraw_it(tenant: Tenant) -> None:
    message = accept(tenant)
    put_aside(message)
    outbox.cancel(message.public_id)
    assert again(message).state == "cancelled"


@pytest.mark.skipif(bool(POSTGRES), reason="PostgreSQL's planner goes by statistics, which an empty table has none of")
def test_the_operators_list_is_found_by_an_index(ctx: Flask) -> None:
    with recorded() as statements:
        set_aside.listed(5)
    ((query, values),) = [one for one in statements if "EXPLAIN" not in one[0] and one[0].startswith("SELECT")]
    with db.engine.connect() as connection:
        plan = str(connection.exec_driver_sql("EXPLAIN QUERY PLAN " + query, tuple(values)).all())
    assert "ix_message_set_aside" in plan
