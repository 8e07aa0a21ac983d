"""The clock process: `python -m jobs.clock`. Ticks each second; safe to run twice."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable

from portal import create_app
from portal.config import stopped_by_wrong_settings
from portal.extensions import db
from portal.services.accounts import login_links
from portal.services.delivery import claims, driver_stopped
from portal.services.drivers import save_gate
from portal.services.operations import heartbeat, housekeeping, message_retention
from portal.services.routing import lanes

TICK_SECONDS = 1.0
_EACH_MINUTE = 60  # ticks
_NOW_AND_THEN = 10

log = logging.getLogger(__name__)


def tick(number: int) -> bool:
    """One round: dead lanes come back, due ones are woken, and now and then the slower work. False: not all worked."""
    work: list[Callable[[], object]] = [claims.reclaim_expired, save_gate.give_up_old, lanes.wake_due, heartbeat.tick]
    if number % _EACH_MINUTE == 0:
        work = [lanes.ensure, claims.expire, housekeeping.clean_up, *work]
    work.append(housekeeping.checkpoint)
    if number % _NOW_AND_THEN == 5:  # not together with the rest
        work += [message_retention.clean_up, login_links.send_forgotten, driver_stopped.tell_forgotten]
    done = True
    for step in work:
        try:
            step()
        except Exception as error:
            # Neither a database that restarts nor a defect of ours ends the clock: it goes on, and tries again.
            log.error("%s: %s", step.__name__, type(error).__name__)
            done = False
        finally:
            db.session.remove()
    return done


def main() -> int:
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    with stopped_by_wrong_settings():
        app = create_app()
    number = 0
    with app.app_context():
        while not stop.is_set():
            if tick(number) or number % _EACH_MINUTE:
                number += 1
            stop.wait(TICK_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
