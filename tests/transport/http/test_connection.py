"""Mail handed over to the Gmail API and to Graph: what they are asked, and what is made of their answers."""

import base64
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from portal.transport.base import HTTP_STEPS, Envelope, Mail, Network, Timeouts, TransportFailure, Verdict
from portal.transport.destinations import MemoryResolver, Policy
from portal.transport.http.account import HTTPAccount, policy_for, readable
from portal.transport.http.connection import HTTPTransport
from portal.transport.http.registry import SERVICES
from tests.support.http_api import CLOSE, HTTPAPI, SILENCE, answer
from tests.support.scripted_server import PLENTY

pytestmark = pytest.mark.any_database

TOKEN = "ya29.very-secret+token/with=signs"
ACCEPTS = {"gmail_api": answer(200, {"id": "18f2c"}), "graph": answer(202, request_id="7f3a")}
CONTENT = b"From: a@shop.example\r\nTo: Customer <b@customer.example>\r\nSubject: Hi\r\n\r\nHello \xc3\xbc\r\n"
HALF = b"HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\n{}"  # of an answer
MAIL = Mail(Envelope("a@shop.example", "b@customer.example"), CONTENT)
both = pytest.mark.parametrize("service", ["gmail_api", "graph"])


def yes() -> bool:
    return True


@contextmanager
def opened(
    service: str, *answers: bytes | str, on_step: Callable[[str], None] = lambda step: None, dot: float = 30
) -> Iterator[tuple[HTTPTransport, HTTPAPI]]:
    with HTTPAPI(answers) as server:
        account = HTTPAccount(service, "a@shop.example", TOKEN, f"{server.origin}/v1/send?way=mime")
        timeouts = PLENTY if dot == 30 else Timeouts(dot=dot)
        with closing(HTTPTransport(account, timeouts=timeouts, on_step=on_step)) as transport:
            transport.open()
            yield transport, server


def refused(service: str, said: bytes | str, *, dot: float = 30) -> tuple[TransportFailure, list[str]]:
    """How a mail fails that is answered so, and the steps that were heard."""
    steps: list[str] = []
    with opened(service, said, on_step=steps.append, dot=dot) as (transport, _):
        with pytest.raises(TransportFailure) as caught:
            transport.send(MAIL, yes)
        assert transport.num_emails == 1
    return caught.value, steps


def error(status: int, code: str, text: str, **headers: str) -> bytes:
    """A refusal that both understand."""
    return answer(status, {"error": {"code": code, "message": text, "errors": [{"reason": code}]}}, **headers)


def test_gmail_is_given_the_mail_as_it_is() -> None:
    with opened("gmail_api", ACCEPTS["gmail_api"]) as (transport, server):
        assert transport.send(MAIL, yes) == (200, "OK id=18f2c")
    (asked,) = server.asked
    assert (asked.line, asked.body) == ("POST /v1/send?way=mime HTTP/1.1", CONTENT)
    assert asked.headers["content-type"] == "message/rfc822"
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"


def test_graph_is_given_the_mail_in_base64() -> None:
    with opened("graph", ACCEPTS["graph"]) as (transport, server):
        assert transport.send(MAIL, yes) == (202, "Accepted request-id=7f3a")
    (asked,) = server.asked
    assert base64.b64decode(asked.body, validate=True) == CONTENT
    assert asked.headers["content-type"] == "text/plain"


@both
def test_the_steps_are_named_for_its_kind(service: str) -> None:
    steps: list[str] = []
    with opened(service, ACCEPTS[service], on_step=steps.append) as (transport, _):
        transport.send(MAIL, yes)
    assert tuple(steps) == HTTP_STEPS


@both
@pytest.mark.parametrize(
    ("said", "reason", "reached"),
    [
        (error(401, "InvalidAuthenticationToken", "expired"), "oauth_rejected", 1),
        (error(403, "ErrorSendAsDenied", "Delegation denied: may not send as"), "send_as_denied", 2),
        (error(404, "MailboxNotEnabledForRESTAPI", "Mail service not enabled"), "oauth_no_mailbox", 2),
        (error(400, "ErrorInvalidRecipients", "Invalid To header"), "unknown_recipient", 3),
    ],
)
def test_a_refusal_stops_at_the_step_that_it_is_about(service: str, said: bytes, reason: str, reached: int) -> None:
    failure, steps = refused(service, said)
    assert (failure.verdict.reason, tuple(steps)) == (reason, HTTP_STEPS[:reached])


@both
def test_a_message_that_is_refused_says_why_in_the_providers_words(service: str) -> None:
    failure, _ = refused(service, error(400, "ErrorInvalidRecipients", "Invalid To header"))
    assert (failure.stage, failure.ambiguous) == ("message", False)
    assert (failure.reply.code, failure.reply.text) == (400, "ErrorInvalidRecipients: Invalid To header")


@both
def test_what_the_next_mail_would_meet_too_ends_the_session(service: str) -> None:
    failure, _ = refused(service, error(429, "rateLimitExceeded", "Slow down", Retry_After="77"))
    assert failure.verdict == Verdict("backoff_driver", "rate_limited", 77, "session")
    assert (failure.stage, failure.ambiguous) == ("session", False)


