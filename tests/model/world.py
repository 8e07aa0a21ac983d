"""Who runs when: one schedule, from its seed to its report."""

import traceback
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple, cast

from greenlet import getcurrent, greenlet
from sqlalchemy import select

from jobs.clock import Clock
from portal import job_queue  # noqa: F401
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Message, Tenant
from portal.services.delivery import drain as delivery
from portal.services.errors import NotCancellable
from portal.services.outbox import accept as outbox
from portal.transport.mime.addresses import Mailbox
from tests.model.clock import finds_something, relevant_steps
from tests.model.connection import Connection, Kind
from tests.model.laboratory import Laboratory
from tests.model.plan import Plan, drawn
from tests.model.promises import Promises
from tests.model.server import Server
from tests.model.surroundings import ForgetfulRedis, Time

MOST_KILLS = MOST_FREEZES = 4
_FREEZES = (7_000, 70_000, 400_000)  # ms
_AROUND_THE_END = (-500, 20, 300, 1_500, 20_000)
_SET_BACK = (0, 0, 0, 20, 90)  # ms in which others get further
_END_MS = 200
_MOST_STEPS = 20_000


class Killed(BaseException):
    """What ends a process in the midst of its work: nothing in the engine catches it, and its database is gone."""


class Process:
    """One process: when it dies, everything in it does."""

    def __init__(self, name: str, places: int = 1) -> None:
        self.name = name
        self.places = places
        self.dead = False


class Actor(greenlet):
    """A drain, a tick of a clock or a request at work, which stops at each pause()."""

    def __init__(self, world: "World", process: Process, name: str, work: Callable[[], object]) -> None:
        super().__init__(self._live)
        self.world = world
        self.process = process
        self.name = name
        self.work = work
        self.ready_at = 0
        self.lane_id: int | None = None
        self.token: str | None = None  # of its lease, once it has one

    def _live(self) -> None:
        try:
            with self.world.laboratory.app.app_context():
                self.work()
        except Killed:
            pass
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.world.break_off(f"{self.name} raised {type(error).__name__} {error} ({last.name}:{last.lineno})")


class Report(NamedTuple):
    """How a schedule went. `broken`: the promises that it broke."""

    seed: int
    broken: list[str]
    trace: list[str]
    plan: Plan
    sent: int
    kills: int


