"""Somebody who can write to Redis makes a worker do none but our own jobs, and can't stop it for good."""

import json
import logging
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from rq import Callback, Queue, Repeat, Retry, Webhook
from rq.command import send_shutdown_command
from rq.job import Job
from rq.serializers import DefaultSerializer, JSONSerializer
from rq.suspension import suspend
from sqlalchemy import select

from portal import job_queue
from portal.extensions import db
from portal.job_queue import Work
from portal.models import SignInLink
from portal.services.accounts import login_links
from portal.services.operations import heartbeat, metrics
from tests.support.worker import work_off, worker_of

LINK = "nobody@customer.example"


@pytest.fixture
def redis(ctx: Flask) -> Iterator[Redis]:
    with Redis.from_url(ctx.extensions["settings"].redis_url) as client:
        yield client


@pytest.fixture
def queue(redis: Redis) -> Queue:
    """As an intruder has it: RQ's own, which refuses nothing."""
    return Queue("interactive", connection=redis, serializer=JSONSerializer)


@pytest.fixture
def link(ctx: Flask, queue: Queue) -> int:
    """A wish to sign in whose job has been lost: its number tells whether the job ran."""
    login_links.ask(LINK, "en")
    queue.empty()
    return db.session.scalars(select(SignInLink.id)).one()


def work(redis: Redis) -> None:
    work_off("interactive", redis)


def is_done(link: int) -> bool:
    db.session.rollback()
    return db.session.get_one(SignInLink, link, populate_existing=True).considered_at is not None


def put(queue: Queue, data: Any, id: str = "planted", **fields: Any) -> None:
    """Plant an entry as it lies in Redis."""
    text = data if isinstance(data, bytes) else zlib.compress(json.dumps(data).encode())
    queue.connection.hset(f"rq:job:{id}", mapping={"data": text, "origin": queue.name, "status": "queued"} | fields)
    queue.connection.rpush(queue.key, id)


def test_our_own_job_is_done(redis: Redis, queue: Queue, link: int) -> None:
    queue.enqueue(Work.SIGN_IN, link)
    work(redis)
    assert is_done(link) and heartbeat.refused_jobs() == 0
    assert not redis.keys("rq:job:*"), "it leaves nothing behind"


