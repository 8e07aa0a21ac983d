"""The body of a mail and its final dot: what the server says is heard, and a careless word sends nothing twice."""

from dataclasses import replace
from time import monotonic

import pytest

from portal.transport.base import PROGRESS, Mail, Stopped
from portal.transport.smtp.connection import BLOCK, Connection
from tests.support.scripted_server import CLOSE, DRIP, FLOOD, PLENTY, SILENCE, ScriptedServer, ends_in
from tests.transport.smtp.test_connection import (
    ENVELOPE,
    MAIL,
    NETWORK,
    ORDER,
    failure_of,
    failure_when,
    opened,
    relay,
    send,
    yes,
)

pytestmark = pytest.mark.any_database


def test_before_dot_is_asked_once_when_only_the_dot_is_missing() -> None:
    asked: list[int] = []
    server = ScriptedServer()
    send(server, before_dot=lambda: asked.append(len(server.mails)) is None)
    assert asked == [0]
    assert server.mails == [MAIL]


def test_no_dot_is_sent_when_before_dot_says_no() -> None:
    server = ScriptedServer()
    with opened(server) as connection:
        with pytest.raises(Stopped):
            connection.send(ORDER, lambda: False)
        assert not connection.usable
    assert (server.mails, server.unfinished) == ([], [MAIL])


def test_no_dot_is_sent_when_before_dot_breaks() -> None:
    def broken() -> bool:
        raise RuntimeError("database away")

    server = ScriptedServer()
    with opened(server) as connection, pytest.raises(RuntimeError, match="database away"):
        connection.send(ORDER, broken)
    assert (server.mails, server.unfinished) == ([], [MAIL])


def test_nobody_goes_on_in_the_middle_of_a_mail() -> None:
    def broken(step: str) -> None:
        if step == "sender":
            raise RuntimeError("database away")

    server = ScriptedServer()
    with server, Connection(relay(server), on_step=broken) as connection:
        with pytest.raises(RuntimeError, match="database away"):
            connection.send(ORDER, yes)
        assert not connection.usable
    assert server.mails == []


def test_a_refusal_after_the_dot_leaves_the_connection_good() -> None:
    server = ScriptedServer({".": ["552 5.2.3 too large", "250 ok"]})
    with opened(server) as connection:
        failure = failure_of(lambda: connection.send(ORDER, yes))
        connection.send(ORDER, yes)
    assert (failure.phase, failure.reply.code, failure.ambiguous) == ("dot", 552, False)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("250-2.0.0 ok\r\n251 queued as 7", 250),
        ("250-2.0.0 ok\r\nqueued as 7\r\n250 bye", 250),
        ("2.0.0 Ok: queued as 7", 200),
        ("250Ok", 200),
        ("554-5.7.1 no\r\n550 5.7.1 really not", 554),
        ("5.7.1 this looks like spam", 500),
        ("4.3.0 queue full", 400),
    ],
)
def test_a_careless_reply_to_a_mail_is_judged_by_its_first_digit(said: str, code: int) -> None:
    server = ScriptedServer({".": said})
    if code < 300:
        assert send(server).code == code
    else:
        failure = failure_when({".": said})
        assert (failure.phase, failure.reply.code, failure.ambiguous) == ("dot", code, False)


def test_a_last_line_without_a_code_ends_the_reply_to_a_mail_with_the_connection() -> None:
    with opened(ScriptedServer({".": "250-2.0.0 ok\r\nqueued as 7"}), replace(PLENTY, dot=0.5)) as connection:
        assert connection.send(ORDER, yes).code == 250


@pytest.mark.parametrize("said", ["250-ok\r\n550 no", "queued as 7", "354 go on"])
def test_a_reply_to_a_mail_that_says_both_or_nothing_is_ambiguous(said: str) -> None:
    failure = failure_when({".": said})
    assert (failure.phase, failure.reply.code, failure.ambiguous) == ("dot", 0, True)


def test_what_a_server_says_while_a_mail_is_written_is_heard() -> None:
    large = Mail(ENVELOPE, b"x" * 70 + b"\r\n" + b"0123456789abcdef\r\n" * 1_000_000)
    with opened(ScriptedServer({}, refuses_after=1000)) as connection:
        failure = failure_of(lambda: connection.send(large, yes))
        assert not connection.usable
    assert (failure.phase, failure.reply.code, failure.ambiguous) == ("data", 552, False)
    assert failure.verdict.reason == "message_too_large"


def test_a_large_mail_arrives_whole_and_says_that_it_moves_on() -> None:
    steps: list[str] = []
    server = ScriptedServer()
    content = b"0123456789abcdef\r\n" * 40_000
    with server, Connection(relay(server), timeouts=PLENTY, network=NETWORK, on_step=steps.append) as connection:
        connection.send(Mail(ENVELOPE, content), yes)
    assert server.mails == [content]
    assert steps.count(PROGRESS) == -(-len(content) // BLOCK) - 1


@pytest.mark.parametrize(("behaviour", "text"), [(CLOSE, "lost"), (SILENCE, "timeout"), (FLOOD, "lost")])
def test_no_reply_after_the_dot_is_ambiguous(behaviour: str, text: str) -> None:
    failure = ends_in("dot", lambda timeouts: failure_when({".": behaviour}, timeouts), text)
    assert (failure.phase, failure.reply.code, failure.reply.text) == ("dot", 0, text)
    assert failure.ambiguous


def test_the_fate_of_quit_changes_nothing() -> None:
    for behaviour in (CLOSE, "500 what?", "banana"):
        server = ScriptedServer({"QUIT": behaviour})
        assert send(server).code == 250


def test_quit_is_not_waited_for_longer_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.transport.smtp.connection.QUIT_SECONDS", 0.1)
    with opened(ScriptedServer({"QUIT": DRIP})) as connection:
        connection.send(ORDER, yes)
        begin = monotonic()
    assert monotonic() - begin < PLENTY.dot  # or the server would be waited for
