"""What every transport does: SMTP, the APIs of Gmail and Microsoft, and the fake that takes their place in tests."""

import base64
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from portal.transport.base import Envelope, Mail, Network, Reply, Stopped, Transport, TransportFailure, Verdict
from portal.transport.factory import AnyAccount, open_transport
from portal.transport.fake import FakeServer
from portal.transport.http.account import HTTPAccount
from portal.transport.smtp.account import Account
from tests.support import http_api
from tests.support.http_api import HTTPAPI
from tests.support.scripted_server import CLOSE, PLENTY, Answer, ScriptedServer

pytestmark = pytest.mark.any_database

NO_SUCH_USER = Verdict("fail_message", "unknown_recipient")


class SMTPRoute:
    """The SMTP transport, towards a scripted server on loopback."""

    accepted_with = 250
    opening = ["resolve", "connect"]
    sending = ["sender", "recipient", "accepted"]
    session_refused = (554, Verdict("pause_driver", "ip_blocked", scope="session"))

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}

    @contextmanager
    def account(self) -> Iterator[Account]:
        with ScriptedServer(self.answers) as self.server:
            yield Account("127.0.0.1", self.server.port, "none", exempt=True)

    def refuse_session(self) -> None:
        self.answers["greeting"] = "554 5.7.1 listed on the Spamhaus Block List"

    def refuse_recipient(self) -> None:
        self.answers |= {"RCPT": ["550 5.1.1 no such user", "250 ok"], "DATA": ["503 5.5.1 no recipient", "354 go on"]}

    def lose_reply(self) -> None:
        self.answers["."] = CLOSE

    def close_after_one(self) -> None:
        self.answers["MAIL"] = ["250 ok", CLOSE]

    def await_end(self) -> None:
        """It ends the connection when it is used."""

    def taken(self) -> list[bytes]:
        return self.server.mails


class FakeRoute:
    """The fake, in the place of a route whose server doesn't exist."""

    accepted_with, opening, sending = SMTPRoute.accepted_with, SMTPRoute.opening, SMTPRoute.sending
    session_refused = SMTPRoute.session_refused

    def __init__(self) -> None:
        self.server = FakeServer()

    @contextmanager
    def account(self) -> Iterator[AnyAccount]:
        account: AnyAccount = Account("relay.invalid", 25, "none", exempt=True)
        with self.server.in_place_of(account):
            yield account

    def refuse_session(self) -> None:
        code, verdict = self.session_refused
        self.server.fail("session", verdict, Reply(code, "5.7.1 listed on the Spamhaus Block List"))

    def refuse_recipient(self) -> None:
        self.server.fail("message", NO_SUCH_USER, Reply(550, "5.1.1 no such user"))

    def lose_reply(self) -> None:
        self.server.lose_reply()

    def close_after_one(self) -> None:
        self.server.close_after(1)

    def await_end(self) -> None:
        """It ends the connection when it is used."""

    def taken(self) -> list[bytes]:
        return [mail.content for mail in self.server.accepted]


class FakeHTTPRoute(FakeRoute):
    """The fake, in the place of an API."""

    opening = ["reached"]
    sending = ["sign_in", "sender", "accepted"]

    @contextmanager
    def account(self) -> Iterator[AnyAccount]:
        account = HTTPAccount("graph", "a@shop.example", "token")
        with self.server.in_place_of(account):
            yield account


class GmailRoute:
    """The transport to the Gmail API, towards a stand-in on loopback."""

    accepted_with = 200
    opening = ["reached"]
    sending = ["sign_in", "sender", "accepted"]
    session_refused = (401, Verdict("pause_driver", "oauth_rejected", scope="session"))
    service = "gmail_api"
    accepts = http_api.answer(200, {"id": "18f2", "threadId": "18f2", "labelIds": ["SENT"]})
    refuses_token = http_api.answer(
        401, {"error": {"code": 401, "message": "Invalid", "errors": [{"reason": "authError"}]}}
    )
    refuses_recipient = http_api.answer(
        400,
        {"error": {"code": 400, "message": "Invalid To header", "errors": [{"reason": "invalidArgument"}]}},
    )

    def __init__(self) -> None:
        self.server = HTTPAPI([self.accepts])

    @contextmanager
    def account(self) -> Iterator[HTTPAccount]:
        answers, closes_after = self.server.answers, self.server.closes_after
        with HTTPAPI(answers, closes_after=closes_after) as self.server:
            yield HTTPAccount(self.service, "a@shop.example", "token", f"{self.server.origin}/send?as=it-is")

    def refuse_session(self) -> None:
        self.server.answers = [self.refuses_token]

    def refuse_recipient(self) -> None:
        self.server.answers = [self.refuses_recipient, self.accepts]

    def lose_reply(self) -> None:
        self.server.answers = [http_api.CLOSE]

    def close_after_one(self) -> None:
        self.server.closes_after = 1

    def await_end(self) -> None:
        assert self.server.ended.wait(30)

    def taken(self) -> list[bytes]:
        """What was asked, but for the first where that was refused."""
        refused = self.server.answers[0] == self.refuses_recipient
        return [self.content(asked.body) for asked in self.server.asked[refused:]]

    def content(self, body: bytes) -> bytes:
        return body


