"""The mail server of a schedule: it remembers what it has taken, whatever its client heard of it."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from portal.transport.base import Mail, OnStep, Receipt, Stage, Stopped, Timeouts, TransportFailure
from portal.transport.smtp.account import Account
from tests.model.plan import FAULTS, Fault, verdict

if TYPE_CHECKING:
    from tests.model.world import World

_GONE = next(fault for fault in FAULTS if fault.name == "dropped")
_WAITS = (0.3, 2, 9, 29)  # seconds that a slow server takes for a step; each is within its limit


class Kept(NamedTuple):
    """A mail that the server has taken."""

    recipient: str
    message_id: str
    content: bytes


class Server:
    def __init__(self, world: "World") -> None:
        self.world = world
        self.kept: list[Kept] = []

    def transport(self, account: Account, *, timeouts: Timeouts, on_step: OnStep, **_: Any) -> "Transport":
        return Transport(self, timeouts, on_step)

    def fault(self, *stages: Stage) -> Fault | None:
        """How the server fails now, if it does."""
        world, plan = self.world, self.world.plan
        possible = [fault for fault in plan.faults if fault.stage in stages]
        if not world.turbulent or not possible or world.random.random() >= plan.fail:
            return None
        return world.random.choice(possible)

    def step(self) -> None:
        """The time between two lines of the session."""
        world = self.world
        slow = world.turbulent and world.random.random() < world.plan.slow
        world.pause(world.random.choice(_WAITS) if slow else 0, at_hand=True)

    def take(self, mail: Mail) -> None:
        found = re.search(rb"^Message-ID: *(\S+)", mail.content, re.MULTILINE | re.IGNORECASE)
        self.kept.append(Kept(mail.envelope.rcpt_to, found[1].decode() if found else "", mail.content))


class Transport:
    """A Transport to the Server, of the process that opened it: in another one it is no connection at all."""

    def __init__(self, server: Server, timeouts: Timeouts, on_step: OnStep) -> None:
        self.server = server
        self.world = server.world
        self.process = server.world.current.process
        self.timeouts = timeouts
        self.on_step = on_step
        self.num_emails = 0
        self._open = False

    @property
    def usable(self) -> bool:
        return self._open and not self.process.dead and self.world.is_current(self.process)

    def open(self) -> None:
        self.on_step("resolve")
        self.server.step()
        if fault := self.server.fault("session"):
            self._fail(fault, self.timeouts.greeting)
        self.on_step("connect")
        self._open = True

    def send(self, mail: Mail, before_handover: Callable[[], bool]) -> Receipt:
        world, recipient = self.world, mail.envelope.rcpt_to
        if not self.usable:
            self._fail(_GONE, 0)
        self.server.step()
        if recipient in world.poison:
            world.kill(self.process, f"by {recipient}")
        if fault := self.server.fault("message"):
            self._fail(fault, self.timeouts.command)
        for step in ("sender", "recipient"):
            self.on_step(step)
            self.server.step()
        try:
            if not before_handover():
                raise Stopped
        except BaseException:
            self._open = False
            raise
        world.promises.at_the_dot(world.current, recipient)
        self.num_emails += 1
        fault = self.server.fault("handover")
        if fault is None or fault.taken:
            self.server.take(mail)
        world.say(f"{recipient} at its dot: {fault.name if fault else 'taken'}")
        self.server.step()
        if fault:
            self._fail(fault, self.timeouts.dot)
        self.on_step("accepted")
        return Receipt(250, "2.0.0 OK")

    def close(self) -> None:
        self._open = False

    abort = close  # nobody takes a drain's place away here

    def _fail(self, fault: Fault, patience: float) -> None:
        if fault.late:
            self.world.pause(patience)
        ended = fault.reply.code in (0, 421)
        if ended or fault.stage == "session":
            self._open = False
        failure = TransportFailure(
            fault.stage, fault.stage == "handover" and fault.reply.code == 0, verdict(fault), fault.reply
        )
        failure.used_up = fault.stage == "message" and ended and self.num_emails > 0
        failure.closing = fault.closing
        self.world.say(f"the server fails: {fault.name}")
        raise failure
