"""Refusals that are kept: how long they count, what clears them, and whose mail waits because of them."""

from sqlalchemy import func, select, update

from portal.extensions import db
from portal.models import Refusal, Tenant, now
from portal.models.route import RELAY
from portal.services.accounts import tenants
from portal.services.delivery import claims
from portal.services.operations import delivery_status, health_checks, housekeeping
from portal.services.outbox import message_log
from portal.services.routing import lanes, refusals
from tests.support.refusing_relay import RATE, RefusingRelay, failures, mails, states
from tests.support.steps import accept, drain, execute, make_due


def test_a_shop_whose_mail_is_all_refused_waits_alone_and_its_rows_say_why(
    tenant: Tenant, other: Tenant, relay: RefusingRelay
) -> None:
    relay.refusals = {"a": RATE}
    refused = mails(tenant, "a", 30)
    drain()
    assert len(relay.asked) == refusals.IN_A_ROW
    drain()
    assert len(relay.asked) == refusals.IN_A_ROW, "it waits"
    assert not claims.is_due(RELAY), "or its lane would wake itself for ever"
    listed = message_log.page(tenant, message_log.LogFilter()).rows
    wait = message_log.waits(tenant, listed)["relay"]
    assert wait.reason == "rate_limited" and not lanes.waits({RELAY})
    assert message_log.waits(other, listed) == {}
    told = health_checks.sentences(delivery_status.read())
    assert any("The route relay refuses all mail of 1 shop (rate_limited)" in sentence for sentence in told)
    (fine,) = mails(other, "b", 1)
    drain()
    assert states([fine]) == ["sent"]
    for step in (1, 2):
        execute(update(Refusal).values(not_before=now(-1)))
        drain()
        assert len(relay.asked) == refusals.IN_A_ROW + 1 + step, "one at a time, and never the same again"
    assert len(set(relay.asked)) == len(relay.asked)
    relay.refusals = {}
    execute(update(Refusal).values(not_before=now(-1)))
    make_due()
    drain()
    assert set(states(refused)) == {"sent"}


def test_what_was_sent_in_between_shows_that_the_route_is_well(
    tenant: Tenant, other: Tenant, relay: RefusingRelay
) -> None:
    third, _ = tenants.upsert("third", name="Third")
    relay.refusals = {"a": RATE, "c": RATE}
    for shop, start in ((tenant, "a"), (other, "b"), (third, "c")):
        mails(shop, start, 1)
        drain()
    assert failures() == {0}


def test_a_refusal_of_long_ago_says_nothing_any_more(tenant: Tenant, other: Tenant, relay: RefusingRelay) -> None:
    relay.refusals = {"": RATE}
    mails(tenant, "a", 1)
    drain()
    execute(update(Refusal).values(at=now(-3600)))
    mails(other, "b", 1)
    drain()
    assert failures() == {0}
    execute(update(Refusal).values(at=now(-100_000)))
    housekeeping.clean_up()
    assert db.session.scalar(select(func.count()).select_from(Refusal)) == 0


def test_two_shops_mail_to_one_recipient_is_the_recipients_matter(
    tenant: Tenant, other: Tenant, relay: RefusingRelay
) -> None:
    relay.refusals = {"full": RATE}
    refused = [accept(tenant, "full@customer.example"), accept(other, "Full@customer.example")]
    relay.refusals["Full"] = RATE
    (fine,) = mails(tenant, "a", 1)
    drain()
    assert states(refused) == ["deferred"] * 2 and states([fine]) == ["sent"] and failures() == {0}