class GraphRoute(GmailRoute):
    """The transport to Microsoft Graph, towards a stand-in on loopback."""

    accepted_with = 202
    service = "graph"
    accepts = http_api.answer(202)
    refuses_token = http_api.answer(
        401, {"error": {"code": "InvalidAuthenticationToken", "message": "Access token expired."}}
    )
    refuses_recipient = http_api.answer(400, {"error": {"code": "ErrorInvalidRecipients", "message": "Not valid."}})

    def content(self, body: bytes) -> bytes:
        return base64.b64decode(body, validate=True)


Route = SMTPRoute | FakeRoute | GmailRoute


@pytest.fixture(params=[SMTPRoute, FakeRoute, FakeHTTPRoute, GmailRoute, GraphRoute])
def route(request: pytest.FixtureRequest) -> Route:
    made: Route = request.param()
    return made


@contextmanager
def opened(route: Route, on_step: Callable[[str], None] = lambda step: None) -> Iterator[Transport]:
    with (
        route.account() as account,
        closing(open_transport(account, timeouts=PLENTY, network=Network(), on_step=on_step)) as transport,
    ):
        yield transport


def mail(text: str = "Hello") -> Mail:
    return Mail(Envelope("a@shop.example", "b@customer.example"), f"Subject: {text}\r\n\r\n{text}\r\n".encode())


def refused(transport: Transport) -> TransportFailure:
    with pytest.raises(TransportFailure) as caught:
        transport.send(mail("refused"), lambda: True)
    return caught.value


def test_it_takes_mail_after_mail_and_tells_the_steps(route: Route) -> None:
    steps: list[str] = []
    with opened(route, steps.append) as transport:
        assert transport.send(mail("1"), lambda: True).code == route.accepted_with
        assert transport.send(mail("2"), lambda: True).code == route.accepted_with
        assert transport.num_emails == 2 and transport.usable
    assert route.taken() == [mail("1").content, mail("2").content]
    assert steps == [*route.opening, *2 * route.sending]


def test_a_session_that_is_refused_leaves_nothing_open(route: Route) -> None:
    route.refuse_session()
    with pytest.raises(TransportFailure) as caught, opened(route) as transport:
        try:  # over HTTP the sign-in is refused with the first mail
            transport.send(mail(), lambda: True)
        finally:
            assert not transport.usable
    failure = caught.value
    assert (failure.stage, failure.ambiguous, failure.used_up) == ("session", False, False)
    assert (failure.reply.code, failure.verdict) == route.session_refused


def test_a_refused_message_leaves_the_transport_good_for_the_next(route: Route) -> None:
    route.refuse_recipient()
    with opened(route) as transport:
        failure = refused(transport)
        assert (failure.stage, failure.ambiguous, failure.used_up) == ("message", False, False)
        assert failure.verdict == NO_SUCH_USER
        assert transport.usable
        transport.send(mail(), lambda: True)
    assert route.taken() == [mail().content]


def test_a_reply_that_is_lost_after_the_hand_over_is_ambiguous(route: Route) -> None:
    route.lose_reply()
    with opened(route) as transport:
        failure = refused(transport)
        assert (failure.stage, failure.ambiguous, transport.usable) == ("handover", True, False)
    assert len(route.taken()) == 1


def test_a_connection_that_ends_after_a_mail_is_only_used_up(route: Route) -> None:
    route.close_after_one()
    with opened(route) as transport:
        transport.send(mail(), lambda: True)
        route.await_end()
        failure = refused(transport)
        assert (failure.stage, failure.ambiguous, failure.used_up) == ("message", False, True)
        assert not transport.usable
    assert route.taken() == [mail().content]


def test_nothing_is_handed_over_when_we_say_no_or_break(route: Route) -> None:
    def broken() -> bool:
        raise RuntimeError

    answers: list[tuple[Callable[[], bool], type[Exception]]] = [(lambda: False, Stopped), (broken, RuntimeError)]
    for answer, error in answers:
        with opened(route) as transport:
            with pytest.raises(error):
                transport.send(mail(), answer)
            assert not transport.usable
        assert route.taken() == []


def test_nothing_can_be_sent_once_it_is_closed(route: Route) -> None:
    with opened(route) as transport:
        transport.close()
        assert not transport.usable
        assert refused(transport).stage == "message"
