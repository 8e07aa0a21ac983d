"""What one schedule may meet. Each has faults of a few kinds, often, rather than of all kinds, rarely."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from portal.reasons import Reason
from portal.transport.base import Action, Reply, Stage, Verdict

LOST, SILENT = Reply(0, "lost"), Reply(0, "timeout")


@dataclass(frozen=True)
class Fault:
    """One way in which the server fails a mail. `taken`: it keeps the mail, and its reply is lost."""

    name: str
    stage: Stage
    action: str
    reason: str
    reply: Reply
    taken: bool = False
    closing: bool = False
    late: bool = False  # only after all patience


FAULTS = (
    Fault("not reached", "session", Action.BACKOFF_DRIVER, Reason.SERVICE_UNAVAILABLE, LOST),
    Fault("no greeting", "session", Action.BACKOFF_DRIVER, Reason.SERVICE_UNAVAILABLE, SILENT, late=True),
    Fault("dropped", "message", Action.RETRY_MESSAGE, Reason.SERVICE_UNAVAILABLE, LOST),
    Fault("greylisted", "message", Action.RETRY_MESSAGE, Reason.GREYLISTED, Reply(450, "4.2.0 later")),
    Fault("unknown", "message", Action.FAIL_MESSAGE, Reason.UNKNOWN_RECIPIENT, Reply(550, "5.1.1 no such user")),
    Fault("not understood", "message", Action.FAIL_MESSAGE, Reason.UNKNOWN, Reply(554, "no")),
    Fault("too fast", "message", Action.BACKOFF_DRIVER, Reason.RATE_LIMITED, Reply(451, "4.7.1 rate limit")),
    Fault("going away", "message", Action.BACKOFF_DRIVER, Reason.SERVICE_UNAVAILABLE, Reply(421, "bye"), closing=True),
    Fault("refused at the dot", "handover", Action.RETRY_MESSAGE, Reason.SERVICE_UNAVAILABLE, Reply(451, "4.3.0")),
    Fault("failed at the dot", "handover", Action.FAIL_MESSAGE, Reason.CONTENT_REJECTED, Reply(554, "5.7.1 spam")),
    Fault("reply lost", "handover", Action.RETRY_MESSAGE, Reason.SERVICE_UNAVAILABLE, LOST, taken=True),
    Fault("lost at the dot", "handover", Action.RETRY_MESSAGE, Reason.SERVICE_UNAVAILABLE, LOST),
    Fault("no reply", "handover", Action.RETRY_MESSAGE, Reason.SERVICE_UNAVAILABLE, SILENT, taken=True, late=True),
)  # fmt: skip


def verdict(fault: Fault) -> Verdict:
    scope: Any = "session" if fault.action == Action.BACKOFF_DRIVER else "message"
    return Verdict(fault.action, fault.reason, None, scope)


@dataclass
class Plan:
    """The shape of a schedule, drawn from its seed. Chances are those of one decision."""

    lanes: int = 2
    processes: int = 2
    places: int = 1  # drains at a time in one process
    clocks: int = 1
    tick_ms: int = 1000  # between two ticks of one clock; long where it is late
    tenants: int = 2
    messages: int = 4
    spread_ms: int = 40_000  # in which they are handed in
    poison: int = 0  # messages that kill the process which sends them
    interactive: float = 0.0  # that a request is mail that people wait for
    cancels: float = 0.0  # that a message is taken back
    switch: float = 0.5  # that another one goes on
    kill: float = 0.0
    freeze: float = 0.0
    forgets: float = 0.0  # Redis
    turbulent_ms: int = 60_000  # how long things go wrong
    faults: list[Fault] = field(default_factory=list)
    fail: float = 0.0  # that the server fails a mail
    slow: float = 0.0  # that it takes its time for a step
    clock_is_away: bool = False  # the wakes alone have to do; nothing else goes wrong then


def drawn(random: Random) -> Plan:
    plan = Plan(
        lanes=random.choice((1, 2, 2, 3)),
        processes=random.choice((1, 2, 2)),
        places=random.choice((1, 1, 2, 3)),
        tenants=random.choice((1, 2, 3)),
        messages=random.choice((1, 2, 2, 3, 4, 7)),
        switch=random.choice((0.1, 0.4, 0.8)),
    )
    if random.random() < 0.15:
        plan.clock_is_away = True
        plan.messages = random.choice((3, 5, 7))
        plan.spread_ms = random.choice((300, 2000, 20_000))
        return plan
    plan.clocks = random.choice((1, 1, 2))
    plan.tick_ms = random.choice((1000, 1000, 5000, 60_000))
    plan.turbulent_ms = random.choice((20_000, 60_000, 300_000, 1_000_000))
    plan.kill = random.choice((0, 0, 0.01, 0.03, 0.08))
    plan.freeze = random.choice((0, 0, 0.01, 0.03))
    plan.poison = random.choice((0, 0, 0, 1, 2))
    plan.interactive = random.choice((0, 0, 0.4))
    plan.cancels = random.choice((0, 0, 0, 0.3))
    plan.forgets = random.choice((0, 0, 0.05))
    plan.slow = random.choice((0, 0, 0.2))
    if random.random() < 0.7:
        plan.fail = random.choice((0.1, 0.3, 0.7))
        plan.faults = random.sample(FAULTS, random.choice((1, 2, 4, len(FAULTS))))
    return plan
