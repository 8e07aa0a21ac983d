"""XOAUTH2 at the demo's mail provider: long tokens, whose account they open, and both dialogues of a refusal."""

import base64
import json
import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import certificate
from demo.inbox import Mailbox
from demo.mail_account import ADDRESS, Account
from demo.mail_service import MailService
from demo.oauth.brands import MICROSOFT_SMTP
from tests.demo.oauth.conftest import App
from tests.support.oauth_provider import OAuthProvider
from tests.support.ports import free_port

pytestmark = pytest.mark.any_database

SMTP_SCOPE = {"gmail": "https://mail.google.com/", "microsoft365": f"{MICROSOFT_SMTP} offline_access openid"}
MAIL = "From: %s\r\nTo: carla@customer.example\r\nSubject: Hi\r\n\r\nHello\r\n"


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path / "account.json")


@pytest.fixture
def ports(stand_in: OAuthProvider, account: Account, mailbox: Mailbox, tmp_path: Path) -> Iterator[tuple[int, int]]:
    certificate.write(tmp_path)
    tls, starttls = free_port(), free_port()
    pem = tmp_path / certificate.SERVER_FILE
    with MailService(account, mailbox.add, pem, tls, starttls, stand_in.providers):
        yield tls, starttls


@pytest.fixture
def client(ports: tuple[int, int], tmp_path: Path) -> Iterator[smtplib.SMTP]:
    context = ssl.create_default_context(cafile=str(tmp_path / certificate.AUTHORITY_FILE))
    with smtplib.SMTP_SSL("localhost", ports[0], context=context, timeout=60) as client:
        client.ehlo()
        yield client


def token_of(app: App, **options: str) -> str:
    return app.sign_in(scope=options.pop("scope", SMTP_SCOPE[app.provider.brand.key]), **options)["access_token"]


def response(address: str, token: str) -> str:
    return base64.b64encode(f"user={address}\x01auth=Bearer {token}\x01\x01".encode()).decode()


def two_steps(client: smtplib.SMTP, address: str, token: str) -> tuple[int, bytes]:
    assert client.docmd("AUTH", "XOAUTH2")[0] == 334
    return client.docmd(response(address, token))


def test_a_token_signs_in_and_the_mail_is_in_the_inbox(client: smtplib.SMTP, app: App, mailbox: Mailbox) -> None:
    assert "XOAUTH2" in client.esmtp_features["auth"]
    assert two_steps(client, app.address, token_of(app))[0] == 235
    client.sendmail(app.address, ["carla@customer.example"], MAIL % app.address)
    [mail] = mailbox.newest_first()
    assert (mail.mail_from, mail.subject) == (app.address, "Hi")
    assert app.provider.calls["smtp"] == 1


@pytest.mark.parametrize("steps", [1, 2])
def test_a_token_of_eight_kilobytes_fits_in_two_steps_and_in_one_line(
    client: smtplib.SMTP, microsoft: App, steps: int
) -> None:
    long, ledger = "x" * 8000, microsoft.provider.ledger
    found = ledger.access(token_of(microsoft))
    assert found
    ledger.add_access(long, found)
    if steps == 2:
        assert two_steps(client, microsoft.address, long)[0] == 235
    else:
        assert client.docmd("AUTH", f"XOAUTH2 {response(microsoft.address, long)}")[0] == 235


def test_starttls_takes_tokens_too(ports: tuple[int, int], tmp_path: Path, app: App) -> None:
    with smtplib.SMTP("localhost", ports[1], timeout=60) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        client.starttls(context=ssl.create_default_context(cafile=str(tmp_path / certificate.AUTHORITY_FILE)))
        client.ehlo()
        assert two_steps(client, app.address, token_of(app))[0] == 235


def test_google_says_why_and_refuses_after_an_empty_line(client: smtplib.SMTP, google: App) -> None:
    code, why = two_steps(client, google.address, "dead")
    assert code == 334
    assert json.loads(base64.b64decode(why)) == {
        "status": "400",
        "schemes": "Bearer",
        "scope": "https://mail.google.com/",
    }
    code, text = client.docmd("")
    assert code == 535 and b"Username and Password not accepted" in text
    assert client.noop()[0] == 250


def test_microsoft_refuses_at_once(client: smtplib.SMTP, microsoft: App) -> None:
    assert two_steps(client, microsoft.address, "dead")[0] == 535
    assert client.noop()[0] == 250


def test_a_token_for_the_mail_api_is_no_token_for_smtp(client: smtplib.SMTP, microsoft: App) -> None:
    code, text = two_steps(client, microsoft.address, token_of(microsoft, scope=microsoft.scope))
    assert code == 535 and text.startswith(b"5.7.3 ")


def test_a_token_opens_its_own_account_only(client: smtplib.SMTP, microsoft: App) -> None:
    other = microsoft.provider.brand.people[1].address
    assert two_steps(client, other, token_of(microsoft))[0] == 535
    assert two_steps(client, "nobody@nowhere.example", token_of(microsoft))[0] == 535


def test_a_token_that_ran_out_is_refused(client: smtplib.SMTP, microsoft: App) -> None:
    token = token_of(microsoft)
    microsoft.provider.ledger.end_access()
    assert two_steps(client, microsoft.address, token)[0] == 535


def test_authenticated_smtp_can_be_off_at_microsoft(client: smtplib.SMTP, microsoft: App) -> None:
    microsoft.provider.moods.smtp = "disabled"
    code, text = two_steps(client, microsoft.address, token_of(microsoft))
    assert code == 535 and b"5.7.139" in text and b"SmtpClientAuthentication is disabled" in text


def test_smtp_can_be_busy(client: smtplib.SMTP, app: App) -> None:
    app.provider.moods.smtp = "busy"
    assert two_steps(client, app.address, token_of(app))[0] == 454


def test_what_is_not_base64_is_said_to_be(client: smtplib.SMTP) -> None:
    assert client.docmd("AUTH", "XOAUTH2 ***")[0] == 501
    client.docmd("AUTH", "XOAUTH2")
    assert client.docmd("***")[0] == 501
    assert client.noop()[0] == 250


def test_the_daily_limit_is_the_mailboxs_whichever_way_one_signed_in(
    client: smtplib.SMTP, google: App, account: Account
) -> None:
    account.set_daily_limit(0)
    two_steps(client, ADDRESS, token_of(google))
    with pytest.raises(smtplib.SMTPDataError, match="Daily user sending limit"):
        client.sendmail(ADDRESS, ["carla@customer.example"], MAIL % ADDRESS)


def test_it_is_not_offered_without_a_sign_in_service(account: Account, mailbox: Mailbox, tmp_path: Path) -> None:
    certificate.write(tmp_path)
    tls = free_port()
    context = ssl.create_default_context(cafile=str(tmp_path / certificate.AUTHORITY_FILE))
    with (
        MailService(account, mailbox.add, tmp_path / certificate.SERVER_FILE, tls, free_port()),
        smtplib.SMTP_SSL("localhost", tls, context=context, timeout=60) as client,
    ):
        client.ehlo()
        assert "XOAUTH2" not in client.esmtp_features["auth"] and "PLAIN" in client.esmtp_features["auth"]
