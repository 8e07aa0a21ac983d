"""The connection to Redis: never waited for in a web request, never the truth."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import cast

from flask import Flask, current_app
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

_QUIET_SECONDS = 5  # Redis is not asked again for so long after it failed

log = logging.getLogger(__name__)


def connect(url: str, *, timeout: float | None = 2) -> Redis:
    """A client that gives up quickly: a web request must not wait for a Redis that is away. None waits (workers)."""
    return Redis.from_url(url, socket_connect_timeout=2, socket_timeout=timeout, retry=Retry(NoBackoff(), 0))


def init_app(app: Flask) -> None:
    app.extensions["portal_redis"] = Line(connect(app.extensions["settings"].redis_url))


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
    return cast(Line, current_app.extensions["portal_redis"])


def is_alive() -> bool:
    try:
        return bool(line().client.ping())
    except RedisError:
        return False
