"""A worker in the test's own process, for what its queue holds."""

from functools import partial

from flask.globals import app_ctx
from redis import Redis
from rq.serializers import JSONSerializer

from jobs.places import Places
from jobs.worker import Worker, run


def worker_of(queue_name: str, redis: Redis) -> Worker:
    places = Places(8, partial(run, app_ctx.app))
    return Worker([queue_name], connection=redis, serializer=JSONSerializer, places=places)


def work_off(queue_name: str, redis: Redis) -> None:
    """Do the jobs in the queue, and return when they are done."""
    worker = worker_of(queue_name, redis)
    worker.work(burst=True, logging_level="WARNING")
    worker.places.wait_until_idle()
