"""The demo's mail provider works like Gmail, and the portal's test of a driver says what is wrong with it."""

import re
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient

from demo.certificate import AUTHORITY_FILE, SERVER_FILE
from demo.inbox import Mailbox, create_inbox
from demo.mail_account import ADDRESS, Account
from demo.mail_service import MailService
from demo.run import is_taken, trust_provider
from portal.models import Tenant, User
from portal.services.drivers.settings import DriverSettings
from tests.support.driver_steps import run_test
from tests.support.ports import free_port

LOCAL = {"base_url": "http://127.0.0.1/"}


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path / "demo-account.json")


@pytest.fixture
def page(mailbox: Mailbox, account: Account) -> FlaskClient:
    return create_inbox(mailbox, account).test_client()


@pytest.fixture
def port(tmp_path: Path) -> int:
    """The demo's first port, of which the fifth and sixth are free."""
    return next(first - 4 for first in (free_port() for _ in range(50)) if not is_taken(first + 1))


@pytest.fixture
def environ(tmp_path: Path, port: int) -> dict[str, str]:
    """What bin/run sets for the processes that it starts."""
    environ: dict[str, str] = {}
    trust_provider(environ, tmp_path, port)
    return environ


@pytest.fixture
def options(options: dict[str, Any], environ: dict[str, str]) -> dict[str, Any]:
    return options | {name.removeprefix("PORTAL_").lower(): value for name, value in environ.items()}


@pytest.fixture(autouse=True)
def provider(environ: dict[str, str], tmp_path: Path, port: int, account: Account, mailbox: Mailbox) -> Iterator[None]:
    with MailService(account, mailbox.add, tmp_path / SERVER_FILE, port + 4, port + 5):
        yield


@pytest.fixture
def wanted(account: Account, port: int) -> DriverSettings:
    """What the page says to enter."""
    return DriverSettings(
        preset="other", host="localhost", port=port + 4, encryption="tls", username=ADDRESS,
        secret=account.new_app_password(), from_address=ADDRESS, from_name="Acme Shop",
    )  # fmt: skip


@pytest.mark.parametrize("preset", ["other", "gmail"])
@pytest.mark.parametrize(("offset", "encryption"), [(4, "tls"), (5, "starttls")])
def test_what_the_page_says_to_enter_passes_and_the_mail_is_in_the_inbox(
    tenant: Tenant, user: User, wanted: DriverSettings, port: int, mailbox: Mailbox,
    offset: int, encryption: str, preset: str,
) -> None:  # fmt: skip
    test = run_test(tenant, user, replace(wanted, preset=preset, port=port + offset, encryption=encryption))
    assert (test.state, test.reason) == ("passed", None), test.text
    [mail] = mailbox.newest_first()
    assert (mail.sender, mail.rcpt_to) == (f"Acme Shop <{ADDRESS}>", [user.email])


def test_a_wrong_password_is_named(tenant: Tenant, user: User, wanted: DriverSettings, mailbox: Mailbox) -> None:
    test = run_test(tenant, user, replace(wanted, secret="aaaa bbbb cccc dddd"))
    assert (test.state, test.failed_step, test.reason) == ("failed", "sign_in", "bad_credentials")
    assert test.code == 535 and test.text.startswith("5.7.8 Username and Password not accepted")
    assert mailbox.newest_first() == []


def test_the_own_password_is_not_enough(tenant: Tenant, user: User, wanted: DriverSettings, account: Account) -> None:
    test = run_test(tenant, user, replace(wanted, secret=account.password))
    assert (test.code, test.failed_step, test.reason) == (534, "sign_in", "app_password_required")


def test_a_new_app_password_ends_the_last(tenant: Tenant, user: User, wanted: DriverSettings, account: Account) -> None:
    newer = account.new_app_password()
    assert run_test(tenant, user, wanted).reason == "bad_credentials"
    assert run_test(tenant, user, replace(wanted, secret=newer)).state == "passed"


