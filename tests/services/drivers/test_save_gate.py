"""The test gate: nothing is saved but what a test mail has passed with."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import insert, select, update

from portal import job_queue
from portal.extensions import db
from portal.models import DriverTest, MailCount, Tenant, User, utcnow
from portal.services.accounts import launches, tenants
from portal.services.drivers import lifecycle, probe, save_gate
from portal.services.drivers.settings import DriverSettings
from portal.services.errors import AlreadyTesting, EditConflict, InvalidFields, PlanLocked, SendLimit, SettingsUntested
from portal.services.routing import sender as senders
from tests.support.driver_steps import run_test, saved
from tests.support.mail_service import MailService
from tests.support.steps import execute
from tests.support.valkey import Valkey
from tests.support.worker import work_off

Change = Callable[[DriverSettings], DriverSettings]


def test_a_passed_test_can_be_saved(tenant: Tenant, user: User, wanted: DriverSettings, service: MailService) -> None:
    test = run_test(tenant, user, wanted)
    assert (test.state, test.reason) == ("passed", None), test.text
    assert [step["name"] for step in test.steps] == list(probe.STEPS)
    assert service.sink.received[0].rcpt_to == (user.email,)
    save_gate.save(tenant, user, wanted, 0)
    sender = senders.resolve(tenant)
    assert str(sender.mailbox) == "Acme Shop <shop@acme.example>" and sender.route.startswith("driver:")


@pytest.mark.parametrize(
    "change",
    [
        lambda s: replace(s, host="localhost"),
        lambda s: replace(s, encryption="tls"),
        lambda s: replace(s, username="other@acme.example"),
        lambda s: replace(s, secret="another"),
        lambda s: replace(s, from_address="boss@acme.example"),
    ],
)
def test_a_save_with_one_field_changed_after_the_test_is_refused(
    tenant: Tenant, user: User, wanted: DriverSettings, change: Change
) -> None:
    run_test(tenant, user, wanted)
    with pytest.raises(SettingsUntested) as refused:
        save_gate.save(tenant, user, change(wanted), 0)
    assert refused.value.reason == "changed"
    assert lifecycle.find(tenant) is None


def test_a_save_without_a_test_is_refused(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    with pytest.raises(SettingsUntested):
        save_gate.save(tenant, user, wanted, 0)
    assert lifecycle.find(tenant) is None


def test_a_save_while_the_test_runs_is_refused(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    save_gate.start(tenant, user, wanted)
    with pytest.raises(SettingsUntested):
        save_gate.save(tenant, user, wanted, 0)


def test_a_save_after_a_failed_test_is_refused(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    wrong = replace(wanted, secret="wrong")
    test = run_test(tenant, user, wrong)
    assert (test.state, test.failed_step, test.reason) == ("failed", "sign_in", "bad_credentials")
    with pytest.raises(SettingsUntested):
        save_gate.save(tenant, user, wrong, 0)


def test_a_test_passed_31_minutes_ago_is_too_old(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    run_test(tenant, user, wanted)
    execute(update(DriverTest).values(finished_at=utcnow() - timedelta(minutes=31)))
    with pytest.raises(SettingsUntested) as refused:
        save_gate.save(tenant, user, wanted, 0)
    assert refused.value.reason == "expired"


def test_tests_count_for_the_account_and_take_nothing_from_the_persons_mailbox(
    tenant: Tenant, user: User, wanted: DriverSettings
) -> None:
    run_test(tenant, user, wanted)
    counted = db.session.scalars(select(MailCount)).one()
    assert (counted.kind, counted.mailbox) == ("driver_test", "shop@acme.example at 127.0.0.1")
    execute(insert(MailCount).values([{"kind": counted.kind, "mailbox": counted.mailbox, "at": utcnow()}] * 29))
    other = launches.accept(launches.make_token("other", plan="enterprise"))
    for shop, person in ((tenant, user), (other.tenant, other.user)):
        with pytest.raises(SendLimit):
            save_gate.start(shop, person, replace(wanted, username="Shop@Acme.example"))
    save_gate.start(tenant, user, replace(wanted, username="another@acme.example"))


def test_another_tenants_test_opens_nothing(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    run_test(tenant, user, wanted)
    other = launches.accept(launches.make_token("other", plan="enterprise"))
    with pytest.raises(SettingsUntested):
        save_gate.save(other.tenant, other.user, wanted, 0)
    with pytest.raises(SettingsUntested):
        save_gate.save(other.tenant, other.user, replace(wanted, secret=""), 0)


def test_a_blank_password_means_the_tested_one(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    run_test(tenant, user, wanted)
    driver = save_gate.save(tenant, user, replace(wanted, secret=""), 0)
    assert probe.driver_settings.of(driver).secret == wanted.secret


def test_a_stored_password_goes_to_no_other_host_or_user(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    saved(tenant, user, wanted)
    for change in ({"host": "localhost"}, {"username": "other@acme.example"}):
        with pytest.raises(InvalidFields) as refused:
            save_gate.start(tenant, user, replace(wanted, secret="", **change))
        assert refused.value.errors == [("secret", "empty")]


def test_a_second_test_while_one_runs_is_refused(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    save_gate.start(tenant, user, wanted)
    with pytest.raises(AlreadyTesting):
        save_gate.start(tenant, user, wanted)


def test_the_later_of_two_admins_learns_what_changed(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    saved(tenant, user, wanted)
    theirs = replace(wanted, from_name="Acme Outlet")
    save_gate.save(tenant, user, theirs, 1)
    with pytest.raises(EditConflict) as refused:
        save_gate.save(tenant, user, wanted, 1)
    assert refused.value.fields == ["from_name"] and refused.value.by == user.email
    driver = lifecycle.get(tenant)
    assert driver.from_name == "Acme Outlet"


def test_a_plan_without_it_can_neither_test_nor_save(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    run_test(tenant, user, wanted)
    tenants.upsert("acme", plan="pro")
    with pytest.raises(PlanLocked):
        save_gate.start(tenant, user, wanted)
    with pytest.raises(PlanLocked):
        save_gate.save(tenant, user, wanted, 0)


def test_the_password_is_encrypted(tenant: Tenant, user: User, wanted: DriverSettings, service: MailService) -> None:
    service.password = "canary-7b1f-password"
    driver = saved(tenant, user, replace(wanted, secret=service.password))
    test = save_gate.latest(tenant)
    assert test is not None
    for row in (driver, test):
        assert all("canary" not in str(getattr(row, column.key)) for column in row.__mapper__.columns)
    assert "canary" not in repr(replace(wanted, secret=service.password))


def test_a_tests_job_is_interactive(tenant: Tenant, user: User, wanted: DriverSettings, valkey: Valkey) -> None:
    save_gate.start(tenant, user, wanted)
    assert valkey.command("LLEN", "rq:queue:interactive") == b":1\r\n"
    job = valkey.command("LINDEX", "rq:queue:interactive", "0").split(b"\r\n")[1].decode()
    kept = valkey.command("HGETALL", f"rq:job:{job}")
    assert b"jobs.probe.run" in kept
    assert wanted.secret.encode() not in kept and b"acme.example" not in kept


def test_a_job_of_the_version_before_is_done(app: Flask, tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    test = save_gate.start(tenant, user, wanted)
    connection = Redis.from_url(app.extensions["settings"].redis_url)
    queue = Queue(job_queue.INTERACTIVE, connection=connection, serializer=JSONSerializer)
    queue.empty()  # of today's
    queue.enqueue("jobs.driver_test.run", test.id)
    work_off(job_queue.INTERACTIVE, connection)
    db.session.rollback()
    assert db.session.scalar(select(DriverTest.state)) == "passed"
