"""One mailbox is one mailbox, whoever asks, for whatever mail, and however the address is spelled."""

import ast
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Driver, Message, Tenant, User, utcnow
from portal.models.driver import DriverState
from portal.services import limits
from portal.services.accounts import launches, login_links, people, tenants
from portal.services.delivery import driver_stopped
from portal.services.emails import contents
from portal.services.errors import InvalidField, NotResendable, SendLimit
from portal.services.limits import ALLOWANCES, Cause
from portal.services.outbox import send_again
from portal.services.senders import verification
from tests.support.at_once import at_once
from tests.support.figures import Figure
from tests.support.house import modules
from tests.support.steps import accept, execute
from tests.support.valkey import Valkey

VICTIM = "victim@customer.example"
SPELLINGS = (VICTIM, "Victim@Customer.example", "victim+1@ｃustomer.example", "VICTIM+shop@customer。example")
DAY = timedelta(days=1)


def shops(count: int, email: str = "admin@shop.example") -> list[tuple[Tenant, User]]:
    for number in range(count):
        tenants.upsert(f"shop-{number}", name=f"Shop {number}", plan="enterprise")
    came = [launches.accept(launches.make_token(f"shop-{number}", email=email)) for number in range(count)]
    return [(launch.tenant, launch.user) for launch in came if launch.tenant is not None]


def to_the_mailbox() -> list[Message]:
    mailbox = limits.mailbox_of(VICTIM)
    mails = db.session.scalars(select(Message).where(Message.resent_of.is_not(None) | Message.kind.in_(contents.OURS)))
    return [mail for mail in mails if limits.mailbox_of(mail.to_address) == mailbox]


def test_each_mail_of_ours_has_its_allowance() -> None:
    assert set(contents.OURS) <= set(ALLOWANCES)
    assert {cause for cause, allowed in ALLOWANCES.items() if not allowed.to_mailbox} == set()


def test_whatever_writes_a_mail_of_ours_counts_it() -> None:
    """`outbox.accept` and `record_test` are for mail that no platform handed in."""
    for path in modules("portal/services"):
        calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
        if calls & {"outbox.accept", "outbox.record_test"}:
            assert "limits.count" in calls, path


def test_the_shares_of_a_day_add_up_to_the_most_that_a_mailbox_gets() -> None:
    """A driver's test goes to whoever asks for it, and counts for the account."""
    shares = [
        min(most for most, window in allowed.to_mailbox if window == DAY)
        for cause, allowed in ALLOWANCES.items()
        if cause not in (Cause.DRIVER_TEST, Cause.SENDER_CONFIRMED)
    ]
    assert sum(shares) == limits.PER_DAY == 20


def stop_again(shop: Tenant) -> None:
    """As if the provider refused the driver once more."""
    driver = db.session.scalar(select(Driver).where(Driver.tenant_id == shop.id))
    with transaction() as session:
        if driver is None:
            account = {"host": "smtp.shop.example", "port": 465, "encryption": "tls", "username": "shop", "secret": "x"}
            driver = Driver(tenant_id=shop.id, from_address="shop@acme.example", **account)
            session.add(driver)
        driver.state, driver.reason, driver.told_at = DriverState.STOPPED, "bad_credentials", None
    driver_stopped.tell(driver.id)


def mail_of_the_log(shop: Tenant, user: User) -> None:
    """A message to the victim that has ended is sent again, and that copy ends, too."""
    message = accept(shop, VICTIM)
    execute(update(Message).where(Message.id == message.id).values(state="sent"))
    send_again.send_again(shop, user, message.public_id, "")
    execute(update(Message).where(Message.resent_of == message.id).values(state="sent"))


@pytest.mark.security("all that people can cause to be mailed, caused to one mailbox for 30 hours")
def test_of_everything_together_a_mailbox_gets_twenty_a_day(ctx: Flask, valkey: Valkey, figure: Figure) -> None:
    asking, own = shops(5), shops(3, VICTIM)
    start = utcnow()
    for hour in range(0, 30, 2):
        valkey.flush()  # no count is lost with Redis
        with time_machine.travel(start + timedelta(hours=hour), tick=False):
            for number, (shop, user) in enumerate(asking):
                address = SPELLINGS[(hour + number) % len(SPELLINGS)]
                acts: list[Callable[[], object]] = [
                    partial(verification.start_verification, shop, user, address, "Shop"),
                    partial(people.invite, shop, user, address, "admin"),
                    partial(login_links.ask, address, "en"),
                    partial(mail_of_the_log, shop, user),
                ]
                for act in acts:
                    with suppress(SendLimit, NotResendable, InvalidField):
                        act()
            for shop, _ in own:
                stop_again(shop)
            login_links.send_forgotten()
    mails = to_the_mailbox()
    times = [mail.accepted_at for mail in mails]
    most = max(sum(begin <= time < begin + DAY for time in times) for begin in times)
    kinds = Counter("send_again" if mail.resent_of else mail.kind for mail in mails)
    figure(f"{len(mails)} mails in 30 h, at most {most} in any 24 h: {dict(kinds)}")
    assert most <= limits.PER_DAY
    assert set(kinds) == {"verification", "invitation", "sign_in", "send_again", "notice"}, "each has got its share"


def test_what_others_cause_leaves_a_mailbox_its_sign_in_link_and_its_verification(ctx: Flask) -> None:
    asking, (own, user) = shops(6), shops(7, VICTIM)[-1]
    for shop, admin in asking:
        with suppress(SendLimit):
            people.invite(shop, admin, f"victim+{shop.id}@customer.example", "admin")
        with suppress(SendLimit):
            mail_of_the_log(shop, admin)
        login_links.ask(f"victim+{shop.id}@customer.example", "en")
    login_links.send_forgotten()
    login_links.ask(VICTIM, "en")
    login_links.send_forgotten()
    verification.start_verification(own, user, VICTIM, "Mine")
    assert [mail.kind for mail in to_the_mailbox() if mail.to_address == VICTIM][-2:] == ["sign_in", "verification"]


def test_of_many_shops_that_invite_one_mailbox_in_the_same_moment_two_get_through(app: Flask) -> None:
    with app.app_context():
        ids = [(tenant.id, user.id) for tenant, user in shops(8)]

    def invite(number: int, tenant: int, user: int) -> bool:
        shop, person = db.session.get_one(Tenant, tenant), db.session.get_one(User, user)
        try:
            people.invite(shop, person, f"victim+{number}@customer.example", "admin")
        except SendLimit:
            return False
        return True

    assert sum(at_once(*(partial(invite, number, *who) for number, who in enumerate(ids)), app=app)) == 2
