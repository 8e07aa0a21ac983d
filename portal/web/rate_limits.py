"""Rate limits: how often somebody may do something. A view declares one by `@limited(LIMIT)`, or spends by itself.

Counted in Redis, for all processes together. While Redis is away each process counts alone, and more strictly, because
there may be several; nobody waits for it, and nobody is refused because of it (portal.redis_client.Line).
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

from flask import Flask, current_app, g, request
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter, RateLimiter
from werkzeug.exceptions import TooManyRequests

from portal.config import settings
from portal.redis_client import Line, line

# How much of the limit a process has to itself while it can't ask the others.
_ALONE = 4

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Limit:
    """`rate` such as "10/minute"; `who` names whose count it is, within a request."""

    name: str
    rate: Callable[[], str]
    who: Callable[[], str]


# In messages: a batch spends as many as it holds, any other request one.
API = Limit("api", lambda: settings().api_rate, lambda: str(g.api_key.id))
LAUNCH = Limit("launch", lambda: settings().launch_rate, lambda: client_network())
# Beside the limits on the mails themselves (services.limits), which no lost Redis can undo.
VERIFICATION = Limit("verification", lambda: settings().verification_rate, lambda: str(g.tenant.id))
NEW_LINK = Limit("new link", lambda: settings().verification_rate, lambda: client_network())
TEST_SEND = Limit("test send", lambda: settings().test_send_rate, lambda: str(g.tenant.id))


def client_network() -> str:
    """Who asks, as far as an address tells: with IPv6 a household has a whole /64, and it counts as one."""
    address = request.remote_addr or ""
    # Some proxies name the port, too: 192.0.2.1:5678, [2001:db8::1]:443 (RFC 7239, section 6).
    bare = address[1:].partition("]")[0] if address.startswith("[") else address
    bare = bare.partition(":")[0] if bare.count(":") == 1 else bare
    try:
        found = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found  # an IPv4 client of a socket that takes both
    return str(ipaddress.ip_network((found, 64 if found.version == 6 else 32), strict=False))


# Beside the limits on the mails themselves (services.limits), which are per mailbox.
SIGN_IN_CLIENT = Limit("sign-in client", lambda: settings().sign_in_rate, lambda: client_network())
# Switching one thing to and fro: a mail service, one person's role, the sender. Each way counts alone, so that whoever
# could pause can resume.
SWITCHING = Limit("switching", lambda: "20/hour", lambda: f"{g.tenant.id} {request.path}")
# A download reads all that there is. By GET another site can ask for it as well, so the button's POST counts alone.
EXPORT = Limit("export", lambda: "30/hour", lambda: f"{g.tenant.id} {request.method}")


def limited(limit: Limit) -> Callable[[View], View]:
    """Each call of the view spends one. Goes below the route decorator, beside the access rule."""

    def wrap(view: View) -> View:
        @wraps(view)
        def counted(*args: Any, **kwargs: Any) -> Any:
            spend(limit)
            return view(*args, **kwargs)

        return cast(View, counted)

    return wrap


def spend(limit: Limit, cost: int = 1) -> None:
    """Count `cost`, or end the request with 429 and Retry-After (seconds).

    What costs more than the whole limit needs a window of its own instead of never passing.
    """
    item = _parsed(limit.rate())
    wait = _counters().take(item, limit.name, limit.who(), cost)
    if wait:
        raise TooManyRequests(f"The limit is {item}. Try again in {wait} s.", retry_after=wait)


class Counters:
    """What was spent: shared in Redis, and this process's own for when that is away."""

    def __init__(self, redis: Line) -> None:
        self._redis = redis
        pool = redis.client.connection_pool
        self._shared = FixedWindowRateLimiter(RedisStorage("redis://", pool, key_prefix="absender:limit"))
        self._own = FixedWindowRateLimiter(MemoryStorage())

    def take(self, item: RateLimitItem, name: str, who: str, cost: int) -> int:
        """Seconds to wait; 0: it was within the limit."""
        waits: list[int] = []
        if self._redis.ask(lambda _: waits.append(_take(self._shared, item, name, who, cost))):
            return waits[0]
        return _take(self._own, type(item)(max(1, item.amount // _ALONE), item.multiples), name, who, cost)


def _take(counter: RateLimiter, item: RateLimitItem, name: str, who: str, cost: int) -> int:
    if counter.hit(item, name, who, cost=min(cost, item.amount)):
        return 0
    left = counter.get_window_stats(item, name, who).reset_time - time.time()
    if not 0 < left <= item.get_expiry() + 1:  # a window that doesn't end in time isn't ours: Redis isn't trusted
        counter.clear(item, name, who)
        return 0 if counter.hit(item, name, who, cost=min(cost, item.amount)) else 1
    return max(1, math.ceil(left))


def init_app(app: Flask) -> None:
    with app.app_context():
        app.extensions["portal_limits"] = Counters(line())


def _counters() -> Counters:
    return cast(Counters, current_app.extensions["portal_limits"])


@lru_cache
def _parsed(rate: str) -> RateLimitItem:
    return parse(rate)