@both
@pytest.mark.parametrize(
    "said",
    [
        CLOSE,
        SILENCE,
        answer(502, "<html>Bad gateway</html>"),
        answer(504),
        answer(200, "<html>Welcome to the hotel's network</html>"),
        HALF,
    ],
    ids=["close", "silence", "502", "504", "another's 200", "half a 202"],
)
def test_where_nobody_knows_whether_it_was_taken_it_is_ambiguous(service: str, said: bytes | str) -> None:
    failure, steps = refused(service, said, dot=0.3 if said in (SILENCE, HALF) else 30)
    assert (failure.stage, failure.ambiguous) == ("handover", True)
    assert failure.verdict[:2] == ("retry_message", "service_unavailable")
    assert steps == ["reached"]
    assert "html" not in failure.reply.text
    assert failure.reply.text


@both
def test_an_error_within_the_provider_is_no_half_taken_mail(service: str) -> None:
    failure, _ = refused(service, error(500, "backendError", "Backend Error"))
    assert (failure.stage, failure.ambiguous, failure.verdict.action) == ("message", False, "retry_message")


@both
def test_a_provider_that_is_not_reached_is_told_at_once(service: str) -> None:
    with HTTPAPI([CLOSE]) as server:
        origin = server.origin
    transport = HTTPTransport(HTTPAccount(service, "a@shop.example", TOKEN, origin), timeouts=PLENTY)
    with pytest.raises(TransportFailure) as caught:
        transport.open()
    failure = caught.value
    assert (failure.stage, failure.ambiguous, failure.unreached) == ("session", False, True)
    assert failure.verdict == ("backoff_driver", "service_unavailable", None, "session")
    assert not transport.usable


@both
def test_a_providers_name_that_leads_inside_is_not_dialled(service: str) -> None:
    host = SERVICES[service].url.split("/")[2]
    network = Network(Policy(resolver=MemoryResolver({host: ["10.0.0.1"]})))
    transport = HTTPTransport(HTTPAccount(service, "a@shop.example", TOKEN), network=network)
    with pytest.raises(TransportFailure) as caught:
        transport.open()
    assert caught.value.reply.text == "dns"


@pytest.mark.parametrize(
    "named", ["To: b@customer.example, c@customer.example", "To: other@customer.example", "Cc: x@y.z"]
)
@both
def test_a_mail_that_names_others_than_its_recipient_is_not_sent(service: str, named: str) -> None:
    """These APIs send to whom the headers name: each of two recipients would get it twice."""
    mail = Mail(MAIL.envelope, f"{named}\r\nSubject: Hi\r\n\r\nTo: whom it may concern\r\n".encode())
    with opened(service, ACCEPTS[service]) as (transport, server):
        with pytest.raises(ValueError, match="recipient"):
            transport.send(mail, lambda: pytest.fail("it was asked though nothing can be sent"))
        transport.send(MAIL, yes)
    assert len(server.asked) == 1


@both
def test_a_token_is_never_shown(service: str) -> None:
    quoted = base64.b64encode(TOKEN.encode()).decode()
    echo = f"no {TOKEN}, Bearer {TOKEN}, {quoted}, access_token=abc.def.ghi, Authorization: Bearer other-token"
    failure, _ = refused(service, error(400, "invalid", echo))
    account = HTTPAccount(service, "a@shop.example", TOKEN)
    shown = f"{failure} {failure!r} {failure.reply!r} {account!r}"
    assert "[removed]" in shown
    for secret in (TOKEN, TOKEN[5:], quoted, "abc.def.ghi", "other-token"):
        assert secret not in shown


def test_what_a_provider_says_is_short_and_printable() -> None:
    said = readable("a\x00b\r\nc" + "x" * 5000, HTTPAccount("graph", "a@shop.example", TOKEN))
    assert said.startswith("a b cx") and len(said) == 1000


@pytest.mark.parametrize("token", ["", "two words", "line\r\nX: y", "schlüssel"])
def test_a_token_that_fits_no_header_is_refused_without_being_quoted(token: str) -> None:
    with pytest.raises(ValueError, match="printable") as caught:
        HTTPAccount("graph", "a@shop.example", token)
    assert not token or token not in str(caught.value)


def test_only_the_operators_stand_in_may_be_anywhere() -> None:
    widened = Policy(["10.0.0.0/8"], [2525])
    own = policy_for(HTTPAccount("graph", "a@shop.example", TOKEN), widened)
    assert not own.unrestricted and not own.allows_port(2525) and own.allows_port(443)
    stand_in = HTTPAccount("graph", "a@shop.example", TOKEN, "http://127.0.0.1:8000/graph")
    assert policy_for(stand_in, widened).unrestricted
    with pytest.raises(ValueError, match="http"):
        HTTPAccount("graph", "a@shop.example", TOKEN, "file:///etc/passwd")


@both
@pytest.mark.parametrize(
    "body", ["[]", "null", '{"error": 7}', '{"error": {"errors": 7, "details": [7]}}', "[" * 9000, "{"]
)
def test_a_refusal_in_a_form_of_its_own_is_judged_by_its_status(service: str, body: str) -> None:
    failure, _ = refused(service, answer(503, body))
    assert failure.verdict[:2] == ("backoff_driver", "service_unavailable")
