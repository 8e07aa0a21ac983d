"""Nobody guesses passwords at providers by way of a driver's test, or the tested password by way of Save."""

from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from portal.extensions import db
from portal.models import DriverTest, RefusedSignIn, Tenant, User, utcnow
from portal.services.accounts import launches
from portal.services.drivers import guesses, probe, save_gate
from portal.services.drivers.settings import DriverSettings
from portal.services.errors import SettingsUntested, TooManyRefusals
from portal.services.operations import housekeeping
from tests.support.at_once import at_once
from tests.support.driver_steps import run_test, saved
from tests.support.mail_service import MailService
from tests.support.scripted_server import ScriptedServer
from tests.support.settings import configure
from tests.support.steps import execute
from tests.support.valkey import Valkey


def guess(tenant: Tenant, user: User, wanted: DriverSettings, number: int) -> str:
    return run_test(tenant, user, replace(wanted, secret=f"guess {number}")).state


def pass_minutes(minutes: float) -> None:
    later = timedelta(minutes=minutes)
    rows = db.session.execute(select(RefusedSignIn.key, RefusedSignIn.at, RefusedSignIn.next_at)).all()
    for key, at, next_at in rows:
        earlier = {"at": at - later, "next_at": next_at - later}
        execute(update(RefusedSignIn).where(RefusedSignIn.key == key).values(**earlier))


def minutes_to_wait(tenant: Tenant, user: User, wanted: DriverSettings) -> float:
    with pytest.raises(TooManyRefusals) as refused:
        save_gate.start(tenant, user, wanted)
    return round((refused.value.next_at - utcnow()).total_seconds() / 60, 1)


@pytest.fixture
def other() -> launches.Launch:
    return launches.accept(launches.make_token("other", plan="enterprise"))


def test_after_three_refusals_each_takes_twice_as_long_and_half_an_hour_at_most(
    tenant: Tenant, user: User, wanted: DriverSettings, service: MailService
) -> None:
    waits = []
    for number in range(10):
        assert guess(tenant, user, wanted, number) == "failed"
        if number >= 2:
            waits.append(minutes_to_wait(tenant, user, wanted))
            pass_minutes(waits[-1] + 0.1)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert service.sign_ins == 10, "nobody asked the provider in between"
    assert run_test(tenant, user, wanted).state == "passed"
    assert guess(tenant, user, wanted, 99) == "failed", "whoever knows the password begins anew"


def test_an_account_is_counted_over_all_shops_however_its_name_is_written(
    tenant: Tenant, user: User, wanted: DriverSettings, other: launches.Launch
) -> None:
    for number in range(3):
        guess(tenant, user, wanted, number)
    ways = [
        {},
        {"username": "Shop@Acme.Example"},
        {"username": "s.hop+1@acme.example"},
        {"from_address": "x@y.example"},
    ]
    for same in (replace(wanted, **way) for way in ways):
        assert minutes_to_wait(other.tenant, other.user, same) == 1
    save_gate.start(other.tenant, other.user, replace(wanted, username="else@acme.example"))


def test_two_names_of_a_providers_server_are_one(tenant: Tenant, wanted: DriverSettings) -> None:
    gmail = [replace(wanted, host=host) for host in ("smtp.gmail.com", "smtp.googlemail.com", "SMTP.Gmail.Com")]
    for account in gmail:
        guesses.count(tenant, account)
    with pytest.raises(TooManyRefusals):
        guesses.count(tenant, gmail[0])


def test_a_shop_that_tries_one_account_after_the_other_waits_as_well(
    tenant: Tenant, user: User, wanted: DriverSettings, other: launches.Launch
) -> None:
    for number in range(6):
        account = replace(wanted, username=f"{number}@acme.example")
        assert guess(tenant, user, account, number) == "failed"
    assert minutes_to_wait(tenant, user, replace(wanted, username="7@acme.example")) == 1
    save_gate.start(other.tenant, other.user, wanted)


def test_strangers_cannot_keep_a_shop_from_its_own_account(
    tenant: Tenant, user: User, wanted: DriverSettings, other: launches.Launch
) -> None:
    saved(tenant, user, wanted)
    for number in range(3):
        guess(other.tenant, other.user, wanted, number)
    assert minutes_to_wait(other.tenant, other.user, wanted) == 1
    assert run_test(tenant, user, wanted).state == "passed"


