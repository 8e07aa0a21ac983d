"""A worker process: `python -m jobs.worker interactive|mail`.

One queue each: only then does RQ dequeue reliably (LMOVE).
"""

from __future__ import annotations

import logging
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

from redis import Redis, RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import DeserializationError, StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer

from portal import create_app, job_queue, redis_client
from portal.config import stopped_by_wrong_settings
from portal.extensions import db
from portal.log_format import error_text
from portal.services.delivery import drain as delivery

_LONGEST_RECONNECT = 5  # seconds; RQ's own grows to 60
_START_AGAIN = 2
# RQ's own 420 would show a killed worker as alive for eight minutes; an idle one asks anew 15 s before this ends.
_WORKER_SECONDS = 45

log = logging.getLogger(__name__)


class Worker(SimpleWorker):
    """Works without forking: no orphaned child goes on after a kill, no socket is inherited."""

    max_connection_wait_time = _LONGEST_RECONNECT
    _failure = ""

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        with suppress(DeserializationError):  # which the rest of RQ reports
            if job.func_name in job_queue.EARLIER:
                job.func_name = job_queue.EARLIER[job.func_name]
        try:
            return super().perform_job(job, queue, execution)
        finally:
            db.session.remove()

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """RQ's own writes the exception's words; they may quote a mail."""
        self._failure = error_text(exc_info)  # type: ignore[arg-type]
        log.error("job %s failed", job.id, exc_info=exc_info)  # type: ignore[arg-type]

    def handle_job_failure(self, job: Job, queue: Queue, *arguments: Any, **more: Any) -> None:
        """Redis, too, gets the exception's type and places only."""
        more["exc_string"] = self._failure
        super().handle_job_failure(job, queue, *arguments, **more)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        delivery.stopping.set()  # the drain at work ends after the mail at hand
        super().request_stop(signum, frame)


def work(name: str, connection: Redis) -> None:
    """Work until asked to stop. RQ gives up when Redis is away in the middle of a job; we don't."""
    while not delivery.stopping.is_set():
        try:
            jobs = Queue(name, connection=connection, serializer=JSONSerializer)
            Worker([jobs], connection=connection, serializer=JSONSerializer, worker_ttl=_WORKER_SECONDS).work(
                logging_level="WARNING", with_scheduler=False
            )
        except StopRequested:
            return
        except RedisError as error:
            log.warning("Redis is away (%s); the worker starts again", type(error).__name__)
        delivery.stopping.wait(_START_AGAIN)


def main(argv: list[str] | None = None) -> int:
    arguments: list[Any] = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1 or arguments[0] not in job_queue.QUEUES:
        sys.stderr.write(f"usage: python -m jobs.worker {'|'.join(job_queue.QUEUES)}\n")
        return 2
    with stopped_by_wrong_settings():
        app = create_app()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: delivery.stopping.set())  # until RQ installs its own
    with app.app_context():
        work(arguments[0], redis_client.connect(app.extensions["settings"].redis_url, timeout=None))
    return 0


if __name__ == "__main__":
    sys.exit(main())
