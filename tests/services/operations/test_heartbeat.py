"""What processes leave in Redis about themselves."""

from flask import Flask

from portal.services.operations import heartbeat
from tests.support.valkey import Valkey


def test_ticks_failures_and_drains_are_counted(ctx: Flask) -> None:
    assert heartbeat.clock_age() is None
    heartbeat.tick()
    heartbeat.count_clock_failure()
    heartbeat.drained("relay", 0.2, 3)
    drains = heartbeat.drains("relay")
    assert 0 <= (heartbeat.clock_age() or 0) < 60 and heartbeat.clock_failures() == 1
    assert (drains.sent, drains.seconds, sum(drains.counts)) == (3, 0.2, 1)


def test_without_redis_nothing_is_known_and_nothing_fails(ctx: Flask, valkey: Valkey) -> None:
    with valkey.away():
        heartbeat.tick()
        heartbeat.drained("relay", 0.2, 3)
        assert heartbeat.clock_age() is heartbeat.workers("mail") is heartbeat.jobs("mail") is None
