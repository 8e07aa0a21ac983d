"""Nobody's inbox can be flooded with verification mail, however many shops ask and however the address is spelled."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select

from portal.extensions import db
from portal.models import Message, Tenant, User
from portal.services.accounts import launches, tenants
from portal.services.errors import SendLimit
from portal.services.senders import verification
from tests.support.at_once import at_once
from tests.support.figures import Figure

REQUESTS, SHOPS = 1000, 60  # each shop may send 20 a day, so that the shops' own limit decides nothing here
SPELLINGS = ("victim@customer.example", "Victim@Customer.example", "victim+shop@customer.example")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def shops(count: int) -> list[tuple[Tenant, User]]:
    names = [f"shop-{number}" for number in range(count)]
    made = [tenants.upsert(name, name=name.title(), plan="pro")[0] for name in names]
    people = [launches.accept(launches.make_token(name)).user for name in names]
    return list(zip(made, people, strict=True))


def most_within(times: list[datetime], window: timedelta) -> int:
    """The most that fell into any window of this length."""
    return max(sum(start <= time < start + window for time in times) for start in times)


@pytest.mark.security("1,000 verification requests over many tenants for one address")
def test_one_address_gets_three_mails_an_hour_and_five_a_day(ctx: Flask, figure: Figure) -> None:
    asking, accepted = shops(SHOPS), []
    start, over = datetime.now(UTC), timedelta(hours=30)
    for number in range(REQUESTS):
        moment = start + number * over / REQUESTS
        tenant, user = asking[number % SHOPS]
        with time_machine.travel(moment, tick=False):
            try:
                verification.start_verification(tenant, user, SPELLINGS[number % len(SPELLINGS)], "Shop")
            except SendLimit:
                continue
        accepted.append(moment)
    mails = db.session.scalar(select(func.count()).select_from(Message).where(Message.kind == "verification"))
    hourly, daily = most_within(accepted, HOUR), most_within(accepted, DAY)
    figure(f"{REQUESTS} of {SHOPS} shops in 30 h: {mails} mails, at most {hourly} in any hour, {daily} in any 24 h")
    assert mails == len(accepted) >= 5
    assert hourly <= 3 and daily <= 5


@pytest.mark.security("verification requests for one address in the same moment")
def test_in_the_same_moment_one_of_many_shops_gets_through(app: Flask, figure: Figure) -> None:
    with app.app_context():
        ids = [(tenant.id, user.id) for tenant, user in shops(8)]

    def ask(tenant: int, user: int) -> bool:
        shop, person = db.session.get_one(Tenant, tenant), db.session.get_one(User, user)
        try:
            verification.start_verification(shop, person, SPELLINGS[0], "Shop")
        except SendLimit:
            return False
        return True

    passed = sum(at_once(*(partial(ask, *who) for who in ids), app=app))
    figure(f"{len(ids)} shops at once: {passed} mail")
    assert passed == 1