class World:
    def __init__(self, laboratory: Laboratory, seed: int, plan: Plan | None = None) -> None:
        self.laboratory = laboratory
        self.seed = seed
        self.random = Random(seed)
        self.plan = plan or drawn(self.random)
        self.time = Time()
        self.redis = ForgetfulRedis(self.time)
        self.server = Server(self)
        self.promises = Promises(self)
        self.hub = getcurrent()
        self.turbulent = not self.plan.clock_is_away
        self.actors: list[Actor] = []
        self.workers = [Process(f"worker {n}", self.plan.places) for n in range(self.plan.processes)]
        self.web = Process("web")
        self.poison: set[str] = set()
        self.kills = self.freezes = 0
        self.handed_in = 0
        self._number = self.plan.processes
        self._trace: list[tuple[int, str, str]] = []
        self._start_clocks()
        self._plan_mail()

    # The schedule

    def run(self) -> Report:
        laboratory = self.laboratory
        with laboratory.schedule(self.seed, self.plan.lanes, self.time, self.redis, self.server):
            self.promises.look()
            with laboratory.observed(self):
                steps = 0
                while not self.promises.broken and self._step():
                    steps += 1
                    if steps > _MOST_STEPS:
                        self.break_off("it never came to rest")
                if not self.promises.broken:
                    self.promises.at_the_end()
                self._end()
        trace = [f"{ms / 1000:9.3f} {who:22} {what}" for ms, who, what in self._trace]
        return Report(self.seed, self.promises.broken, trace, self.plan, len(self.server.kept), self.kills)

    def _step(self) -> bool:
        """One decision. Returns False once nothing is left to be done."""
        self._reap()
        self._weather()
        now = self.time.ms
        if self.plan.clock_is_away and self.mail and self.mail[0][0] > now + _END_MS and self.promises.all_sent():
            self.mail[0] = (now + self.random.randrange(_END_MS), 1)  # a drain is at its end: now it matters most
        ready = [actor for actor in self.actors if actor.ready_at <= now]
        choices: list[Callable[[], None]] = []
        if ready:
            choices += [lambda: self._go_on(self.random.choice(ready))] * 4
        if self.redis.queue and self._free_places():
            choices += [self._start_drain] * 3
        if self.mail and self.mail[0][0] <= now:
            choices.append(self._hand_in)
        for number in range(len(self.clocks)):
            if self.next_tick[number] <= now and not self._is_ticking(number):
                choices.append(lambda number=number: self._tick(number))  # type: ignore[misc]
        if choices:
            self.random.choice(choices)()
            return True
        return self._pass_time()

    def _weather(self) -> None:
        """What goes wrong by itself, and when it ends."""
        if not self.turbulent:
            return
        if self.time.ms >= self.plan.turbulent_ms and not self.mail:
            self.turbulent = self.redis.away = False
            self.say("nothing goes wrong any more")
        elif self.plan.forgets and self.random.random() < self.plan.forgets:
            if self.random.random() < 0.5:
                self.redis.forget()
                self.say("Redis forgets everything")
            else:
                self.redis.away = not self.redis.away
                self.say(f"Redis is {'away' if self.redis.away else 'back'}")

    def _pass_time(self) -> bool:
        """To the next moment at which anything can happen."""
        now = self.time.ms
        moments = [actor.ready_at for actor in self.actors] + [at for at, _ in self.mail[:1]]
        if self.clocks:
            ticks = [at for number, at in enumerate(self.next_tick) if not self._is_ticking(number)]
            for moment in self.promises.moments():
                moments += [moment + self.random.randrange(self.plan.tick_ms)] if moment > now else ticks
        if self.turbulent:
            moments.append(self.plan.turbulent_ms)
        moments = [moment for moment in moments if moment > now]
        if not moments:
            return False
        self.time.ms = min(moments)
        return True

    # Actors

    def _go_on(self, actor: Actor) -> None:
        actor.switch()

    def _reap(self) -> None:
        """Let the dead be dead: whatever else their process had at work ends with it, and others take their place."""
        for actor in self.actors:
            if actor.process.dead and not actor.dead:
                actor.throw(Killed) if actor else None
        self.actors = [actor for actor in self.actors if not actor.dead and not actor.process.dead]
        for place, process in enumerate(self.workers):
            if process.dead:
                self._number += 1
                self.workers[place] = Process(f"worker {self._number}", process.places)
        for number, (process, _) in enumerate(self.clocks):
            if process.dead:
                self.clocks[number] = self._new_clock(number)
        if self.web.dead:
            self.web = Process("web")

    def _start(self, process: Process, name: str, work: Callable[[], object]) -> Actor:
        actor = Actor(self, process, name, work)
        self.actors.append(actor)
        return actor

    def _free_places(self) -> list[Process]:
        busy = [actor.process for actor in self.actors]
        return [process for process in self.workers if busy.count(process) < process.places]

    def _start_drain(self) -> None:
        lane_id = self.redis.queue.pop(0)
        process = self.random.choice(self._free_places())
        actor = self._start(process, f"{process.name} lane {lane_id}", lambda: delivery.drain(lane_id))
        actor.lane_id = lane_id
        self.say("woken", actor)

    def _start_clocks(self) -> None:
        count = 0 if self.plan.clock_is_away else self.plan.clocks
        self.clocks = [self._new_clock(number) for number in range(count)]
        self.next_tick = [0] * count

    def _new_clock(self, number: int) -> tuple[Process, Clock]:
        return Process(f"clock {number}"), Clock(relevant_steps(self.laboratory), now=self.time.monotonic())

    def _is_ticking(self, number: int) -> bool:
        return any(actor.process is self.clocks[number][0] for actor in self.actors)

    def _tick(self, number: int) -> None:
        process, clock = self.clocks[number]
        self.next_tick[number] = self.time.ms + self.plan.tick_ms
        if not finds_something(self.laboratory):
            return
        self._start(process, process.name, lambda: clock.tick(self.time.monotonic()))

    # Mail

    def _plan_mail(self) -> None:
        plan, random = self.plan, self.random
        first = 1 if plan.clock_is_away else max(1, plan.messages // 2)
        self.mail = [(0, first)]
        latest = min(plan.turbulent_ms, plan.spread_ms)
        self.mail += sorted((random.randrange(latest), 1) for _ in range(plan.messages - first))
        numbers = random.sample(range(plan.messages), min(plan.poison, plan.messages))
        self.poison = {self._recipient(number) for number in numbers}

    def _recipient(self, number: int) -> str:
        return f"m{number}@customer.example"

    def _hand_in(self) -> None:
        _, count = self.mail.pop(0)
        recipients = [self._recipient(self.handed_in + number) for number in range(count)]
        self.handed_in += count
        tenant_ids = [self.random.choice(self.laboratory.tenants[: self.plan.tenants]) for _ in recipients]
        cancels = self.random.random() < self.plan.cancels

        def work() -> None:
            with transaction() as session:
                outbox.write(
                    [
                        outbox.Draft(
                            session.get_one(Tenant, tenant_id), "order_update", Mailbox("", recipient), "Your order",
                            "It is on its way.",
                        )
                        for recipient, tenant_id in zip(recipients, tenant_ids, strict=True)
                    ]
                )  # fmt: skip
            if cancels:
                self.pause(self.random.choice((0, 0.2, 3)))
                self._cancel(recipients[0])

        self._start(self.web, f"web {recipients[0]}", work)

    def _cancel(self, recipient: str) -> None:
        public_id = db.session.scalar(select(Message.public_id).where(Message.to_address == recipient))
        try:
            outbox.cancel(cast(str, public_id))
        except NotCancellable:
            return
        self.promises.cancelled.add(recipient)

    # Where actors stop

    @property
    def current(self) -> Actor:
        actor = getcurrent()
        assert isinstance(actor, Actor)
        return actor

    def is_current(self, process: Process) -> bool:
        actor = getcurrent()
        return isinstance(actor, Actor) and actor.process is process

    def pause(self, seconds: float = 0, *, only_kill: bool = False, at_hand: bool = False) -> None:
        """The actor at work may be killed here, frozen, or made to wait while others go on. Raises Killed.

        `at_hand`: a mail is, so that a freeze is likelier.
        """
        actor = getcurrent()
        if not isinstance(actor, Actor):
            return
        if actor.process.dead:
            raise Killed
        plan, random = self.plan, self.random
        if self.turbulent and self.kills < MOST_KILLS and random.random() < plan.kill:
            self.kills += 1
            self.kill(actor.process, "from outside")
        if only_kill:
            return
        self.time.ms += random.randrange(10)
        actor.ready_at = self.time.ms + int(seconds * 1000)
        if self.turbulent and self.freezes < MOST_FREEZES and random.random() < plan.freeze * (3 if at_hand else 1):
            self.freezes += 1
            self._freeze(actor)
        if actor.ready_at > self.time.ms or random.random() < plan.switch:
            actor.ready_at += random.choice(_SET_BACK)
            self.hub.switch()
            if actor.process.dead:
                raise Killed

    def kill(self, process: Process, how: str) -> None:
        """End the process that is at work. Raises Killed."""
        self.say(f"{process.name} is killed {how}")
        process.dead = True
        raise Killed

    def _freeze(self, actor: Actor) -> None:
        """For a while; of a drain mostly until about the end of its lease, where it matters most."""
        left = self.promises.lease_left(actor)
        ms = left + self.random.choice(_AROUND_THE_END) if left else self.random.choice(_FREEZES)
        whole = self.random.random() < 0.5
        self.say(f"frozen for {ms / 1000} s{', with its process' if whole else ''}")
        for one in self.actors if whole else [actor]:
            if one.process is actor.process:
                one.ready_at = max(one.ready_at, self.time.ms) + ms

    # What connections tell

    def before(self, connection: Connection, kind: Kind, text: str) -> None:
        actor = getcurrent()
        if not isinstance(actor, Actor) or kind.verb == "rollback":
            return
        if actor.process.dead:
            raise Killed
        if kind.verb == "begin":
            self.pause()
        elif kind.verb == "write":
            self.promises.writes(actor, connection.written, kind)
        elif kind.verb == "commit":
            self.pause(only_kill=True)

    def after(self, connection: Connection, kind: Kind) -> None:
        actor = getcurrent()
        if kind.verb == "commit" and isinstance(actor, Actor):
            if connection.written:
                self.promises.committed(actor)
            self.pause()

    def say(self, what: str, who: Any = None) -> None:
        who = who or getcurrent()
        self._trace.append((self.time.ms, who.name if isinstance(who, Actor) else "", what))

    def break_off(self, promise: str) -> None:
        self.say(f"BROKEN: {promise}")
        self.promises.broken.append(promise)

    def _end(self) -> None:
        for actor in self.actors:
            actor.process.dead = True
        self._reap()
