"""A transport for tests: no network, a script of what goes wrong, and a record of what was accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from portal.transport import factory
from portal.transport.base import (
    Action,
    Envelope,
    Mail,
    Network,
    OnStep,
    Receipt,
    Reply,
    Stage,
    Stopped,
    Timeouts,
    TransportFailure,
    Verdict,
)
from portal.transport.factory import AnyAccount
from portal.transport.http.account import HTTPAccount
from portal.transport.smtp.account import Account

LOST = Reply(0, "lost", "connection lost")
RETRY = Verdict(Action.RETRY_MESSAGE, "service_unavailable")


@dataclass(frozen=True)
class Accepted:
    """A mail that the server has taken."""

    account: AnyAccount
    envelope: Envelope
    content: bytes


@dataclass
class _Scripted:
    stage: Stage
    verdict: Verdict
    reply: Reply
    times: int
    takes_mail: bool
    after: int  # mails on one connection


@dataclass
class FakeServer:
    """Takes every mail, but for what `fail` has scripted.

    server.fail("message", Verdict("fail_message", "unknown_recipient"), Reply(550, "5.1.1 no"))  # the next mail only
    server.lose_reply()                                                                           # taken, not answered
    with server.in_place_of(account): ...                                       # whoever sends by the account meets it
    """

    accepted: list[Accepted] = field(default_factory=list)
    connections: list[FakeTransport] = field(default_factory=list)
    _script: list[_Scripted] = field(default_factory=list)

    def fail(self, stage: Stage, verdict: Verdict, reply: Reply = LOST, *, times: int = 1) -> None:
        """Refuse so when a session next comes to this stage; failures of one stage are used up in order."""
        self._script.append(_Scripted(stage, verdict, reply, times, False, 0))

    def lose_reply(self, *, takes_mail: bool = True) -> None:
        """End the connection after the next hand-over without an answer; the mail is taken, or it isn't."""
        self._script.append(_Scripted("handover", RETRY, LOST, 1, takes_mail, 0))

    def close_after(self, mails: int) -> None:
        """End the connection, once, when one more mail than so many is begun on it."""
        self._script.append(_Scripted("message", RETRY, LOST, 1, False, mails))

    @contextmanager
    def in_place_of(self, account: AnyAccount) -> Iterator[FakeServer]:
        """Within the block, whoever opens a transport to the account gets one to this server."""
        with factory.in_place_of(account, self.transport):
            yield self

    def transport(
        self,
        account: AnyAccount,
        *,
        timeouts: Timeouts | None = None,
        network: Network | None = None,
        on_step: OnStep | None = None,
    ) -> FakeTransport:
        """A transport to this server, not open yet; how the network is reached makes no difference to it."""
        made = FakeTransport(self, account, on_step or (lambda step: None))
        self.connections.append(made)
        return made

    def next(self, stage: Stage, mails: int = 0) -> _Scripted | None:
        """What the script has for this stage of a connection that has carried so many mails; it is used up by that."""
        for scripted in self._script:
            if scripted.stage == stage and scripted.times > 0 and mails >= scripted.after:
                scripted.times -= 1
                return scripted
        return None


class FakeTransport:
    """A Transport to a FakeServer; it tells the steps of whatever would go to the account."""

    def __init__(self, server: FakeServer, account: AnyAccount, on_step: OnStep) -> None:
        self.server = server
        self.account = account
        self.on_step = on_step
        self.usable = False
        self.num_emails = 0

    def open(self) -> None:
        """Open unless the script says otherwise. Raises TransportFailure."""
        self.num_emails = 0
        self._tell("resolve")
        if scripted := self.server.next("session"):
            raise self._failure(scripted)
        self._tell("reached", "connect")
        if isinstance(self.account, Account):
            if self.account.encryption != "none":
                self.on_step("tls")
            if self.account.username:
                self.on_step("sign_in")
        self.usable = True

    def send(self, mail: Mail, before_handover: Callable[[], bool]) -> Receipt:
        """Take the mail unless the script says otherwise. Raises TransportFailure."""
        if not self.usable:
            raise self._failure(_Scripted("message", RETRY, Reply(0, "lost", "connection closed"), 1, False, 0))
        if scripted := self.server.next("message", self.num_emails):
            raise self._failure(scripted)
        if isinstance(self.account, Account):
            self._tell("sender", "recipient")
        try:
            if not before_handover():
                raise Stopped
        except BaseException:
            self.usable = False
            raise
        self.num_emails += 1
        scripted = self.server.next("handover")
        if scripted is None or scripted.takes_mail:
            self.server.accepted.append(Accepted(self.account, mail.envelope, mail.content))
        if scripted is not None:
            raise self._failure(scripted)
        if isinstance(self.account, HTTPAccount):  # which hears of all of it at once
            self._tell("sign_in", "sender")
        self._tell("accepted")
        return Receipt(250, "2.0.0 OK")

    def abort(self) -> None:
        """It waits for nothing."""

    def close(self) -> None:
        """End the session."""
        self.usable = False

    def _tell(self, *steps: str) -> None:
        for step in steps:
            if step in factory.steps(self.account):
                self.on_step(step)

    def _failure(self, scripted: _Scripted) -> TransportFailure:
        ended = scripted.reply.code in (0, 421)  # the server is gone, or says that it is going
        if ended:
            self.usable = False
        ambiguous = scripted.stage == "handover" and scripted.reply.code == 0
        failure = TransportFailure(scripted.stage, ambiguous, scripted.verdict, scripted.reply)
        failure.used_up = scripted.stage == "message" and ended and self.num_emails > 0
        return failure
