"""Waking workers: enqueues a lane's drain in Redis, by dotted name and id, and never fails because Redis is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import cast

from flask import Flask, current_app
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

INTERACTIVE = "interactive"
MAIL = "mail"
QUEUES = (INTERACTIVE, MAIL)

_DRAIN = "jobs.deliver.drain"
_PENDING_SECONDS = 15  # a wake lost with its worker is made again after this long
_QUIET_SECONDS = 5  # Redis is not asked again for so long after it failed
_FAILURE_SECONDS = 7 * 24 * 3600  # RQ keeps failed jobs a year by default

log = logging.getLogger(__name__)


def connect(url: str, *, timeout: float | None = 2) -> Redis:
    """A client that gives up quickly: a web request must not wait for a Redis that is away. None waits (workers)."""
    return Redis.from_url(url, socket_connect_timeout=2, socket_timeout=timeout, retry=Retry(NoBackoff(), 0))


def init_app(app: Flask) -> None:
    app.extensions["portal_queue"] = Line(connect(app.extensions["settings"].redis_url))


class Line:
    """The line to Redis. After a failure it is not tried for some seconds: a web request must not wait for it again."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.away = False
        self.quiet_until = 0.0

    def ask(self, command: Callable[[Redis], object]) -> bool:
        """Run `command` and return True; False if Redis is away."""
        if time.monotonic() < self.quiet_until:
            return False
        try:
            command(self.client)
        except RedisError as error:
            if not self.away:
                log.warning("Redis is away (%s); mail is accepted, and sent once it is back", type(error).__name__)
            self.away, self.quiet_until = True, time.monotonic() + _QUIET_SECONDS
            return False
        if self.away:
            log.warning("Redis is back")
        self.away = False
        return True


def line() -> Line:
    return cast(Line, current_app.extensions["portal_queue"])


def wake(lane_id: int, queue_name: str = MAIL) -> bool:
    """Have a worker drain the lane, unless that is already under way to it.

    Returns whether Redis could be told; if not, the clock wakes the lane later.
    """

    def enqueue(client: Redis) -> None:
        if client.set(_pending(lane_id), 1, nx=True, ex=_PENDING_SECONDS):
            queue = Queue(queue_name, connection=client, serializer=JSONSerializer)
            queue.enqueue(_DRAIN, lane_id, job_timeout=-1, result_ttl=0, failure_ttl=_FAILURE_SECONDS)

    return line().ask(enqueue)


def enqueue_interactive(job: str, argument: int) -> bool:
    """Have an interactive worker run a job, by dotted name and id. Returns whether Redis could be told."""

    def enqueue(client: Redis) -> None:
        queue = Queue(INTERACTIVE, connection=client, serializer=JSONSerializer)
        queue.enqueue(job, argument, job_timeout=-1, result_ttl=0, failure_ttl=_FAILURE_SECONDS)

    return line().ask(enqueue)


def clear_wake(lane_id: int) -> None:
    """A drain calls this before its first claim: mail accepted from now on wakes the lane anew.

    If Redis is away, the flag expires by itself.
    """
    line().ask(lambda client: client.delete(_pending(lane_id)))


def is_alive() -> bool:
    try:
        return bool(line().client.ping())
    except RedisError:
        return False


def _pending(lane_id: int) -> str:
    return f"absender:wake:{lane_id}"
