"""Waking workers: enqueues a lane's drain in Redis, by dotted name and id, and never fails because Redis is away."""

from __future__ import annotations

import logging
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
_FAILURE_SECONDS = 7 * 24 * 3600  # RQ keeps failed jobs a year by default

log = logging.getLogger(__name__)


def connect(url: str, *, timeout: float | None = 2) -> Redis:
    """A client that gives up quickly: a web request must not wait for a Redis that is away. None waits (workers)."""
    return Redis.from_url(url, socket_connect_timeout=2, socket_timeout=timeout, retry=Retry(NoBackoff(), 0))


def init_app(app: Flask) -> None:
    app.extensions["redis"] = connect(app.extensions["settings"].redis_url)


def redis() -> Redis:
    return cast(Redis, current_app.extensions["redis"])


def wake(lane_id: int, queue_name: str) -> bool:
    """Have a worker drain the lane, unless that is already under way to it.

    Returns whether Redis could be told; if not, the clock wakes the lane later.
    """
    client = redis()
    try:
        if client.set(_pending(lane_id), 1, nx=True, ex=_PENDING_SECONDS):
            queue = Queue(queue_name, connection=client, serializer=JSONSerializer)
            queue.enqueue(_DRAIN, lane_id, job_timeout=-1, result_ttl=0, failure_ttl=_FAILURE_SECONDS)
    except RedisError as error:
        _note(error)
        return False
    _note(None)
    return True


def clear_wake(lane_id: int) -> None:
    """A drain calls this before its first claim: mail accepted from now on wakes the lane anew."""
    try:
        redis().delete(_pending(lane_id))
    except RedisError as error:
        _note(error)  # the flag expires by itself


_away = False


def _note(error: RedisError | None) -> None:
    """Log that Redis went away or came back: once, not with each message."""
    global _away
    if error is not None and not _away:
        log.warning("Redis is away (%s); mail is accepted, and sent once it is back", type(error).__name__)
    elif error is None and _away:
        log.warning("Redis is back")
    _away = error is not None


def is_alive() -> bool:
    try:
        return bool(redis().ping())
    except RedisError:
        return False


def _pending(lane_id: int) -> str:
    return f"absender:wake:{lane_id}"