@pytest.mark.parametrize(
    "said",
    [
        "5.7.8 Username and Password not accepted",
        "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant",
        "words that nobody knows",
    ],
)
def test_a_535_is_a_refusal_whatever_stands_behind_it(
    tenant: Tenant, user: User, wanted: DriverSettings, service: MailService, ctx: Flask, said: str
) -> None:
    answers = {"AUTH": f"535 {said}"}
    with ScriptedServer(answers, extensions=("STARTTLS", "AUTH PLAIN"), tls=service.context) as server:
        configure(ctx, smtp_allowed_ports=str(server.port))
        account = replace(wanted, port=server.port)
        for number in range(3):
            assert guess(tenant, user, account, number) == "failed"
    assert minutes_to_wait(tenant, user, account) == 1


def test_what_fails_for_another_reason_is_no_guess(
    tenant: Tenant, user: User, wanted: DriverSettings, service: MailService
) -> None:
    elsewhere = replace(wanted, host="127.0.0.2")  # its certificate has another name
    for _ in range(8):
        assert run_test(tenant, user, elsewhere).failed_step in ("connect", "tls")
    save_gate.start(tenant, user, elsewhere)
    execute(update(DriverTest).values(created_at=utcnow() - save_gate.GIVE_UP))
    for _ in range(8):  # nor is one whose worker died
        probe.give_up_old()
        save_gate.start(tenant, user, elsewhere)
        execute(update(DriverTest).values(created_at=utcnow() - save_gate.GIVE_UP))


def test_of_many_shops_at_once_no_more_get_through(app: Flask, wanted: DriverSettings) -> None:
    shops = [launches.accept(launches.make_token(f"shop-{number}", plan="enterprise")) for number in range(8)]
    ids = [shop.tenant.id for shop in shops]
    db.session.commit()

    def begin(tenant_id: int) -> bool:
        try:
            guesses.count(db.session.get_one(Tenant, tenant_id), wanted)
        except TooManyRefusals:
            return False
        return True

    got_through = at_once(*[lambda id=id: begin(id) for id in ids], app=app)  # type: ignore[misc]
    assert sum(got_through) == 3


def test_the_count_survives_the_loss_of_redis(
    tenant: Tenant, user: User, wanted: DriverSettings, valkey: Valkey
) -> None:
    for number in range(3):
        guess(tenant, user, wanted, number)
    valkey.flush()
    assert minutes_to_wait(tenant, user, wanted) == 1


def test_forgetting_the_tests_forgets_no_refusal(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    for number in range(3):
        guess(tenant, user, wanted, number)
    save_gate.discard(tenant)
    assert minutes_to_wait(tenant, user, wanted) == 1


def test_after_a_day_all_is_forgotten(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    for number in range(3):
        guess(tenant, user, wanted, number)
    pass_minutes(24 * 60 + 1)
    assert guess(tenant, user, wanted, 4) == "failed" and guess(tenant, user, wanted, 5) == "failed"
    pass_minutes(24 * 60 + 1)
    assert housekeeping.clean_up() >= 2
    assert db.session.scalar(select(func.count()).select_from(RefusedSignIn)) == 0


def test_the_table_holds_neither_account_nor_shop(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    guess(tenant, user, wanted, 1)
    keys = db.session.scalars(select(RefusedSignIn.key)).all()
    assert len(keys) == 2 and all(len(key) == 64 and "acme" not in key for key in keys)


def test_save_tells_the_tested_password_to_nobody_who_guesses(
    tenant: Tenant, user: User, wanted: DriverSettings
) -> None:
    run_test(tenant, user, wanted)
    for number in range(3):
        with pytest.raises(SettingsUntested):
            save_gate.save(tenant, user, replace(wanted, secret=f"guess {number}"), 0)
    with pytest.raises(TooManyRefusals):
        save_gate.save(tenant, user, wanted, 0)
    save_gate.save(tenant, user, replace(wanted, secret=""), 0)  # who needn't guess isn't held up


def test_who_saves_what_was_tested_is_never_held_up(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    run_test(tenant, user, wanted)
    for version in range(8):
        save_gate.save(tenant, user, wanted, version)
