"""The connection's twin for tests: no network, a script of what goes wrong, and a record of what was accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from portal.transport.destinations import Policy
from portal.transport.smtp.account import Account, Envelope, Reply, SMTPFailure, Stopped, Timeouts

OPENING = ("connect", "ehlo", "starttls", "auth")
STEPS = {"mail": "sender", "rcpt": "recipient"}


@dataclass(frozen=True)
class Accepted:
    """A mail that the server has taken."""

    account: Account
    envelope: Envelope
    content: bytes


@dataclass
class _Scripted:
    failure: SMTPFailure
    takes_mail: bool
    times: int


@dataclass
class MemoryServer:
    """Takes every mail, but for what `fail` has scripted. `connect` stands in for Connection(...).

    server.fail("rcpt", 550, "5.1.1 no such user")      # the next mail only
    server.fail("dot", 0, "lost", takes_mail=True)      # taken, and the reply lost
    server.fail("auth", 535, "5.7.8 no", times=99)
    """

    accepted: list[Accepted] = field(default_factory=list)
    connections: list[MemoryConnection] = field(default_factory=list)
    _script: list[_Scripted] = field(default_factory=list)

    def fail(self, phase: str, code: int, text: str, *, times: int = 1, takes_mail: bool = False) -> None:
        """Answer so when a session next comes to this phase; failures of one phase are used up in order."""
        self._script.append(_Scripted(SMTPFailure(phase, Reply(code, text)), takes_mail, times))

    def connect(
        self,
        account: Account,
        *,
        timeouts: Timeouts | None = None,
        ca_file: str | None = None,
        local_hostname: str | None = None,
        policy: Policy | None = None,
        on_step: Callable[[str], None] | None = None,
    ) -> MemoryConnection:
        connection = MemoryConnection(self, account, on_step or (lambda step: None))
        self.connections.append(connection)
        return connection

    def _next(self, phase: str) -> _Scripted | None:
        for scripted in self._script:
            if scripted.failure.phase == phase and scripted.times > 0:
                scripted.times -= 1
                return scripted
        return None


class MemoryConnection:
    """Behaves as portal.transport.connection.Connection does, towards a MemoryServer."""

    def __init__(self, server: MemoryServer, account: Account, on_step: Callable[[str], None]) -> None:
        self.server = server
        self.account = account
        self.on_step = on_step
        self.usable = False
        self.num_emails = 0

    def __enter__(self) -> Self:
        self.on_step("resolve")
        for phase in OPENING:
            self._come_to(phase)
            if phase == "connect":
                self.on_step("connect")
        if self.account.encryption != "none":
            self.on_step("tls")
        if self.account.username:
            self.on_step("sign_in")
        self.usable = True
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.usable = False

    def send(self, envelope: Envelope, content: bytes, before_dot: Callable[[], bool]) -> Reply:
        if not self.usable:
            raise SMTPFailure("mail", Reply(0, "lost", "connection closed"))
        for phase in ("mail", "rcpt", "data"):
            self._come_to(phase)
            if phase in STEPS:
                self.on_step(STEPS[phase])
        try:
            if not before_dot():
                raise Stopped
        except BaseException:
            self.usable = False
            raise
        self.num_emails += 1
        scripted = self.server._next("dot")
        if scripted is None or scripted.takes_mail:
            self.server.accepted.append(Accepted(self.account, envelope, content))
        if scripted is not None:
            self._fail(scripted.failure)
        self.on_step("accepted")
        return Reply(250, "2.0.0 OK")

    def _come_to(self, phase: str) -> None:
        if scripted := self.server._next(phase):
            self._fail(scripted.failure)

    def _fail(self, failure: SMTPFailure) -> None:
        if failure.reply.code in (0, 421):
            self.usable = False
        raise SMTPFailure(failure.phase, failure.reply)
