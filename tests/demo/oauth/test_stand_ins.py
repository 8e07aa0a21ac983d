"""The mail APIs' transport and XOAUTH2 against the demo's Google and Microsoft, in each of their moods."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from demo import certificate
from demo.inbox import Mailbox
from demo.mail_account import Account as MailAccount
from demo.mail_service import MailService
from demo.oauth.faults import FAULTS
from portal.transport.base import Action, Envelope, Mail, Network, Timeouts, TransportFailure
from portal.transport.destinations import MemoryResolver, Policy
from portal.transport.http.account import HTTPAccount
from portal.transport.http.connection import HTTPTransport
from portal.transport.smtp.account import Account
from portal.transport.smtp.connection import Connection
from portal.transport.smtp.failure import SMTPFailure
from tests.demo.oauth.conftest import MAIL, App
from tests.demo.oauth.test_xoauth2 import SMTP_SCOPE
from tests.support.ports import free_port
from tests.support.scripted_server import PLENTY

pytestmark = pytest.mark.any_database

SERVICES = {"gmail": "gmail_api", "microsoft365": "graph"}
STOPS, WAITS, FAILS, AGAIN = Action.PAUSE_DRIVER, Action.BACKOFF_DRIVER, Action.FAIL_MESSAGE, Action.RETRY_MESSAGE
# mood -> action, reason, and whether nobody knows if the provider has the mail
MEANT = {
    "token_refused": (STOPS, "oauth_rejected", False),
    "blocked_by_admin": (STOPS, "oauth_blocked_by_policy", False),
    "denied": (STOPS, "oauth_consent", False),
    "no_mailbox": (STOPS, "oauth_no_mailbox", False),
    "recipient": (FAILS, "unknown_recipient", False),
    "bad_request": (FAILS, "unknown", False),
    "throttled": (WAITS, "rate_limited", False),
    "daily_limit": (WAITS, "quota_daily", False),
    "backend": (AGAIN, "service_unavailable", False),
    "unavailable": (WAITS, "service_unavailable", False),
    "html": (AGAIN, "service_unavailable", True),
    "slow": (AGAIN, "service_unavailable", True),
    "cut": (AGAIN, "service_unavailable", True),
    "lost": (AGAIN, "service_unavailable", True),
}


def mail_of(app: App) -> Mail:
    return Mail(Envelope(app.address, "carla@customer.example"), MAIL % app.address.encode())


def by_http(app: App, token: str, timeouts: Timeouts = PLENTY) -> HTTPTransport:
    account = HTTPAccount(SERVICES[app.provider.brand.key], app.address, token, app.urls["send"])
    return HTTPTransport(account, timeouts=timeouts)


def test_one_connection_sends_one_mail_after_another(app: App) -> None:
    before = app.stand_in.server.connections
    with closing(by_http(app, app.sign_in()["access_token"])) as transport:
        signed_in = app.stand_in.server.connections
        transport.open()
        for _ in range(3):
            transport.send(mail_of(app), lambda: True)
    assert len(app.stand_in.sent) == 3 and before < signed_in
    assert app.stand_in.server.connections == signed_in + 1


@pytest.mark.parametrize(("key", "mood"), [(key, mood) for key in FAULTS for mood in FAULTS[key]["sending"]])
def test_each_mood_is_taken_for_what_it_is(google: App, microsoft: App, key: str, mood: str) -> None:
    app = google if key == "gmail" else microsoft
    token = app.sign_in()["access_token"]
    app.provider.moods.sending, app.provider.moods.slow_seconds = mood, 60
    with closing(by_http(app, token, Timeouts(dot=1) if mood == "slow" else PLENTY)) as transport:
        transport.open()
        with pytest.raises(TransportFailure) as caught:
            transport.send(mail_of(app), lambda: True)
    app.provider.moods.end_waits()
    verdict = caught.value.verdict
    assert (verdict.action, verdict.reason, caught.value.ambiguous) == MEANT[mood]
    assert verdict.retry_after == (17 if FAULTS[key]["sending"][mood].waits else None)


@pytest.fixture(params=["tls", "starttls"])
def by_smtp(
    request: pytest.FixtureRequest, app: App, tmp_path: Path
) -> Iterator[tuple[App, Mailbox, Account, Network]]:
    certificate.write(tmp_path)
    ports, mailbox = {"tls": free_port(), "starttls": free_port()}, Mailbox()
    pem, account = tmp_path / certificate.SERVER_FILE, MailAccount(tmp_path / "account.json")
    port = ports[request.param]
    policy = Policy(["127.0.0.0/8"], [port], MemoryResolver({"localhost": ["127.0.0.1"]}))
    with MailService(account, mailbox.add, pem, *ports.values(), app.stand_in.providers):
        token = app.sign_in(scope=SMTP_SCOPE[app.provider.brand.key])["access_token"]
        yield (
            app, mailbox, Account("localhost", port, request.param, app.address, token, oauth=app.provider.brand.path),
            Network(policy, str(tmp_path / certificate.AUTHORITY_FILE), "portal.example"),
        )  # fmt: skip


def test_a_token_sends_by_smtp_and_is_refused_as_a_token(by_smtp: tuple[App, Mailbox, Account, Network]) -> None:
    app, mailbox, account, network = by_smtp
    connection = Connection(account, timeouts=PLENTY, network=network)
    connection.open()
    connection.send(mail_of(app), lambda: True)
    connection.close()
    assert len(mailbox.newest_first()) == 1

    app.provider.ledger.end_access()
    with pytest.raises(SMTPFailure) as caught:
        Connection(account, timeouts=PLENTY, network=network).open()
    assert caught.value.verdict[:2] == ("refresh_token", "oauth_rejected")


def test_the_moods_of_smtp_are_taken_for_what_they_are(by_smtp: tuple[App, Mailbox, Account, Network]) -> None:
    app, _, account, network = by_smtp
    meant = {"busy": (WAITS, "service_unavailable"), "disabled": (STOPS, "smtp_auth_disabled")}
    for mood in FAULTS[app.provider.brand.key]["smtp"]:
        app.provider.moods.smtp = mood
        with pytest.raises(SMTPFailure) as caught:
            Connection(account, timeouts=PLENTY, network=network).open()
        assert caught.value.verdict[:2] == meant[mood]
