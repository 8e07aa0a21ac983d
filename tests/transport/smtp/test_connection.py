"""Sending over a connection, against a server on loopback that misbehaves as told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic

import flask_mail
import pytest

from portal.transport.base import PROGRESS, Envelope, Mail, Network, Receipt, Stopped, Timeouts
from portal.transport.destinations import MemoryResolver, Policy
from portal.transport.smtp.account import Account
from portal.transport.smtp.connection import BLOCK, Connection
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


# The final dot


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


@pytest.mark.parametrize("refusal", ["500 what?", "501 5.5.4 invalid name", "502 what?", "550 not you"])
def test_a_server_that_refuses_ehlo_gets_helo(refusal: str) -> None:
    server = ScriptedServer({"EHLO": refusal, "HELO": "250 hello"})
    send(server)
    assert "helo portal.example" in server.commands


def test_where_nothing_works_without_ehlo_its_refusal_is_the_cause() -> None:
    with ScriptedServer({"EHLO": "501 5.5.4 invalid name", "HELO": "250 hello"}) as server:
        account = replace(relay(server), username="shop", password="correct horse")
        failure = failure_of(lambda: Connection(account, timeouts=PLENTY, network=NETWORK).__enter__())
    assert (failure.phase, failure.reply.code) == ("ehlo", 501)


# Where to dial


def merchant(server: ScriptedServer, *addresses: str) -> tuple[Account, Policy]:
    resolver = MemoryResolver({"smtp.shop.example": addresses})
    account = Account("smtp.shop.example", server.port, "none")
    return account, Policy(["127.0.0.0/8", "2001:db8::/32"], [server.port], resolver)


def test_addresses_are_tried_in_order_until_one_answers() -> None:
    with ScriptedServer() as server:  # there is no route to the first, and nobody at the second
        account, policy = merchant(server, "2001:db8::1", "127.0.0.2", "127.0.0.1")
        with Connection(account, network=Network(policy), timeouts=PLENTY) as connection:
            connection.send(ORDER, yes)
    assert server.connections == 1


@pytest.mark.parametrize("first", [CLOSE, "421 4.3.2 going down", "554 5.7.1 not from there", "SSH-2.0-OpenSSH_9.2"])
def test_an_address_that_does_not_greet_gives_way_to_the_next(first: str) -> None:
    with ScriptedServer() as good, ScriptedServer({"greeting": first}, address="127.0.0.2", port=good.port) as bad:
        account, policy = merchant(good, "127.0.0.2", "127.0.0.1")
        with Connection(account, network=Network(policy), timeouts=PLENTY) as connection:
            connection.send(ORDER, yes)
    assert (bad.connections, len(good.mails)) == (1, 1)


@pytest.mark.parametrize("refusing", ["127.0.0.1", "127.0.0.2"])
def test_of_addresses_that_all_fail_the_one_that_says_most_is_told(refusing: str) -> None:
    said = {"127.0.0.1": CLOSE, "127.0.0.2": CLOSE, refusing: "554 5.7.1 not from there"}
    one = ScriptedServer({"greeting": said["127.0.0.1"]})
    with one, ScriptedServer({"greeting": said["127.0.0.2"]}, address="127.0.0.2", port=one.port):
        account, policy = merchant(one, "127.0.0.2", "127.0.0.3", "127.0.0.1")
        failure = failure_of(lambda: Connection(account, network=Network(policy), timeouts=PLENTY).__enter__())
    assert (failure.phase, failure.reply.code) == ("connect", 554)


def test_a_greeting_has_a_time_of_its_own() -> None:
    failure = failure_when({"greeting": SILENCE}, replace(PLENTY, greeting=0.1))
    assert (failure.phase, failure.reply.text) == ("connect", "timeout")


def test_a_forbidden_address_is_never_dialled() -> None:
    with ScriptedServer() as server:
        account, _ = merchant(server)
        policy = Policy([], [server.port], MemoryResolver({"smtp.shop.example": ["8.8.8.8", "127.0.0.1"]}))
        failure = failure_of(lambda: Connection(account, network=Network(policy)).__enter__())
    assert (failure.phase, failure.reply.text, server.connections) == ("connect", "dns", 0)


def test_an_unknown_name_says_so() -> None:
    account = Account("nowhere.example", 587)
    failure = failure_of(lambda: Connection(account, network=Network(Policy(resolver=MemoryResolver({})))).__enter__())
    assert (failure.phase, failure.reply.code, failure.reply.text) == ("connect", 0, "dns")


def test_a_closed_port_is_lost() -> None:
    with ScriptedServer() as server:
        account = relay(server)
    failure = failure_of(lambda: Connection(account).__enter__())
    assert (failure.phase, failure.reply.code, failure.reply.text) == ("connect", 0, "lost")
