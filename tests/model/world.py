"""Who runs when: one schedule, from its seed to its report."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from greenlet import getcurrent

from jobs.clock import Clock
from portal.services.delivery import drain as delivery
from tests.model.actors import Actor, Killed, Process
from tests.model.backend import Backend, recipient
from tests.model.clock import finds_something, relevant_steps
from tests.model.connection import Connection, Kind
from tests.model.laboratory import Laboratory
from tests.model.plan import Plan, drawn
from tests.model.promises import Promises
from tests.model.server import Server
from tests.model.surroundings import ForgetfulRedis, Time

MOST_KILLS = MOST_FREEZES = 4
# All in milliseconds.
_FREEZES = (7_000, 70_000, 400_000)
_AROUND_THE_END = (-500, 20, 300, 1_500, 20_000)  # of a lease
_SET_BACK = (0, 0, 0, 20, 90)  # in which others get further
_MOST_IDLE = 20  # ticks
_MOST_STEPS = 20_000


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
        self.kills = self.freezes = 0
        poison = self.random.sample(range(self.plan.messages), min(self.plan.poison, self.plan.messages))
        self.poison = {recipient(number) for number in poison}  # whose mail kills the process that sends it
        self._number = self.plan.processes
        self._trace: list[tuple[int, str, str]] = []
        self._start_clocks()
        self.backend = Backend(self)

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
        if self.plan.clock_is_away:
            self.backend.hurry()
        ready = [actor for actor in self.actors if actor.ready_at <= now]
        choices: list[Callable[[], object]] = []
        if ready:
            choices += [lambda: self.random.choice(ready).switch()] * 4
        if self.redis.queue and self._free_places():
            choices += [self._start_drain] * 3
        hands_in_at = self.backend.next_at()
        if hands_in_at is not None and hands_in_at <= now:
            choices.append(lambda: self._start(self.web, *self.backend.request()))
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
        if self.time.ms >= self.plan.turbulent_ms and self.backend.next_at() is None:
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
        moments = [actor.ready_at for actor in self.actors]
        moments += [at for at in [self.backend.next_at()] if at is not None]
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

    def _reap(self) -> None:
        """Let the dead be dead: whatever else their process had at work ends with it, and others take their place."""
        for actor in self.actors:
            if actor.process.dead and actor:  # it has begun, and hasn't ended
                actor.throw(Killed)
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
        self._idle_ticks = self._seen = 0

    def _new_clock(self, number: int) -> tuple[Process, Clock]:
        return Process(f"clock {number}"), Clock(relevant_steps(self.laboratory), now=self.time.monotonic())

    def _is_ticking(self, number: int) -> bool:
        return any(actor.process is self.clocks[number][0] for actor in self.actors)

    def _tick(self, number: int) -> None:
        process, clock = self.clocks[number]
        # While nothing changes, ticks would only say the same again: they come more and more seldom.
        self._idle_ticks = self._idle_ticks + 1 if self._seen == self.promises.commits else 0
        self._seen = self.promises.commits
        self.next_tick[number] = self.time.ms + self.plan.tick_ms * (1 + min(self._idle_ticks, _MOST_IDLE))
        if not finds_something(self.laboratory):
            return
        self._start(process, process.name, lambda: clock.tick(self.time.monotonic()))

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
            actor.ready_at += random.choice(_SET_BACK) * (1 if self.clocks else 3)
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

    def say(self, what: str, who: Actor | None = None) -> None:
        at_work = who or getcurrent()
        self._trace.append((self.time.ms, at_work.name if isinstance(at_work, Actor) else "", what))

    def break_off(self, promise: str) -> None:
        self.say(f"BROKEN: {promise}")
        self.promises.broken.append(promise)

    def _end(self) -> None:
        for actor in self.actors:
            actor.process.dead = True
        self._reap()
