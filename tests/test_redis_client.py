"""The web's client of Redis: a connection for each thread, which never gives one command another's answer."""

import pytest
from flask import Flask
from redis import RedisError

from portal import redis_client
from portal.redis_client import ThreadsOwn
from tests.support.at_once import at_once
from tests.support.valkey import Valkey

pytestmark = pytest.mark.any_database


@pytest.fixture
def redis(ctx: Flask) -> ThreadsOwn:
    client = redis_client.line().client
    assert isinstance(client, ThreadsOwn)
    return client


def number(client: ThreadsOwn) -> int:
    """The server's number of the connection that is asked by."""
    return int(client.client_id())


def test_a_thread_keeps_its_connection_and_shares_it_with_none(redis: ThreadsOwn) -> None:
    def twice() -> tuple[int, int]:
        return number(redis), number(redis)

    both = at_once(twice, twice)
    assert all(first == second for first, second in both) and both[0] != both[1]


def test_a_redis_that_was_started_anew_in_between_is_asked_anew(redis: ThreadsOwn, valkey: Valkey) -> None:
    line = redis_client.line()
    assert line.ask(lambda client: client.set("greeting", "hello"))
    with valkey.away():
        pass
    assert line.ask(lambda client: client.ping()) and not line.away
    assert redis.get("greeting") is None, "it begins empty"


def test_an_answer_that_was_not_waited_for_is_nobody_elses(redis: ThreadsOwn) -> None:
    redis.set("greeting", "hello")
    own = redis._connection()
    before = number(redis)
    own.send_command("GET", "greeting")  # whoever asked is gone
    assert own.can_read(5)
    assert redis.ping() is True and number(redis) != before


def test_after_an_error_the_next_command_is_answered(redis: ThreadsOwn) -> None:
    redis.set("greeting", "hello")
    for _ in range(2):
        with pytest.raises(RedisError):
            redis.incr("greeting")
        assert redis.get("greeting") == b"hello"


def test_a_fork_dials_for_itself(redis: ThreadsOwn) -> None:
    before = number(redis)
    redis._connection().pid = -1  # as a child finds its parent's
    assert number(redis) != before