NESTED = "[" * 280
FOREIGN: dict[str, Any] = {
    "another function": ["subprocess.getoutput", None, ["touch {trace}"], {}],
    "another of ours": ["portal.services.accounts.login_links.send", None, [1], {}],
    "a method of an object": ["send", {"py/object": "jobs.sign_in"}, [1], {}],
    "an instance": [Work.SIGN_IN, "x", [1], {}],
    "a text for a number": [Work.SIGN_IN, None, ["1"], {}],
    "a boolean": [Work.SIGN_IN, None, [True], {}],
    "a fraction": [Work.SIGN_IN, None, [1.0], {}],
    "no number": [Work.SIGN_IN, None, [], {}],
    "two numbers": [Work.SIGN_IN, None, [1, 1], {}],
    "nought": [Work.SIGN_IN, None, [0], {}],
    "a negative number": [Work.SIGN_IN, None, [-1], {}],
    "more than an id can be": [Work.SIGN_IN, None, [2**63], {}],
    "a keyword": [Work.SIGN_IN, None, [1], {"link_id": 1}],
    "a list for a name": [[Work.SIGN_IN], None, [1], {}],
    "nothing": None,
    "deeply nested": NESTED.encode(),
    "not JSON": zlib.compress(b"jobs.sign_in.send"),
    "not even text": zlib.compress(b"\xff\xfe"),
    "a pickle": zlib.compress(DefaultSerializer.dumps((Work.SIGN_IN, None, (1,), {}))),
    "10 MB": zlib.compress(json.dumps([Work.SIGN_IN, None, [1], {}]).encode() + b" " * 10_000_000),
    "10 MB unpacked": b"x" * 10_000_000,
    "cut short": zlib.compress(json.dumps([Work.SIGN_IN, None, [1], {}]).encode())[:-5],
    "empty": b"",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_an_entry_that_is_none_of_our_jobs_is_refused_counted_and_told(
    redis: Redis, queue: Queue, link: int, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trace, data = tmp_path / "trace", FOREIGN[name]
    if name == "another function":
        data[2][0] = data[2][0].format(trace=trace)
    put(queue, data)
    queue.enqueue(Work.SIGN_IN, link)

    with caplog.at_level(logging.ERROR):
        work(redis)
    assert not trace.exists()
    assert heartbeat.refused_jobs() == 1
    assert b"absender_jobs_refused_total 1.0" in metrics.text()
    assert is_done(link), "the job behind it is done"
    assert not redis.exists("rq:job:planted")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "only Absender may write" in said[0] and "subprocess" not in said[0]


@pytest.mark.parametrize("id", [b"../../x", b"a b", b"\xff\xfe", b"", b"x" * 100_000])
def test_an_id_of_another_kind_does_not_stop_the_worker(redis: Redis, queue: Queue, link: int, id: bytes) -> None:
    redis.rpush(queue.key, id)
    queue.enqueue(Work.SIGN_IN, link)
    work(redis)
    assert is_done(link)


def test_another_type_under_a_jobs_key_does_not_stop_the_worker(redis: Redis, queue: Queue, link: int) -> None:
    redis.set("rq:job:planted", "x")
    redis.rpush(queue.key, "planted")
    queue.enqueue(Work.SIGN_IN, link)
    work(redis)
    assert is_done(link) and heartbeat.refused_jobs() == 1


def plant(path: str, *_: Any) -> None:
    """What the callbacks below would run in the worker."""
    raise AssertionError(f"{path} was called")


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A web server that notes what it is asked for; its URL, and the paths."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()


def test_a_job_of_ours_brings_no_callback_webhook_retry_or_repeat_along(
    redis: Redis, queue: Queue, link: int, asked: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, paths = asked
    called = Callback(f"{__name__}.plant")
    queue.enqueue(
        Work.SIGN_IN, link, on_success=called, on_failure=called, on_stopped=called, retry=Retry(max=3),
        repeat=Repeat(times=3), meta={"x": 1}, job_timeout="1h", result_ttl=500, description="x",
        webhooks=[Webhook(f"{url}/finished", "finished"), Webhook(f"{url}/failed", "failed")],
    )  # fmt: skip
    work(redis)
    assert is_done(link)
    assert paths == []
    assert redis.keys("rq:job:*") == [] and redis.llen(queue.key) == 0, "neither kept nor repeated"


def test_a_job_that_waits_for_ours_is_not_queued_by_it(redis: Redis, queue: Queue, link: int) -> None:
    first = queue.enqueue(Work.SIGN_IN, link)
    queue.enqueue("subprocess.getoutput", "true", depends_on=first)
    work(redis)
    assert is_done(link) and redis.llen(queue.key) == 0


def test_what_a_dead_worker_left_runs_no_callback(redis: Redis, queue: Queue, link: int, asked: Any) -> None:
    url, paths = asked
    job = Job.create(
        Work.SIGN_IN, [link], connection=redis, serializer=JSONSerializer, origin=queue.name, status="started",
        on_failure=Callback(f"{__name__}.plant"), webhooks=[Webhook(f"{url}/failed", "failed")],
    )  # fmt: skip
    job.save()
    redis.zadd("rq:wip:interactive", {f"{job.id}:1": 1})
    redis.rpush(queue.intermediate_queue_key, job.id)
    redis.zadd("rq:ready:interactive", {job.id: 1})
    work(redis)
    assert paths == [] and not is_done(link)
    assert redis.llen(queue.intermediate_queue_key) == 0 and redis.zcard("rq:wip:interactive") == 0


def in_the_way(key: str) -> Callable[[Redis], Any]:
    return lambda redis: redis.set(key, "x")


@pytest.mark.parametrize(
    "disturb",
    [
        lambda redis: suspend(redis),
        lambda redis: redis.sadd("rq:workers:interactive", b"\xff"),
        lambda redis: redis.rpush("rq:queue:interactive:intermediate", b"\xff"),
        lambda redis: redis.sadd("rq:rl-keys", b"\xff"),
        lambda redis: redis.sadd("rq:groups", b"\xff"),
        in_the_way("rq:queue:interactive:intermediate:x"),
        in_the_way("rq:failed:interactive"),
        in_the_way("absender:jobs:refused"),
    ],
)  # fmt: skip
def test_what_lies_about_in_redis_does_not_stop_the_worker(
    redis: Redis, queue: Queue, link: int, disturb: Callable[[Redis], Any]
) -> None:
    disturb(redis)
    queue.enqueue(Work.SIGN_IN, link)
    work(redis)
    assert is_done(link)


def test_a_worker_listens_to_no_commands(redis: Redis, queue: Queue, link: int) -> None:
    worker = worker_of("interactive", redis)
    worker.bootstrap("WARNING")
    send_shutdown_command(redis, worker.name)
    assert redis.pubsub_channels() == [] and worker.pubsub is None
    worker.teardown()


def test_figures_in_redis_that_are_none_count_as_nought(redis: Redis) -> None:
    redis.set("absender:jobs:refused", "many")
    redis.set("absender:clock:failures", "-inf")
    redis.set("absender:clock", "x")
    redis.hset("absender:drains:relay", mapping={"0": "x", "1": "1e999", "seconds": "nan", "sent": "9" * 5000})
    assert b"absender_redis_up 1.0" in metrics.text()
    redis.delete("absender:drains:relay")
    redis.set("absender:drains:relay", "x")
    assert b"absender_database_up 1.0" in metrics.text()


@pytest.mark.parametrize("life", [None, 10**9])
def test_a_lane_is_woken_although_somebody_says_for_ever_that_it_is(redis: Redis, life: int | None) -> None:
    redis.set("absender:wake:1", "x", ex=life)
    assert job_queue.wake(1)
    assert redis.llen("rq:queue:mail") == 1
    assert job_queue.wake(1) and redis.llen("rq:queue:mail") == 1, "by now it is under way"
    assert 0 < redis.ttl("absender:wake:1") <= 15
