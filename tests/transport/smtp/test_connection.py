"""Sending over a connection, against a server on loopback that misbehaves as told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import flask_mail
import pytest

from portal.transport.base import Envelope, Mail, Network, Receipt, Timeouts
from portal.transport.smtp.account import Account
from portal.transport.smtp.connection import Connection
from portal.transport.smtp.failure import SMTPFailure
from tests.support.scripted_server import CLOSE, DRIP, FLOOD, NOTHING, PLENTY, SILENCE, Answer, ScriptedServer, ends_in

pytestmark = pytest.mark.any_database

ENVELOPE = Envelope("bounces@marketplace.example", "customer@shop.example")
NETWORK = Network(local_hostname="portal.example")
MAIL = b"Subject: Order 1\r\n\r\nHello\r\n"
ORDER = Mail(ENVELOPE, MAIL)


def yes() -> bool:
    return True


def relay(server: ScriptedServer) -> Account:
    return Account("127.0.0.1", server.port, "none", exempt=True)


@contextmanager
def opened(server: ScriptedServer, timeouts: Timeouts = PLENTY) -> Iterator[Connection]:
    with server, Connection(relay(server), timeouts=timeouts, network=NETWORK) as connection:
        yield connection


def send(server: ScriptedServer, mail: Mail = ORDER, before_dot: Callable[[], bool] = yes) -> Receipt:
    """One mail, over a connection of its own."""
    with opened(server) as connection:
        return connection.send(mail, before_dot)


def failure_of(attempt: Callable[[], object]) -> SMTPFailure:
    with pytest.raises(SMTPFailure) as caught:
        attempt()
    return caught.value


def failure_when(answers: dict[str, Answer], timeouts: Timeouts = PLENTY) -> SMTPFailure:
    """What comes of opening a connection and sending a mail to a server with these answers."""

    with pytest.raises(SMTPFailure) as caught, opened(ScriptedServer(answers), timeouts) as connection:
        connection.send(ORDER, yes)
    return caught.value


# The mail itself


def test_it_is_flask_mails_connection() -> None:
    assert issubclass(Connection, flask_mail.Connection)


def test_a_mail_arrives_as_it_was_and_the_servers_reply_is_kept() -> None:
    server = ScriptedServer()
    reply = send(server)
    assert server.mails == [MAIL]
    assert (reply.code, reply.text) == (250, "2.0.0 queued as 7")
    assert server.commands == [
        "EHLO portal.example",
        "MAIL FROM:<bounces@marketplace.example>",
        "RCPT TO:<customer@shop.example>",
        "DATA",
        "QUIT",
    ]


@pytest.mark.parametrize("content", [b".\r\n..\r\n.x\r\n", b"a\r\n.\r\nb\r\n", b"\r\n.\r\n"])
def test_dots_at_the_start_of_lines_survive(content: bytes) -> None:
    server = ScriptedServer()
    send(server, Mail(ENVELOPE, content))
    assert server.mails == [content]


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
def test_no_bare_line_end_can_hide_a_second_mail(line_end: bytes) -> None:
    server = ScriptedServer()
    send(server, Mail(ENVELOPE, line_end.join([b"a", b".", b"MAIL FROM:<x@y.example>", b"b"])))
    assert server.mails == [b"a\r\n.\r\nMAIL FROM:<x@y.example>\r\nb\r\n"]


def test_several_mails_go_over_one_connection() -> None:
    server = ScriptedServer()
    with opened(server) as connection:
        for _ in range(3):
            connection.send(ORDER, yes)
        assert connection.num_emails == 3
    assert (len(server.mails), server.connections) == (3, 1)


def test_the_null_reverse_path_is_spoken_as_such() -> None:
    server = ScriptedServer()
    send(server, Mail(Envelope("", "customer@shop.example"), MAIL))
    assert "MAIL FROM:<>" in server.commands


@pytest.mark.parametrize("address", ["a@b.example>\r\nRCPT TO:<c@d.example", "a b@c.example", "<a@b.example>"])
def test_an_address_cannot_become_a_command(address: str) -> None:
    server = ScriptedServer()
    with opened(server) as connection, pytest.raises(ValueError, match="character"):
        connection.send(Mail(Envelope("x@y.example", address), MAIL), yes)
    assert not any(command.startswith(("MAIL", "RCPT")) for command in server.commands)


def test_steps_are_reported_in_order() -> None:
    steps: list[str] = []
    with ScriptedServer() as server, Connection(relay(server), on_step=steps.append) as connection:
        connection.send(ORDER, yes)
    assert steps == ["resolve", "connect", "sender", "recipient", "accepted"]


# One round trip


def test_mail_rcpt_and_data_travel_together_where_the_server_offers_pipelining() -> None:
    # This server answers nothing before it has seen DATA.
    server = ScriptedServer({"MAIL": NOTHING, "RCPT": NOTHING, "DATA": "250 ok\r\n250 ok\r\n354 go on"})
    send(server)
    assert server.mails == [MAIL]


def test_commands_wait_for_replies_where_it_does_not() -> None:
    server = ScriptedServer({"MAIL": "550 5.1.8 no such sender"}, extensions=())
    with opened(server) as connection:
        failure = failure_of(lambda: connection.send(ORDER, yes))
    assert failure.phase == "mail"
    assert not any(command.startswith(("RCPT", "DATA")) for command in server.commands)


@pytest.mark.parametrize("extensions", [(), ("PIPELINING",)])
@pytest.mark.parametrize(
    ("point", "phase", "answers"),
    [
        ("MAIL", "mail", {"RCPT": "503 5.5.1 need MAIL", "DATA": "503 5.5.1 need MAIL"}),
        ("RCPT", "rcpt", {"DATA": "554 5.5.1 no valid recipients"}),
        ("DATA", "data", {}),
    ],
)
def test_a_refusal_names_its_phase_and_the_next_mail_goes_through(
    point: str, phase: str, answers: dict[str, str], extensions: tuple[str, ...]
) -> None:
    script = {name: [text, USUAL_AFTER[name]] for name, text in {**answers, point: "550 5.0.0 not this"}.items()}
    server = ScriptedServer(script, extensions=extensions)
    if not extensions:  # then only the refused command is spoken at all
        server.answers.update({name: USUAL_AFTER[name] for name in answers})
    with opened(server) as connection:
        failure = failure_of(lambda: connection.send(Mail(ENVELOPE, b"first\r\n"), yes))
        assert (failure.phase, failure.reply.code, failure.reply.text) == (phase, 550, "5.0.0 not this")
        assert connection.usable
        connection.send(Mail(ENVELOPE, b"second\r\n"), yes)
    assert server.mails == [b"second\r\n"]
    assert server.commands.count("RSET") == 1


USUAL_AFTER = {"MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go on"}


def test_a_refused_recipient_never_becomes_an_empty_mail() -> None:
    server = ScriptedServer({"RCPT": "550 5.1.1 unknown", "DATA": "354 go on"})
    with opened(server) as connection:
        failure = failure_of(lambda: connection.send(ORDER, yes))
        assert not connection.usable
    assert failure.phase == "rcpt"
    assert (server.mails, server.unfinished) == ([], [b""])


def test_a_server_that_refuses_and_hangs_up_has_refused() -> None:
    failure = failure_when({"MAIL": "550 5.7.1 go away", "RCPT": CLOSE})
    assert (failure.phase, failure.reply.code) == ("mail", 550)


def test_421_closes_the_connection() -> None:
    server = ScriptedServer({"MAIL": "421 4.3.2 shutting down", "RCPT": "503 no", "DATA": "503 no"})
    with opened(server) as connection:
        failure = failure_of(lambda: connection.send(ORDER, yes))
        assert not connection.usable
        assert failure_of(lambda: connection.send(ORDER, yes)).reply.text == "lost"
    assert (failure.phase, failure.reply.code) == ("mail", 421)


# Servers that hang, drip, flood or vanish

POINTS = {"greeting": "connect", "EHLO": "ehlo", "MAIL": "mail", "RCPT": "rcpt", "DATA": "data", ".": "dot"}


@pytest.mark.parametrize(("point", "phase"), POINTS.items())
@pytest.mark.parametrize(
    ("behaviour", "text"), [(CLOSE, "lost"), (SILENCE, "timeout"), (DRIP, "timeout"), (FLOOD, "lost")]
)
def test_every_phase_ends_with_what_happened(point: str, phase: str, behaviour: str, text: str) -> None:
    failure = ends_in(phase, lambda timeouts: failure_when({point: behaviour}, timeouts), text)
    assert (failure.phase, failure.reply.code, failure.reply.text) == (phase, 0, text)


def test_the_session_ends_at_its_deadline_however_lively_the_server_is() -> None:
    patient = Timeouts(connect=60, command=60, dot=60, session=2)
    assert failure_when({"EHLO": DRIP}, patient).reply.text == "timeout"


def test_no_mail_is_started_late_in_a_session() -> None:
    with opened(ScriptedServer()) as connection:
        connection.send(ORDER, yes)
        connection._opened_at -= PLENTY.session / 2
        assert not connection.usable


@pytest.mark.parametrize(
    "banner", ["SSH-2.0-OpenSSH_9.2", "-ERR unknown command", "HTTP/1.1 400 Bad Request", "+OK POP3", "200 news"]
)
def test_the_banner_of_another_service_is_never_passed_on(banner: str) -> None:
    failure = failure_when({"greeting": banner})
    assert (failure.phase, failure.reply.code, failure.reply.text) == ("connect", 0, "lost")
    assert banner[:5] not in str(failure) + failure.reply.detail


def test_a_server_that_turns_us_away_is_quoted() -> None:
    failure = failure_when({"greeting": "421 4.7.0 too many connections"})
    assert (failure.phase, failure.reply.code, failure.reply.text) == ("connect", 421, "4.7.0 too many connections")


def test_a_long_reply_is_cut_and_its_control_characters_are_gone() -> None:
    text = failure_when({"MAIL": "550-first\x1b[31m\r\n550 " + "x" * 3000}).reply.text
    assert text.startswith("first [31m\nxxx")
    assert len(text) == 1000


# What is offered, and what a mail needs


def test_the_size_is_announced_where_the_server_asks_for_it() -> None:
    server = ScriptedServer(extensions=("SIZE 1000000",))
    send(server)
    assert f"MAIL FROM:<bounces@marketplace.example> SIZE={len(MAIL)}" in server.commands


@pytest.mark.parametrize("offered", [(), ("SMTPUTF8", "8BITMIME")])
def test_a_mail_in_ascii_asks_for_no_extension(offered: tuple[str, ...]) -> None:
    server = ScriptedServer(extensions=offered)
    send(server)
    assert "MAIL FROM:<bounces@marketplace.example>" in server.commands


@pytest.mark.parametrize(
    ("envelope", "content", "parameter"),
    [
        (Envelope("a@b.example", "josé@b.example"), MAIL, " SMTPUTF8"),
        (Envelope("josé@b.example", "a@b.example"), MAIL, " SMTPUTF8"),
        (Envelope("a@b.example", "c@d.example"), "é\r\n".encode(), " BODY=8BITMIME"),
    ],
)
def test_extensions_are_used_where_needed_and_missed(envelope: Envelope, content: bytes, parameter: str) -> None:
    server = ScriptedServer(extensions=("SMTPUTF8", "8BITMIME"))
    send(server, Mail(envelope, content))
    assert f"MAIL FROM:<{envelope.mail_from}>{parameter}" in server.commands
    with opened(ScriptedServer()) as connection:
        assert failure_of(lambda: connection.send(Mail(envelope, content), yes)).reply.text == "unsupported"


@pytest.mark.parametrize("local", ['"john doe"', '"<john>"', r'"a\">b"', "a%b!c"])
def test_a_quoted_local_part_is_written_as_it_is(local: str) -> None:
    server = ScriptedServer()
    send(server, Mail(Envelope("a@b.example", f"{local}@c.example"), MAIL))
    assert f"RCPT TO:<{local}@c.example>" in server.commands


@pytest.mark.parametrize(
    "path",
    ["", "a b@c.example", "a>b@c.example", '"a"> SIZE=1@c.example', '"a\r\nb"@c.example', '"a"b@c.example',
     'a"b@c.example', '"a"@c.example> X', "a@c.example\r\nRSET"],
)  # fmt: skip
def test_nothing_is_written_that_ends_a_path_before_its_end(path: str) -> None:
    with opened(ScriptedServer()) as connection, pytest.raises(ValueError, match="no address has"):
        connection.send(Mail(Envelope("a@b.example", path), MAIL), yes)
