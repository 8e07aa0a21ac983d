"""A worker process: `python -m jobs.worker interactive|mail`.

One queue each: only then does RQ dequeue reliably (LMOVE).
"""

from __future__ import annotations

import sys
from typing import Any

from rq import Queue, SimpleWorker
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer

from portal import create_app, queue
from portal.config import stopped_by_wrong_settings
from portal.extensions import db

_LONGEST_RECONNECT = 5  # seconds; RQ's own grows to 60


class Worker(SimpleWorker):
    """Works without forking: no orphaned child goes on after a kill, no socket is inherited."""

    max_connection_wait_time = _LONGEST_RECONNECT

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        try:
            return super().perform_job(job, queue, execution)
        finally:
            db.session.remove()


def main(argv: list[str] | None = None) -> int:
    arguments: list[Any] = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1 or arguments[0] not in queue.QUEUES:
        sys.stderr.write(f"usage: python -m jobs.worker {'|'.join(queue.QUEUES)}\n")
        return 2
    with stopped_by_wrong_settings():
        app = create_app()
    with app.app_context():
        connection = queue.connect(app.extensions["settings"].redis_url, timeout=None)
        work = Queue(arguments[0], connection=connection, serializer=JSONSerializer)
        worker = Worker([work], connection=connection, serializer=JSONSerializer)
        worker.work(logging_level="WARNING", with_scheduler=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
