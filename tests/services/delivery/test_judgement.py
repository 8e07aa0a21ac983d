"""A refusal of one mail is not the state of its route: another mail is asked before anybody else's waits."""

import pytest
from sqlalchemy import func, select, update

from portal.extensions import db
from portal.models import Driver, Lane, Refusal, Tenant, User
from portal.models.route import INTERACTIVE, RELAY, Route
from portal.services.accounts import tenants
from portal.services.drivers import lifecycle
from portal.services.senders import verification
from tests.support.driver_steps import drain_driver
from tests.support.mail_service import MailService
from tests.support.refusing_relay import RATE, RefusingRelay, failures, mails, states
from tests.support.smtp_sink import Received
from tests.support.steps import accept, again, drain, events, execute, make_due

NOBODY_KNOWS = "554 5.0.0 transaction failed"
CLOSING = "421 4.7.0 too many connections, try later"


@pytest.mark.parametrize("reply", [RATE, CLOSING, "450 4.7.1 too many messages, slow down"])
@pytest.mark.parametrize("route", [RELAY, INTERACTIVE])
def test_mail_of_one_shop_that_is_refused_delays_no_other_shops(
    tenant: Tenant, other: Tenant, relay: RefusingRelay, route: Route, reply: str
) -> None:
    relay.refusals = {"a": reply}
    refused, fine = mails(tenant, "a", 5, route), mails(other, "b", 2, route)
    drain(route)
    assert states(fine) == ["sent"] * 2 and states(refused) == ["deferred"] * 5
    assert failures(route) == {0}
    assert events(refused[0]) == ["queued", "deferred"] and again(refused[0]).reason is not None


def test_a_server_that_has_just_taken_another_shops_mail_is_not_out_of_order(
    tenant: Tenant, other: Tenant, relay: RefusingRelay
) -> None:
    relay.refusals = {"a": CLOSING}
    fine = mails(other, "b", 2, RELAY)
    drain()
    refused = mails(tenant, "a", 1, RELAY)
    drain()
    assert states(fine) == ["sent"] * 2 and states(refused) == ["deferred"]
    assert failures(RELAY) == {0}


def test_verification_mail_of_one_shop_goes_out_beside_anothers_that_is_refused(
    tenant: Tenant, user: User, relay: RefusingRelay
) -> None:
    relay.refusals = {"x": RATE}
    mails(tenants.upsert("other", name="Other")[0], "x", 3, INTERACTIVE)
    verification.start_verification(tenant, user, "hello@acme.example", "Acme")
    drain("interactive")
    assert [mail.rcpt_to for mail in relay.kept] == ["hello@acme.example"]


def test_what_concerns_one_recipient_defers_that_message_only(tenant: Tenant, relay: RefusingRelay) -> None:
    relay.refusals = {"full": RATE}
    first, refused, last = (accept(tenant, f"{name}@customer.example") for name in ("one", "full", "two"))
    drain()
    assert states([first, refused, last]) == ["sent", "deferred", "sent"]
    assert failures() == {0} and db.session.scalar(select(func.count()).select_from(Refusal)) == 0


@pytest.mark.parametrize("reply", [RATE, CLOSING])
def test_a_relay_that_refuses_everybody_is_left_alone_after_two_mails(
    tenant: Tenant, other: Tenant, relay: RefusingRelay, reply: str
) -> None:
    relay.refusals = {"": reply}
    first, second = mails(tenant, "a", 3), mails(other, "b", 3)
    drain()
    assert relay.asked == ["a0", "b0"]
    assert states(first) == ["deferred", "queued", "queued"] and states(second) == ["deferred", "queued", "queued"]
    assert failures() == {1}
    for step in (2, 3):  # from now on one mail tells, and never the one that has just failed
        execute(update(Lane).values(not_before=None))
        drain()
        assert failures() == {step} and len(relay.asked) == step + 1
    assert relay.asked[2:] == ["a1", "b1"]
    relay.refusals = {}
    make_due()
    drain()
    assert set(states([*first, *second])) == {"sent"} and failures() == {0}


def test_without_another_shops_mail_the_route_is_free_for_what_comes(
    tenant: Tenant, other: Tenant, relay: RefusingRelay
) -> None:
    relay.refusals = {"a": RATE}
    (refused,) = mails(tenant, "a", 1)
    drain()
    assert states([refused]) == ["deferred"]
    (later,) = mails(other, "b", 1)
    drain()
    assert states([later]) == ["sent"]


@pytest.mark.parametrize("route", [RELAY, INTERACTIVE])
def test_refusals_in_unknown_words_of_one_shops_mail_stop_no_other(
    tenant: Tenant, other: Tenant, relay: RefusingRelay, route: Route
) -> None:
    relay.refusals = {"a": NOBODY_KNOWS}
    refused = mails(tenant, "a", 3, route)
    drain(route)
    assert states(refused) == ["failed", "failed", "deferred"], "two in a row may be two bad recipients"
    (fine,) = mails(other, "b", 1, route)
    drain(route)
    assert states([fine]) == ["sent"] and failures(route) == {0}
    make_due()
    drain(route)
    assert states(refused) == ["failed"] * 3


def test_refusals_in_unknown_words_of_two_shops_mail_are_the_relays(
    tenant: Tenant, other: Tenant, relay: RefusingRelay
) -> None:
    relay.refusals = {"": NOBODY_KNOWS}
    messages = [message for number in range(5) for message in (mails(tenant, f"a{number}", 1) + mails(other, "b", 1))]
    drain()
    assert sorted(states(messages)).count("failed") == 2 and failures() == {1}


def test_one_recipient_that_a_drivers_provider_refuses_stops_no_other(
    tenant: Tenant, driver: Driver, service: MailService
) -> None:
    refuse_only(service, "a1@customer.example")
    messages = mails(tenant, "a", 4)
    drain_driver(driver)
    assert states(messages) == ["sent", "deferred", "sent", "sent"]
    assert failures(driver.route) == {0} and lifecycle.get(tenant).state == "active"


def test_a_driver_whose_provider_refuses_two_recipients_waits(
    tenant: Tenant, driver: Driver, service: MailService
) -> None:
    service.reply = lambda: "451 4.7.1 rate limit exceeded"
    messages = mails(tenant, "a", 4)
    drain_driver(driver)
    assert states(messages) == ["deferred", "deferred", "queued", "queued"]
    assert failures(driver.route) == {1}


def test_mail_of_one_bad_recipient_in_unknown_words_stops_no_driver(
    tenant: Tenant, driver: Driver, service: MailService
) -> None:
    refuse_only(service, "bad@customer.example", NOBODY_KNOWS)
    bad = [accept(tenant, "bad@customer.example") for _ in range(4)]
    fine = accept(tenant, "fine@customer.example")
    drain_driver(driver)
    assert lifecycle.get(tenant).state == "active" and states([fine]) == ["sent"]
    assert states(bad) == ["failed", "failed", "deferred", "deferred"]


def refuse_only(service: MailService, recipient: str, reply: str = "451 4.7.1 rate limit exceeded") -> None:
    def judge(mail: Received) -> str | None:
        return reply if mail.rcpt_to == (recipient,) else None

    service.sink.on_data = judge
