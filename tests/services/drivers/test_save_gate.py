"""The test gate: nothing is saved but what a test mail has passed with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import DriverTest, Message, Tenant, User, utcnow
from portal.services.accounts import launches, tenants
from portal.services.drivers import lifecycle, probe, save_gate
from portal.services.drivers.settings import DriverSettings
from portal.services.errors import AlreadyTesting, EditConflict, InvalidFields, PlanLocked, SettingsUntested
from portal.services.routing import sender as senders
from portal.transport.base import Timeouts
from portal.transport.smtp.replies import REASONS
from tests.support.driver_steps import allow, run_test, saved
from tests.support.mail_service import MailService
from tests.support.scripted_server import SILENCE, ScriptedServer
from tests.support.settings import configure
from tests.support.steps import PATIENT
from tests.support.valkey import Valkey

IMPATIENT = Timeouts(connect=1, command=1, dot=1, session=5)
Change = Callable[[DriverSettings], DriverSettings]


def test_a_passed_test_can_be_saved_and_sends_all_mail(
    tenant: Tenant, user: User, wanted: DriverSettings, service: MailService
) -> None:
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
    with transaction() as session:
        session.execute(update(DriverTest).values(finished_at=utcnow() - timedelta(minutes=31)))
    with pytest.raises(SettingsUntested) as refused:
        save_gate.save(tenant, user, wanted, 0)
    assert refused.value.reason == "expired"


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


def test_a_stored_password_does_not_follow_to_another_host_or_user(
    tenant: Tenant, user: User, wanted: DriverSettings
) -> None:
    saved(tenant, user, wanted)
    for change in ({"host": "localhost"}, {"username": "other@acme.example"}):
        with pytest.raises(InvalidFields) as refused:
            save_gate.start(tenant, user, replace(wanted, secret="", **change))
        assert refused.value.errors == [("secret", "empty")]


def test_a_second_test_while_one_runs_is_refused(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    save_gate.start(tenant, user, wanted)
    with pytest.raises(AlreadyTesting):
        save_gate.start(tenant, user, wanted)


def test_a_test_whose_worker_died_ends_after_90_seconds(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    test = save_gate.start(tenant, user, wanted)
    with transaction() as session:
        session.execute(update(DriverTest).values(created_at=utcnow() - timedelta(seconds=91), state="running"))
    latest = save_gate.latest(tenant)
    assert latest is not None and save_gate.state_of(latest) == "unfinished"
    assert probe.give_up_old() == 1
    message = db.session.get_one(Message, test.message_id, populate_existing=True)
    assert (message.state, message.reason) == ("failed", "interrupted")
    save_gate.start(tenant, user, wanted)  # the next one may begin


def test_the_test_mail_stands_in_the_log_passed_or_failed(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    run_test(tenant, user, wanted)
    run_test(tenant, user, replace(wanted, secret="wrong"))
    rows = db.session.scalars(select(Message).order_by(Message.id)).all()
    assert [(row.kind, row.state) for row in rows] == [("driver_test", "sent"), ("driver_test", "failed")]


def test_two_admins_editing_at_once_the_later_learns_what_the_other_changed(
    tenant: Tenant, user: User, wanted: DriverSettings
) -> None:
    saved(tenant, user, wanted)
    theirs = replace(wanted, from_name="Acme Outlet")
    save_gate.save(tenant, user, theirs, 1)
    with pytest.raises(EditConflict) as refused:
        save_gate.save(tenant, user, wanted, 1)
    assert refused.value.fields == ["from_name"] and refused.value.by == user.email
    driver = lifecycle.get(tenant)
    assert driver.from_name == "Acme Outlet"


def test_a_plan_without_own_mail_service_can_neither_test_nor_save(
    tenant: Tenant, user: User, wanted: DriverSettings
) -> None:
    run_test(tenant, user, wanted)
    tenants.upsert("acme", plan="pro")
    with pytest.raises(PlanLocked):
        save_gate.start(tenant, user, wanted)
    with pytest.raises(PlanLocked):
        save_gate.save(tenant, user, wanted, 0)


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"host": ""}, "host", "empty"),
        ({"host": "https://smtp.acme.example"}, "host", "not_a_host"),
        ({"host": "smtp.acme.example/mail"}, "host", "not_a_host"),
        ({"port": 70000}, "port", "not_a_mail_port"),
        ({"port": 22}, "port", "not_a_mail_port"),
        ({"port": 465}, "encryption", "contradicts_port"),
        ({"port": 587, "encryption": "tls"}, "encryption", "contradicts_port"),
        ({"preset": "microsoft365", "port": 465, "encryption": "tls"}, "port", "not_offered"),
        ({"username": " "}, "username", "empty"),
        ({"secret": ""}, "secret", "empty"),
        ({"secret": "x" * 10_000}, "secret", "too_long"),
        ({"from_address": "nobody"}, "from_address", "not_an_address"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field_before_anything_is_sent(
    tenant: Tenant, user: User, wanted: DriverSettings, service: MailService, fields: dict[str, object], field: str,
    reason: str,
) -> None:  # fmt: skip
    with pytest.raises(InvalidFields) as refused:
        save_gate.start(tenant, user, replace(wanted, **fields))
    assert refused.value.errors == [(field, reason)]
    assert save_gate.latest(tenant) is None and service.sign_ins == 0


def test_pasted_values_lose_their_spaces(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    pasted = replace(
        wanted, preset="gmail", host="  127.0.0.1 ", username=" shop@acme.example ", secret="abcd efgh ijkl mnop"
    )
    clean = pasted.cleaned(tenant)
    assert (clean.host, clean.username, clean.secret) == ("127.0.0.1", "shop@acme.example", "abcdefghijklmnop")


@pytest.mark.parametrize(
    ("preset", "pasted", "kept"),
    [
        ("gmail", "abcd\u00a0efgh\u00a0ijkl\u00a0mnop\n", "abcdefghijklmnop"),
        ("yahoo", " abcdefgh ijklmnop", "abcdefghijklmnop"),
        ("icloud", "abcd-efgh-ijkl-mnop ", "abcd-efgh-ijkl-mnop"),
        ("microsoft365", "abcd efgh ijkl mnop", "abcdefghijklmnop"),
        ("microsoft365", " correct Horse battery 4 staple\t", "correct Horse battery 4 staple"),
        ("microsoft365", "purple cats dancing", "purple cats dancing"),
        ("zoho", "aB3d eF6h iJ9l", "aB3deF6hiJ9l"),
        ("zoho", "my shop's mail", "my shop's mail"),
        ("other", " two words ", "two words"),
    ],
)
def test_only_an_app_password_loses_the_spaces_within_it(
    tenant: Tenant, user: User, wanted: DriverSettings, preset: str, pasted: str, kept: str
) -> None:
    assert replace(wanted, preset=preset, secret=pasted).cleaned(tenant).secret == kept


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1", "[::1]".strip("[]")])
def test_a_server_inside_our_network_is_not_dialled(
    tenant: Tenant, user: User, wanted: DriverSettings, service: MailService, ctx: Flask, host: str
) -> None:
    configure(ctx, smtp_allowed_networks="")
    test = run_test(tenant, user, replace(wanted, host=host))
    assert (test.state, test.failed_step) == ("failed", "resolve")
    assert service.sign_ins == 0


def test_a_certificate_for_another_name_gets_no_password(
    tenant: Tenant, user: User, wanted: DriverSettings, ctx: Flask, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with MailService(tmp_path / "other", name="mail.other.example") as other:
        allow(ctx, other)
        test = run_test(tenant, user, replace(wanted, port=other.port))
        assert (test.state, test.failed_step) == ("failed", "tls")
        assert other.sign_ins == 0


def test_the_password_is_kept_encrypted_only(
    tenant: Tenant, user: User, wanted: DriverSettings, service: MailService
) -> None:
    service.password = "canary-7b1f-password"
    driver = saved(tenant, user, replace(wanted, secret=service.password))
    test = save_gate.latest(tenant)
    assert test is not None
    for row in (driver, test):
        assert all("canary" not in str(getattr(row, column.key)) for column in row.__mapper__.columns)
    assert "canary" not in repr(replace(wanted, secret=service.password))


def test_starting_a_test_puts_its_job_on_the_interactive_queue(
    tenant: Tenant, user: User, wanted: DriverSettings, valkey: Valkey
) -> None:
    save_gate.start(tenant, user, wanted)
    assert valkey.command("LLEN", "rq:queue:interactive") == b":1\r\n"
    job = valkey.command("LINDEX", "rq:queue:interactive", "0").split(b"\r\n")[1].decode()
    kept = valkey.command("HGETALL", f"rq:job:{job}")
    assert b"jobs.driver_test.run" in kept
    assert wanted.secret.encode() not in kept and b"acme.example" not in kept


@pytest.mark.parametrize(
    ("extensions", "answers", "step"),
    [
        ((), {}, "tls"),  # offers no STARTTLS
        (("STARTTLS",), {}, "sign_in"),  # offers no AUTH
        (("STARTTLS", "AUTH CRAM-MD5 GSSAPI"), {}, "sign_in"),  # only what we don't speak
        (("STARTTLS",), {"greeting": SILENCE}, "tls"),  # never answers
        (("STARTTLS",), {"greeting": "SSH-2.0-OpenSSH_9.9"}, "tls"),  # isn't SMTP
    ],
)
def test_a_server_that_cannot_be_used_fails_at_its_step_and_gets_no_password(
    tenant: Tenant, user: User, wanted: DriverSettings, service: MailService, ctx: Flask, extensions: tuple[str, ...],
    answers: dict[str, str], step: str,
) -> None:  # fmt: skip
    with ScriptedServer(answers, extensions=extensions, tls=service.context) as server:
        configure(ctx, smtp_allowed_ports=str(server.port))
        patience = IMPATIENT if SILENCE in answers.values() else PATIENT
        test = run_test(tenant, user, replace(wanted, port=server.port), patience)
    assert test.state == "failed" and test.reason in REASONS
    assert test.failed_step in (step, "connect")
    assert not [command for command in server.commands if command.startswith("AUTH")]
    assert "OpenSSH" not in (test.text or "")
