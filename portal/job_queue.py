"""Waking workers: enqueues a lane's drain in Redis, by dotted name and id, and never fails because Redis is away."""

from __future__ import annotations

from enum import StrEnum

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from portal import redis_client

INTERACTIVE = "interactive"
MAIL = "mail"
QUEUES = (INTERACTIVE, MAIL)


class Work(StrEnum):
    """Every job, by the dotted name that a worker imports."""

    DRAIN = "jobs.deliver.drain"
    PROBE = "jobs.probe.run"
    SIGN_IN = "jobs.sign_in.send"


# Names that the version before may have left in Redis: run for one release (0.2).
EARLIER = {"jobs.driver_test.run": Work.PROBE}

_PENDING_SECONDS = 15  # a wake lost with its worker is made again after this long
KEPT_SECONDS = 7 * 24 * 3600  # what a job leaves in Redis; RQ keeps failed ones a year by default
NO_TIMEOUT = -1
# Sets a lane's flag and says whether it was not set before, in one round trip. A flag that doesn't end in time isn't
# ours, and would keep the lane asleep.
_FLAG = """
if redis.call('SET', KEYS[1], 1, 'NX', 'EX', ARGV[1]) then return 1 end
local left = redis.call('TTL', KEYS[1])
if left >= 0 and left <= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], 1, 'EX', ARGV[1])
return 1
"""


def wake(lane_id: int, queue_name: str = MAIL) -> bool:
    """Have a worker drain the lane, unless that is already under way to it.

    Returns whether Redis could be told; if not, the clock wakes the lane later.
    """

    def enqueue(client: Redis) -> None:
        if client.eval(_FLAG, 1, _pending(lane_id), _PENDING_SECONDS):
            _put(client, queue_name, Work.DRAIN, lane_id)

    return redis_client.line().ask(enqueue)


def enqueue_interactive(work: Work, argument: int) -> bool:
    """Have an interactive worker run a job about one id. Returns whether Redis could be told."""
    return redis_client.line().ask(lambda client: _put(client, INTERACTIVE, work, argument))


def put_back(work: Work, argument: int, queue_name: str) -> None:
    """Leave a job that was taken and not begun to another worker. A lane that is at work here is woken by its end."""
    redis_client.line().ask(lambda client: _put(client, queue_name, work, argument))


def clear_wake(lane_id: int) -> None:
    """Let mail that is accepted from now on wake the lane again; a drain calls this before its first claim.

    If Redis is away, the flag expires by itself.
    """
    redis_client.line().ask(lambda client: client.delete(_pending(lane_id)))


def _put(client: Redis, queue_name: str, work: Work, argument: int) -> None:
    queue = Queue(queue_name, connection=client, serializer=JSONSerializer)
    queue.enqueue(
        work, argument, job_timeout=NO_TIMEOUT, ttl=KEPT_SECONDS, result_ttl=0, failure_ttl=KEPT_SECONDS
    )  # fmt: skip


def _pending(lane_id: int) -> str:
    return f"absender:wake:{lane_id}"
