"""The connection's twin behaves like the connection."""

from __future__ import annotations

import pytest

from portal.transport.memory import MemoryServer
from portal.transport.smtp.connection import Account, Envelope, SMTPFailure, Stopped

pytestmark = pytest.mark.any_database

ACCOUNT = Account("smtp.shop.example", 587, "starttls", "shop", "secret")
ENVELOPE = Envelope("a@b.example", "c@d.example")


def test_it_takes_mail_and_tells_the_steps() -> None:
    server, steps = MemoryServer(), list[str]()
    with server.connect(ACCOUNT, on_step=steps.append) as connection:
        assert connection.send(ENVELOPE, b"Hello", lambda: True).code == 250
    assert [(mail.envelope, mail.content) for mail in server.accepted] == [(ENVELOPE, b"Hello")]
    assert steps == ["resolve", "connect", "tls", "sign_in", "sender", "recipient", "accepted"]


def test_a_scripted_refusal_comes_once_and_leaves_the_connection_good() -> None:
    server = MemoryServer()
    server.fail("rcpt", 550, "5.1.1 no such user")
    with server.connect(ACCOUNT) as connection:
        with pytest.raises(SMTPFailure) as caught:
            connection.send(ENVELOPE, b"first", lambda: True)
        assert (caught.value.phase, caught.value.reply.code, connection.usable) == ("rcpt", 550, True)
        connection.send(ENVELOPE, b"second", lambda: True)
    assert [mail.content for mail in server.accepted] == [b"second"]


def test_a_failed_sign_in_opens_nothing() -> None:
    server = MemoryServer()
    server.fail("auth", 535, "5.7.8 no")
    with pytest.raises(SMTPFailure, match="auth: 535"):
        server.connect(ACCOUNT).__enter__()


def test_a_reply_can_be_lost_after_the_mail_was_taken() -> None:
    server = MemoryServer()
    server.fail("dot", 0, "lost", takes_mail=True)
    with server.connect(ACCOUNT) as connection:
        with pytest.raises(SMTPFailure) as caught:
            connection.send(ENVELOPE, b"Hello", lambda: True)
        assert caught.value.ambiguous
        assert not connection.usable
    assert len(server.accepted) == 1


def test_nothing_is_taken_when_before_dot_says_no_or_breaks() -> None:
    def broken() -> bool:
        raise RuntimeError

    server = MemoryServer()
    for before_dot, error in ((lambda: False, Stopped), (broken, RuntimeError)):
        with server.connect(ACCOUNT) as connection:
            with pytest.raises(error):
                connection.send(ENVELOPE, b"Hello", before_dot)
            assert not connection.usable
    assert server.accepted == []
