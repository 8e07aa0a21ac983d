"""A worker process: `python -m jobs.worker interactive|mail`.

One queue each: only then does RQ dequeue reliably (LMOVE). RQ hands over what was enqueued, and jobs.places runs it.
"""

from __future__ import annotations

import logging
import secrets
import signal
import sys
import threading
from functools import partial
from types import FrameType
from typing import Any

from flask import Flask
from redis import Redis, RedisError
from rq import Queue, SimpleWorker, worker_registration
from rq.exceptions import StopRequested
from rq.job import Job
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import current_timestamp, import_attribute, now

from jobs.known_job import KnownJob, KnownQueue
from jobs.places import Places, Standing, Task
from portal import create_app, job_queue, redis_client
from portal.config import stopped_by_wrong_settings
from portal.db.away import Outage, is_away
from portal.job_queue import Work
from portal.services.delivery import drain as delivery
from portal.services.delivery.place import Place
from portal.services.operations import heartbeat
from portal.services.routing import lanes

_LONGEST_RECONNECT = 5  # seconds; RQ's own grows to 60
_START_AGAIN = 2
# RQ's own 420 would show a killed worker as alive for eight minutes; an idle one asks anew 15 s before this ends.
_WORKER_SECONDS = 45
# A process without a free place takes the next job so much later, so that one that has some is faster. It takes it all
# the same: behind many lanes that have to wait may be one that hasn't.
_LET_OTHERS = 0.01

log = logging.getLogger(__name__)


class Worker(SimpleWorker):
    """Takes jobs from Redis and hands them to places.

    Without forking: no orphaned child goes on after a kill, no socket is inherited. Redis isn't trusted: it says which
    of our jobs to do, for which id, and commands nothing.
    """

    job_class = KnownJob
    queue_class = KnownQueue
    max_connection_wait_time = _LONGEST_RECONNECT

    def __init__(self, *arguments: Any, places: Places, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.places = places
        self._is_handing_over = False

    def subscribe(self) -> None:
        """Listen to no commands: RQ's channel lets anybody in Redis end the worker."""

    def check_for_suspension(self, burst: bool) -> None:
        """Don't ask whether `rq suspend` was called: one key would stop all mail."""

    def run_maintenance_tasks(self) -> None:
        """Forget what dead workers left.

        RQ's own would bring jobs back, with what Redis says of them. The clock wakes what was lost, from the database.
        """
        self.last_cleaned_at = now()  # type: ignore[assignment]
        for queue in self.queues:
            try:
                self.connection.delete(queue.intermediate_queue_key)
                self.connection.zremrangebyscore(StartedJobRegistry(queue=queue).key, 0, current_timestamp())
                FailedJobRegistry(queue=queue).cleanup()
                worker_registration.clean_worker_registry(queue)
            except (RedisError, ValueError) as error:  # away, or somebody else's data under our keys
                log.warning("could not tidy up in Redis (%s)", type(error).__name__)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Hand the job to a place, and forget it in Redis: what is lost with this process, the clock wakes again."""
        self._is_handing_over = True
        try:
            with self.connection.pipeline() as pipeline:
                pipeline.delete(job.key)
                pipeline.lrem(queue.intermediate_queue_key, 1, job.id)
                pipeline.execute()
            task = Task(Work(str(job.func_name)), job.args[0])
            self.places.offer(task, _standing(task))
            self.places.wait_for_room(_LET_OTHERS)
        finally:
            self._is_handing_over = False

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        delivery.stopping.set()  # the drains at work end after the mail at hand
        super().request_stop(signum, frame)

    def _shutdown(self) -> None:
        """Leave the wait for the next job at once; what is just being handed over gets there."""
        if not self._is_handing_over:
            raise StopRequested
        self._stop_requested = True


def work(name: str, connection: Redis, places: Places) -> None:
    """Work until asked to stop. RQ gives up when Redis is away in the middle of a job; we don't."""
    while not delivery.stopping.is_set():
        try:
            Worker(
                [name], connection=connection, serializer=JSONSerializer, worker_ttl=_WORKER_SECONDS, places=places
            ).work(logging_level="WARNING", with_scheduler=False)
        except StopRequested:
            return
        except RedisError as error:
            log.warning("Redis is away (%s); the worker starts again", type(error).__name__)
        delivery.stopping.wait(_START_AGAIN)


def run(app: Flask, task: Task, place: Place) -> None:
    """Do one task in the thread of its place; what it raises ends in the log."""
    with app.app_context():
        more = (place,) if task.work == Work.DRAIN else ()
        outage: Outage = app.extensions["portal_outage"]
        try:
            import_attribute(task.work)(task.number, *more)
        except Exception as error:
            if is_away(error):
                outage.met(error)
                return
            log.exception("job failed", extra={"fields": {"job": task.work, "number": task.number}})
            heartbeat.count_failed_job()
        else:
            outage.worked()


def _look_after(app: Flask, name: str, places: Places) -> None:
    """Each second, for as long as the process lasts: what nothing else would set off."""
    worker = secrets.token_hex(8)
    with app.app_context():
        while not delivery.stopping.wait(1):
            try:
                places.look_again()
                places.shared.connections.close_old(alone=(heartbeat.workers(name) or 0) < 2)
                heartbeat.report_places(name, worker, places.in_use())
            except Exception:
                log.exception("a worker could not look after its places")


def _standing(task: Task) -> Standing:
    if task.work == Work.PROBE:
        return Standing.DOUBTFUL  # a merchant's server that is tried may take its time
    return Standing.APART if task.work == Work.DRAIN and lanes.is_platforms(task.number) else Standing.ORDINARY


def main(argv: list[str] | None = None) -> int:
    arguments: list[Any] = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1 or arguments[0] not in job_queue.QUEUES:
        sys.stderr.write(f"usage: python -m jobs.worker {'|'.join(job_queue.QUEUES)}\n")
        return 2
    (name,) = arguments
    with stopped_by_wrong_settings():
        app = create_app()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: delivery.stopping.set())  # until RQ installs its own
    with app.app_context():
        places = Places(app.extensions["settings"].drains, partial(run, app))
        threading.Thread(target=_look_after, args=(app, name, places), daemon=True).start()
        work(name, redis_client.connect(app.extensions["settings"].redis_url, timeout=None), places)
        for task in places.begin_nothing_more():
            job_queue.put_back(task.work, task.number, name)
        places.wait_until_idle()
        places.shared.connections.close_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
