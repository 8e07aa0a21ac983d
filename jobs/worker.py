"""A worker process: `python -m jobs.worker interactive|mail`.

One queue each: only then does RQ dequeue reliably (LMOVE).
"""

from __future__ import annotations

import logging
import signal
import sys
from types import FrameType
from typing import Any

from redis import Redis, RedisError
from rq import Queue, SimpleWorker, worker_registration
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import current_timestamp, now

from jobs.known_job import KnownJob, KnownQueue
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
    """Works without forking: no orphaned child goes on after a kill, no socket is inherited.

    Redis isn't trusted: it says which of our jobs to do, for which id, and commands nothing.
    """

    job_class = KnownJob
    queue_class = KnownQueue
    max_connection_wait_time = _LONGEST_RECONNECT
    _failure = ""

    def subscribe(self) -> None:
        """Listen to no commands: RQ's channel lets anybody in Redis end the worker."""

    def check_for_suspension(self, burst: bool) -> None:
        """Don't ask whether `rq suspend` was called: one key would stop all mail."""

    def run_maintenance_tasks(self) -> None:
        """Forget what dead workers and failed jobs left.

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

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        super().prepare_job_execution(job, remove_from_intermediate_queue)
        self.connection.expire(job.key, job_queue.KEPT_SECONDS)  # RQ would keep it for ever if we are killed now

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
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
            Worker([name], connection=connection, serializer=JSONSerializer, worker_ttl=_WORKER_SECONDS).work(
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
