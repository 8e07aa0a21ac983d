"""AUTH XOAUTH2: the token goes out in a line of its own, and its refusal is never taken for a wrong password."""

import base64
import json
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
import trustme

from portal.transport.base import Envelope, Mail, Network, Timeouts, Verdict
from portal.transport.destinations import MemoryResolver, Policy
from portal.transport.smtp.account import Account, token_response
from portal.transport.smtp.connection import Connection
from portal.transport.smtp.failure import SMTPFailure
from tests.support.scripted_server import CLOSE, PLENTY, SILENCE, Answer, ScriptedServer, ends_in

pytestmark = pytest.mark.any_database

NAME, USER = "smtp.provider.example", "shop@shop.example"
TOKEN = "ya29." + "x" * 4000  # as long as real ones
WHY = {"status": "400", "schemes": "Bearer", "scope": "https://mail.google.com/"}
CHALLENGE = f"334 {base64.b64encode(json.dumps(WHY).encode()).decode()}"
ANOTHER_TOKEN = Verdict("refresh_token", "oauth_rejected", None, "session")


@pytest.fixture(scope="module")
def tls() -> tuple[ssl.SSLContext, trustme.CA]:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    return context, authority


@pytest.fixture
def ca_file(tls: tuple[ssl.SSLContext, trustme.CA], tmp_path: Path) -> str:
    tls[1].cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


class Provider:
    """A submission server with XOAUTH2, and how to sign in to it."""

    def __init__(self, tls: tuple[ssl.SSLContext, trustme.CA], ca_file: str) -> None:
        self.tls, self.ca_file = tls[0], ca_file

    def answering(self, answers: dict[str, Answer], offers: str = "AUTH PLAIN LOGIN XOAUTH2") -> ScriptedServer:
        return ScriptedServer(answers, extensions=("STARTTLS", offers), tls=self.tls)

    def connection(self, server: ScriptedServer, timeouts: Timeouts = PLENTY) -> Connection:
        account = Account(NAME, server.port, "starttls", USER, TOKEN, oauth="google")
        policy = Policy(["127.0.0.0/8"], [server.port], MemoryResolver({NAME: ["127.0.0.1"]}))
        return Connection(account, timeouts=timeouts, network=Network(policy, self.ca_file, "portal.example"))

    def refusal(self, server: ScriptedServer, timeouts: Timeouts = PLENTY) -> SMTPFailure:
        with server, pytest.raises(SMTPFailure) as caught:
            self.connection(server, timeouts).open()
        return caught.value


@pytest.fixture
def provider(tls: tuple[ssl.SSLContext, trustme.CA], ca_file: str) -> Provider:
    return Provider(tls, ca_file)


def spoken(server: ScriptedServer) -> Sequence[str]:
    """What was said under TLS after EHLO."""
    return server.commands[3:]


def test_a_token_goes_out_in_a_line_of_its_own_and_mail_after_it(provider: Provider) -> None:
    answers: dict[str, Answer] = {"AUTH": "334 ", "*": "235 2.7.0 Accepted"}
    with provider.answering(answers) as server, provider.connection(server) as link:
        link.send(Mail(Envelope(USER, "customer@shop.example"), b"Hello\r\n"), lambda: True)
    assert server.mails == [b"Hello\r\n"]
    assert spoken(server)[0] == "AUTH XOAUTH2"
    assert base64.b64decode(spoken(server)[1]).decode() == f"user={USER}\1auth=Bearer {TOKEN}\1\1"


def test_a_challenge_is_answered_by_an_empty_line_and_says_why(provider: Provider) -> None:
    server = provider.answering({"AUTH": "334 ", "*": CHALLENGE, "": "535 5.7.8 Username and Password not accepted."})
    failure = provider.refusal(server)
    assert (failure.phase, failure.reply.code, failure.verdict) == ("auth", 535, ANOTHER_TOKEN)
    assert json.loads(failure.reply.detail) == WHY
    assert [len(line) > 1000 or line for line in spoken(server)[:3]] == ["AUTH XOAUTH2", True, ""]


def test_a_refusal_without_a_challenge_is_one_too(provider: Provider) -> None:
    server = provider.answering({"AUTH": "334 ", "*": "535 5.7.3 Authentication unsuccessful"})
    assert provider.refusal(server).verdict == ANOTHER_TOKEN


def test_a_server_that_challenges_without_end_is_answered_twice(provider: Provider) -> None:
    server = provider.answering({"AUTH": "334 ", "*": CHALLENGE, "": CHALLENGE})
    failure = provider.refusal(server)
    assert (failure.reply.code, failure.verdict) == (334, ANOTHER_TOKEN)
    assert spoken(server)[2:4] == ["", ""]
    assert len([line for line in spoken(server) if line == ""]) == 2


def test_what_the_account_may_not_do_at_all_is_told_from_its_token(provider: Provider) -> None:
    disabled = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."
    server = provider.answering({"AUTH": "334 ", "*": disabled})
    assert provider.refusal(server).verdict[:2] == ("pause_driver", "smtp_auth_disabled")


def test_a_server_without_the_mechanism_gets_no_token(provider: Provider) -> None:
    server = provider.answering({}, offers="AUTH PLAIN LOGIN")
    failure = provider.refusal(server)
    assert (failure.phase, failure.reply.code, failure.reply.text) == ("auth", 0, "unsupported")
    assert not any("AUTH" in line for line in spoken(server))


def test_a_token_that_runs_out_in_a_session_is_no_wrong_password(provider: Provider) -> None:
    answers: dict[str, Answer] = {"AUTH": "334 ", "*": "235 ok", "MAIL": "530 5.7.57 Client not authenticated"}
    mail = Mail(Envelope(USER, "customer@shop.example"), b"Hello\r\n")
    with (
        provider.answering(answers) as server,
        provider.connection(server) as link,
        pytest.raises(SMTPFailure) as caught,
    ):
        link.send(mail, lambda: True)
    assert caught.value.verdict == ANOTHER_TOKEN


@pytest.mark.parametrize(("behaviour", "text"), [(CLOSE, "lost"), (SILENCE, "timeout")])
def test_a_server_that_says_nothing_to_a_token_is_waited_for_in_vain(
    provider: Provider, behaviour: str, text: str
) -> None:
    def attempt(timeouts: Timeouts) -> SMTPFailure:
        return provider.refusal(provider.answering({"AUTH": "334 ", "*": behaviour}), timeouts)

    failure = ends_in("auth", attempt, text)
    assert (failure.phase, failure.reply.text, failure.verdict.action) == ("auth", text, "backoff_driver")


def test_a_server_that_echoes_the_token_is_not_quoted_with_it(provider: Provider) -> None:
    account = Account(NAME, 587, "starttls", USER, "ya29.secret-token", oauth="google")
    for echo in ("ya29.secret-token", token_response(account)):
        server = provider.answering({"AUTH": "334 ", "*": f"535 5.7.8 no {echo}"})
        with server, pytest.raises(SMTPFailure) as caught:
            link = provider.connection(server)
            link.account = Account(NAME, server.port, "starttls", USER, "ya29.secret-token", oauth="google")
            link.open()
        shown = f"{caught.value} {caught.value!r} {link.account!r}"
        assert "[removed]" in shown and echo not in shown


def test_a_sign_in_by_token_needs_one() -> None:
    with pytest.raises(ValueError, match="token"):
        Account(NAME, 587, oauth="google")