def test_a_new_password_ends_the_app_one(tenant: Tenant, user: User, wanted: DriverSettings, account: Account) -> None:
    assert run_test(tenant, user, wanted).state == "passed"
    before = account.password
    account.change_password()
    assert run_test(tenant, user, wanted).reason == "bad_credentials"
    assert run_test(tenant, user, replace(wanted, secret=before)).reason == "bad_credentials"
    assert not account.has_app_password


def test_the_mail_beyond_the_limit_waits_for_the_next_day(
    tenant: Tenant, user: User, wanted: DriverSettings, account: Account, mailbox: Mailbox
) -> None:
    account.set_daily_limit(1)
    assert run_test(tenant, user, wanted).state == "passed"
    test = run_test(tenant, user, wanted)
    assert (test.code, test.reason) == (550, "quota_daily") and "Daily user sending limit exceeded" in test.text
    assert len(mailbox.newest_first()) == account.sent_today == 1
    with time_machine.travel("2099-01-01", tick=True):
        assert account.take_mail() is None


def test_nobody_sends_without_signing_in_or_without_encryption(environ: dict[str, str], port: int) -> None:
    context = ssl.create_default_context(cafile=environ["PORTAL_SMTP_CA_FILE"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    with smtplib.SMTP_SSL("localhost", port + 4, context=context, timeout=60) as client:
        client.ehlo()
        code, text = client.mail(ADDRESS)
        assert code == 530 and b"Authentication Required" in text
    with smtplib.SMTP("localhost", port + 5, timeout=60) as client:
        client.ehlo()
        assert client.has_extn("starttls") and not client.has_extn("auth")
        assert client.mail(ADDRESS)[0] == 530


def test_a_saved_driver_outlives_a_restart(tmp_path: Path, account: Account) -> None:
    letters = account.new_app_password()
    account.set_daily_limit(3)
    again = Account(tmp_path / "demo-account.json")
    assert again.sign_in(ADDRESS, letters) is None and again.daily_limit == 3
    assert letters.replace(" ", "") not in (tmp_path / "demo-account.json").read_text()


def test_an_app_password_is_shown_once_in_four_groups_of_four(page: FlaskClient, account: Account) -> None:
    assert account.sign_in(ADDRESS, "") is not None
    shown = page.post("/provider", data={"do": "new_app_password"}, **LOCAL).text
    found = re.search(r"<code>([a-z]{4}(?: [a-z]{4}){3})</code>", shown)
    assert found and account.sign_in(ADDRESS, found[1]) is None
    later = page.get("/provider", **LOCAL).text
    assert found[1] not in later and "Make a new app password" in later


def test_the_page_changes_password_and_limit(page: FlaskClient, account: Account) -> None:
    account.new_app_password()
    for button in ("change_password", "few_mails"):
        assert page.post("/provider", data={"do": button}, **LOCAL).status_code == 303
    assert (account.password, account.has_app_password, account.daily_limit) == ("shop-password-2", False, 3)
    page.post("/provider", data={"do": "no_limit"}, **LOCAL)
    assert account.daily_limit is None
    assert page.post("/provider", data={"do": "nonsense"}, **LOCAL).status_code == 400


def test_the_page_takes_nothing_from_another_site_and_has_no_inline_script(page: FlaskClient, account: Account) -> None:
    before = account.password
    forged = page.post("/provider", data={"do": "change_password"}, headers={"Sec-Fetch-Site": "cross-site"}, **LOCAL)
    assert forged.status_code == 403 and account.password == before
    shown = page.get("/provider", **LOCAL)
    assert "form-action 'self'" in shown.headers["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son[a-z]+=|style=", shown.text)
    assert 'href="/provider"' in page.get("/", **LOCAL).text


def test_each_start_makes_a_certificate_of_its_own(environ: dict[str, str], tmp_path: Path, port: int) -> None:
    first = (tmp_path / AUTHORITY_FILE).read_bytes()
    trust_provider({}, tmp_path, port)
    assert (tmp_path / AUTHORITY_FILE).read_bytes() != first
    assert b"PRIVATE KEY" not in first
