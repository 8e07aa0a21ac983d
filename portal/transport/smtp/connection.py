"""One SMTP connection: opened, used for mail after mail, closed; refusals told apart, nothing waited for long."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import NamedTuple, Self

import flask_mail

from portal.transport import destinations
from portal.transport.base import PROGRESS, Envelope, Mail, Network, OnStep, Receipt, Reply, Stopped, Timeouts
from portal.transport.mime.addresses import QUOTED
from portal.transport.smtp.account import Account, readable
from portal.transport.smtp.auth import refused_token, sign_in
from portal.transport.smtp.failure import SMTPFailure, no_reply, unanswered
from portal.transport.smtp.handshake import Watch, connect, hello, resolve
from portal.transport.smtp.stream import Dialog, dot_stuffed
from portal.transport.wire import Halt, NoReply

QUIT_SECONDS = 2.0
BLOCK = 64 * 1024  # octets of a mail that are written at a time
# Nothing ends a path but its own ">": what servers read as more, blanks and brackets, only quotes may hold.
_PATH = re.compile(rf'(?:{QUOTED}(?=@))?[^\s<>"\x00-\x1f\x7f]*')
_UNRESTRICTED = destinations.Policy(unrestricted=True)


class _Command(NamedTuple):
    """A command before the body: the class of reply it wants, and the step that is done with it."""

    phase: str
    wanted: int
    line: str
    step: str = ""


class Connection(flask_mail.Connection):
    """Flask-Mail's connection with verified TLS, deadlines, pinned addresses and the server's words kept.

    A Transport, and a context manager that opens and closes it. Opening is: resolve, connect, EHLO, STARTTLS, AUTH;
    SMTPFailure says how far that went. It needs no app. `on_step` hears each of base.STEPS once it is done.
    """

    host: Dialog | None

    def __init__(
        self,
        account: Account,
        *,
        timeouts: Timeouts | None = None,
        network: Network | None = None,
        on_step: OnStep | None = None,
    ) -> None:
        self.account = account
        self.timeouts = timeouts or Timeouts()
        self.network = network or Network()
        self.policy = _UNRESTRICTED if account.exempt else self.network.policy
        self.on_step = on_step or (lambda step: None)
        self.host = None
        self.num_emails = 0
        self._opened_at = 0.0
        self._needs_reset = False
        self._halt = Halt()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Connect, up to the point where mail can be sent. Raises SMTPFailure, and leaves nothing open."""
        self.host = self.configure_host()
        self.num_emails = 0

    def abort(self) -> None:
        """From another thread: end what is waited for, as if the server had gone; for good."""
        self._halt.halt()

    def close(self) -> None:
        """Say QUIT. Whatever comes of it changes nothing about the mails that were sent."""
        if self.host is None:
            return
        dialog, self.host = self.host, None
        dialog.deadline = monotonic() + QUIT_SECONDS
        try:
            if dialog.sock is not None:
                dialog.docmd("QUIT")
        except NoReply:
            pass
        finally:
            dialog.close()

    @property
    def usable(self) -> bool:
        """Whether another mail may be started here.

        In the second half of a session none may: its deadline could cut off the wait for the reply after the dot.
        """
        is_open = self.host is not None and self.host.sock is not None
        return is_open and monotonic() < self._opened_at + self.timeouts.session / 2

    def configure_host(self) -> Dialog:
        """Open the connection up to the point where mail can be sent. Raises SMTPFailure."""
        self._opened_at = monotonic()
        self._needs_reset = False
        deadline = self._opened_at + self.timeouts.session
        destination = resolve(self.account, self.policy)
        self.on_step("resolve")
        dialog = connect(
            destination, self.account, self.network, self.timeouts, deadline, Watch(self.on_step, self._halt)
        )
        try:
            hello(dialog, self.account, destination.host, self.network.ca_file, self.on_step)
            sign_in(dialog, self.account, self.on_step)
        except BaseException:
            dialog.close()
            raise
        return dialog

    def send(  # type: ignore[override]  # Flask-Mail's takes a Message and drops the reply
        self, mail: Mail, before_handover: Callable[[], bool]
    ) -> Receipt:
        """Send one mail and return the 2yz after its final dot.

        `before_handover` is called once, when everything but the dot is written. If it returns False (Stopped) or
        raises, the connection is dropped and the server has no mail. Raises SMTPFailure; after a refusal at mail, rcpt
        or data the connection is good for the next mail.
        """
        try:
            return self._send(mail, before_handover)
        except SMTPFailure as failure:
            if self.account.oauth and failure.verdict.reason == "bad_credentials":  # the token ran out meanwhile
                failure.verdict = refused_token(failure, self.account).verdict
            # Many servers end a connection after a number of mails, and say so to the next one.
            failure.used_up = failure.phase == "mail" and failure.reply.code in (0, 421) and self.num_emails > 0
            raise

    def _send(self, mail: Mail, before_handover: Callable[[], bool]) -> Receipt:
        if not self.usable or self.host is None:
            raise no_reply("mail", "lost", "connection closed")
        dialog = self.host
        envelope, content = mail
        commands = self._commands(dialog, envelope, content)
        try:
            dialog.patience = self.timeouts.command
            self._hand_over(dialog, commands)
            self._write_body(dialog, content)
            if not before_handover():
                raise Stopped
        except SMTPFailure:
            raise
        except BaseException:  # whatever it was: no dot after it, and nobody goes on in the middle of a mail
            dialog.close()
            raise
        self.num_emails += 1
        dialog.patience = self.timeouts.dot
        try:
            dialog.send(b".\r\n")
            code, text = dialog.getreply(final=True)
        except NoReply as error:
            raise unanswered(self.account, "dot", error) from error
        if 300 <= code < 400:  # no answer to a mail: the dialog is out of step
            dialog.close()
            raise no_reply("dot", "lost", "not a reply to a mail")
        said = readable(text, self.account)
        if code // 100 != 2:
            raise SMTPFailure("dot", Reply(code, said))
        self.on_step("accepted")
        return Receipt(code, said)

    def _commands(self, dialog: Dialog, envelope: Envelope, content: bytes) -> list[_Command]:
        mail, rcpt = f"MAIL FROM:<{envelope.mail_from}>", f"RCPT TO:<{envelope.rcpt_to}>"
        if not _PATH.fullmatch(envelope.mail_from) or not _PATH.fullmatch(envelope.rcpt_to) or not envelope.rcpt_to:
            raise ValueError("an envelope's address holds a character that no address has")
        if dialog.has_extn("size"):
            mail += f" SIZE={len(content)}"
        if not content.isascii():
            mail += _extension(dialog, "8bitmime", "mail", " BODY=8BITMIME")
        if not mail.isascii() or not rcpt.isascii():
            mail += _extension(dialog, "smtputf8", "rcpt" if mail.isascii() else "mail", " SMTPUTF8")
        reset = [_Command("mail", 2, "RSET")] if self._needs_reset else []
        return [
            *reset,
            _Command("mail", 2, mail, "sender"),
            _Command("rcpt", 2, rcpt, "recipient"),
            _Command("data", 3, "DATA"),
        ]

    def _hand_over(self, dialog: Dialog, commands: list[_Command]) -> None:
        """MAIL, RCPT and DATA: in one round trip where the server lets us (RFC 2920), else one by one."""
        batches = [commands] if dialog.has_extn("pipelining") else [[command] for command in commands]
        refused: SMTPFailure | None = None
        for batch in batches:
            phase = batch[0].phase
            try:
                dialog.send("".join(f"{command.line}\r\n" for command in batch).encode())
                for phase, wanted, _, step in batch:
                    code, text = dialog.getreply()
                    if code // 100 != wanted:
                        refused = refused or SMTPFailure(phase, Reply(code, readable(text, self.account)))
                        if code == 421:  # the server is closing (RFC 5321 section 3.8)
                            dialog.close()
                            break
                    elif refused is None and step:
                        self.on_step(step)
                    elif refused and phase == "data":
                        dialog.close()  # refused, and yet it waits for a mail: it would take an empty one
            except NoReply as error:
                refused = refused or unanswered(self.account, phase, error)
            if refused:
                break
        self._needs_reset = refused is not None
        if refused:
            raise refused

    def _write_body(self, dialog: Dialog, content: bytes) -> None:
        """Write the mail block by block: each has its own time, and between them the server may refuse the rest.

        The network takes a single block at once, so that a small mail needs no more time than a command.
        """
        until = monotonic() + self.timeouts.transfer
        left = memoryview(dot_stuffed(content))
        for_each = self.timeouts.command
        if len(left) > BLOCK:
            dialog.deadline = max(dialog.deadline, until + self.timeouts.dot)
            for_each = self.timeouts.block
        try:
            while True:
                dialog.patience = min(for_each, until - monotonic())
                dialog.send(left[:BLOCK])
                left = left[BLOCK:]
                if not left:
                    break
                self.on_step(PROGRESS)
                if said := dialog.heard():
                    dialog.close()
                    code = said[0] if said[0] >= 400 else 0  # it can't have accepted half a mail
                    raise NoReply("lost", "a reply in the middle of a mail", said if code else None)
        except NoReply as error:
            raise unanswered(self.account, "data", error) from error


def _extension(dialog: Dialog, name: str, phase: str, parameter: str) -> str:
    """MAIL's parameter for an extension that this mail can't do without."""
    if not dialog.has_extn(name):
        raise no_reply(phase, "unsupported", f"the server offers no {name.upper()}")
    return parameter
