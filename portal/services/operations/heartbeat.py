"""What the processes leave in Redis about themselves: the clock's tick, how long drains took, which workers there are.

Only figures: losing them loses nothing, and counters that begin anew are what Prometheus expects of a restart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

from redis import Redis

from portal import redis_client

BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 60, 120, 300)  # seconds
_CLOCK = "absender:clock"
_CLOCK_FAILURES = "absender:clock:failures"
_TIME_JUMPS = "absender:clock:jumps"
_REFUSED_JOBS = "absender:jobs:refused"
_FAILED_JOBS = "absender:jobs:failed"
_PLACES_SECONDS = 15  # after which a worker that says nothing more counts as gone
_MOST_WORKERS = 1000
_LONGEST_FIGURE = 40  # digits
_CLOCK_SECONDS = 7 * 24 * 3600
Answer = TypeVar("Answer")


@dataclass
class Drains:
    """Of one kind of route: how many drains took up to each of BUCKETS, seconds in all, messages accepted in all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))  # the last: longer than any
    seconds: float = 0
    sent: int = 0


def tick() -> None:
    """The clock is alive. Its age is read from what is left of the key's life, so that no two clocks are compared."""
    redis_client.line().ask(lambda client: client.set(_CLOCK, 1, ex=_CLOCK_SECONDS))


def clock_age() -> float | None:
    """Seconds since a clock's last tick; None: none in the last week, or Redis lost it, or is away."""
    left = _ask(lambda client: client.pttl(_CLOCK))
    return _CLOCK_SECONDS - left / 1000 if left is not None and left >= 0 else None


def count_clock_failure() -> None:
    """A step of the clock has failed. Never fails itself."""
    redis_client.line().ask(lambda client: client.incr(_CLOCK_FAILURES))


def clock_failures() -> int:
    """How many steps of clocks have failed; 0 while Redis is away."""
    return _whole(_ask(lambda client: cast(bytes | None, client.get(_CLOCK_FAILURES))))


def count_time_jump() -> None:
    """The database's time has jumped. Never fails itself."""
    redis_client.line().ask(lambda client: client.incr(_TIME_JUMPS))


def time_jumps() -> int:
    """How often the database's time has jumped; 0 while Redis is away."""
    return _whole(_ask(lambda client: cast(bytes | None, client.get(_TIME_JUMPS))))


def count_refused_job() -> None:
    """A worker has refused an entry of its queue. Never fails itself."""
    redis_client.line().ask(lambda client: client.incr(_REFUSED_JOBS))


def refused_jobs() -> int:
    """How many entries workers have refused; 0 while Redis is away."""
    return _whole(_ask(lambda client: cast(bytes | None, client.get(_REFUSED_JOBS))))


def count_failed_job() -> None:
    """A job has ended by an exception. Never fails itself."""
    redis_client.line().ask(lambda client: client.incr(_FAILED_JOBS))


def failed_jobs() -> int:
    """How many jobs have ended by an exception; 0 while Redis is away."""
    return _whole(_ask(lambda client: cast(bytes | None, client.get(_FAILED_JOBS))))


class InUse(NamedTuple):
    """What the places of workers do: taken, held by slow servers, tasks that wait, seconds of the longest."""

    places: float = 0
    doubtful: float = 0
    waiting: float = 0
    longest_wait: float = 0


def report_places(queue_name: str, worker: str, in_use: InUse) -> None:
    """What a worker process does now; it says so every few seconds. Never fails."""
    name = f"absender:places:{queue_name}"

    def tell(client: Redis) -> None:
        with client.pipeline(transaction=False) as pipeline:
            pipeline.hset(f"{name}:{worker}", mapping=cast(Any, in_use._asdict()))
            pipeline.expire(f"{name}:{worker}", _PLACES_SECONDS)
            pipeline.sadd(name, worker)
            pipeline.expire(name, _PLACES_SECONDS)
            pipeline.execute()

    redis_client.line().ask(tell)


def places(queue_name: str) -> InUse:
    """The same of all workers of a queue together; the longest wait is that of any."""
    name = f"absender:places:{queue_name}"

    def of_each(client: Redis) -> list[InUse]:
        workers = cast(list[bytes], client.srandmember(name, _MOST_WORKERS))
        kept = [client.hmget(f"{name}:".encode() + worker, InUse._fields) for worker in workers]
        return [InUse(*map(_figure, cast(list[bytes | None], one))) for one in kept]

    found = _ask(of_each) or []
    sums = [sum(figures) for figures in zip(*found, strict=True)] if found else InUse()
    return InUse(*sums)._replace(longest_wait=max((one.longest_wait for one in found), default=0))


def drained(kind: str, seconds: float, sent: int) -> None:
    """A drain of this kind of route has ended. Never fails."""
    bucket = next((number for number, upper in enumerate(BUCKETS) if seconds <= upper), len(BUCKETS))

    def count(client: Redis) -> None:
        with client.pipeline(transaction=False) as pipeline:
            pipeline.hincrby(_drains(kind), str(bucket), 1)
            pipeline.hincrbyfloat(_drains(kind), "seconds", round(seconds, 3))
            pipeline.hincrby(_drains(kind), "sent", sent)
            pipeline.execute()

    redis_client.line().ask(count)


def drains(kind: str) -> Drains:
    names = ["seconds", "sent", *(str(number) for number in range(len(BUCKETS) + 1))]
    kept = _ask(lambda client: cast(list[bytes | None], client.hmget(_drains(kind), names))) or [None] * len(names)
    seconds, sent, *counts = kept
    return Drains([_whole(count) for count in counts], _figure(seconds), _whole(sent))


def workers(queue_name: str) -> int | None:
    """How many workers serve the queue; one that was killed counts for another minute or two. None: Redis is away."""

    def count(client: Redis) -> int:
        keys = cast(Any, client.smembers(f"rq:workers:{queue_name}"))
        return client.exists(*keys) if keys else 0

    return _ask(count)


def jobs(queue_name: str) -> int | None:
    """How many jobs wait in the queue. None: Redis is away."""
    return _ask(lambda client: client.llen(f"rq:queue:{queue_name}"))


def _ask(command: Callable[[Redis], Answer]) -> Answer | None:
    answers: list[Answer] = []
    redis_client.line().ask(lambda client: answers.append(command(client)))
    return answers[0] if answers else None


def _drains(kind: str) -> str:
    return f"absender:drains:{kind}"


def _whole(kept: bytes | None) -> int:
    return int(_figure(kept))


def _figure(kept: bytes | None) -> float:
    """What stands in Redis, which anybody may have written, as a figure; 0 for what is none."""
    try:
        figure = float((kept or b"0")[:_LONGEST_FIGURE])
    except ValueError:
        return 0
    return figure if 0 <= figure < math.inf else 0
