"""How SMTP fails: the phase and the reply, and what they mean to those who know neither."""

from __future__ import annotations

from portal.transport.base import Reply, Stage, TransportFailure, Verdict
from portal.transport.smtp.account import Account, readable
from portal.transport.smtp.replies import OPENING, classify
from portal.transport.smtp.stream import Dialog
from portal.transport.wire import NO_TLS, NoReply


class SMTPFailure(TransportFailure):
    """The mail, or the connection, got no further than `phase`: connect ehlo starttls auth mail rcpt data dot.

    `verdict`: what it means where the words alone don't tell.

    At dot, code 0 means that nobody knows whether the server took the mail. Beyond portal.transport.smtp it is a
    TransportFailure like any other.
    """

    def __init__(self, phase: str, reply: Reply, verdict: Verdict | None = None) -> None:
        stage: Stage = "session" if phase in OPENING else "handover" if phase == "dot" else "message"
        ambiguous = phase == "dot" and reply.code == 0
        super().__init__(stage, ambiguous, verdict or classify(phase, reply.code, reply.text), reply)
        self.phase = phase
        self.closing = reply.code == 421  # RFC 5321 section 3.8
        self.unreached = phase == "connect" and (reply.text == "timeout" or reply.detail == NO_TLS)

    def __str__(self) -> str:
        return f"{self.phase}: {self.reply.code} {self.reply.text}"


def no_reply(phase: str, kind: str, detail: str) -> SMTPFailure:
    """The failure of a phase in which the server said nothing that counts."""
    return SMTPFailure(phase, Reply(0, kind, detail))


def unanswered(account: Account, phase: str, error: NoReply) -> SMTPFailure:
    """The failure of a phase that ended in NoReply: what the server had said before, if it had."""
    if error.said:
        return SMTPFailure(phase, Reply(error.said[0], readable(error.said[1], account)))
    return no_reply(phase, error.kind, error.detail)


def expect(account: Account, phase: str, wanted: int, code: int, text: bytes) -> None:
    """Raise SMTPFailure unless the reply's code is of the wanted class (2: 2yz)."""
    if code // 100 != wanted:
        raise SMTPFailure(phase, Reply(code, readable(text, account)))


def ask(dialog: Dialog, account: Account, phase: str, line: str, wanted: int) -> None:
    """Send one command and wait for its reply. Raises SMTPFailure unless that is of the wanted class (2: 2yz)."""
    try:
        code, text = dialog.docmd(line)
    except NoReply as error:
        raise unanswered(account, phase, error) from error
    expect(account, phase, wanted, code, text)
