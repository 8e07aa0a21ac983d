"""The test mail: what stops it at which step, and who never gets a password."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.extensions import db
from portal.models import DriverTest, Message, Tenant, User, utcnow
from portal.services.accounts import tenants
from portal.services.drivers import probe, save_gate
from portal.services.drivers.settings import DriverSettings
from portal.transport.base import Timeouts, Transport
from portal.transport.smtp.replies import ACTIONS
from tests.support.driver_steps import allow, run_test
from tests.support.mail_service import MailService
from tests.support.scripted_server import SILENCE, ScriptedServer
from tests.support.settings import configure
from tests.support.steps import PATIENT, execute

IMPATIENT = Timeouts(connect=1, command=1, dot=1, session=5)


def test_a_test_whose_worker_died_ends(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    test = save_gate.start(tenant, user, wanted)
    execute(update(DriverTest).values(created_at=utcnow() - save_gate.GIVE_UP, state="running"))
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


def test_no_transaction_stays_open_while_the_server_takes_its_time(
    tenant: Tenant, user: User, wanted: DriverSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_transport, seen = probe.open_transport, []

    def noting(*args: Any, **options: Any) -> Transport:
        seen.append(db.session().in_transaction())
        return open_transport(*args, **options)

    monkeypatch.setattr(probe, "open_transport", noting)
    assert run_test(tenant, user, wanted).state == "passed"
    assert seen == [False]


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
    assert test.state == "failed" and test.reason in ACTIONS
    assert test.failed_step in (step, "connect")
    assert not [command for command in server.commands if command.startswith("AUTH")]
    assert "OpenSSH" not in (test.text or "")


def test_no_test_mail_is_sent_once_the_shop_is_suspended(
    tenant: Tenant, user: User, wanted: DriverSettings, service: MailService
) -> None:
    test = save_gate.start(tenant, user, wanted)
    tenants.upsert("acme", state="suspended")
    probe.run(test.id, PATIENT)
    ended = db.session.get_one(DriverTest, test.id, populate_existing=True)
    assert (ended.state, ended.reason) == ("failed", "tenant_suspended")
    assert service.sign_ins == 0 and service.sink.received == []
    message = db.session.get_one(Message, test.message_id, populate_existing=True)
    assert (message.state, message.reason) == ("failed", "tenant_suspended")
