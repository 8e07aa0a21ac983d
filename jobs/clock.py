"""The clock process: `python -m jobs.clock`. Runs one table of periodic work, each second; safe to run twice."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from portal import create_app
from portal.config import stopped_by_wrong_settings
from portal.db.away import Outage, is_away
from portal.db.transaction import end_session
from portal.services.accounts import login_links
from portal.services.delivery import claims, driver_stopped
from portal.services.drivers import probe
from portal.services.operations import heartbeat, housekeeping, message_retention, time_watch
from portal.services.routing import lanes, reroute

TICK_SECONDS = 1.0
_AGAIN = 5.0  # seconds after which a step that failed is tried again, if its own period isn't shorter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """One piece of periodic work: a name for the log, its period and its first time in seconds, and what it does."""

    name: str
    period: float
    run: Callable[[], object]
    first: float = 0


PERIODIC = (
    Step("follow the database's time", 1, time_watch.follow),  # first: the others go by it
    Step("bring the relay's lanes in line", 60, lanes.ensure),
    Step("give up what waited too long", 10, claims.expire),
    Step("delete what has served its purpose", 60, housekeeping.clean_up),
    Step("take back mail of dead lanes", 1, claims.reclaim_expired),
    Step("end driver tests without a worker", 1, probe.give_up_old),
    Step("have waiting mail follow its senders", 1, reroute.move_some),
    Step("wake lanes with due mail", 1, lanes.wake_due),
    Step("say that the clock is alive", 1, heartbeat.tick),
    Step("empty SQLite's write-ahead log", 1, housekeeping.checkpoint),
    # These take longer, so they don't begin together with those of each minute.
    Step("delete old mail", 10, message_retention.clean_up, first=5),
    Step("send forgotten sign-in links", 10, login_links.send_forgotten, first=5),
    Step("tell of stopped drivers", 10, driver_stopped.tell_forgotten, first=5),
)


class Clock:
    """Runs each step when it is due. A step that raises anything is counted, and the others go on.

    It is logged, too; only that the database is away is said once, and not for each step.
    """

    def __init__(self, steps: Sequence[Step] = PERIODIC, now: float = 0) -> None:
        self._due = {step: now + step.first for step in steps}
        self._outage = Outage()

    def tick(self, now: float) -> None:
        """One round; `now` is in seconds of a clock that never goes back."""
        due = [step for step, at in self._due.items() if now >= at]
        failed = [step for step in due if not self._done(step)]
        for step in due:
            self._due[step] = now + (min(step.period, _AGAIN) if step in failed else step.period)
        if not failed:
            self._outage.worked()

    def _done(self, step: Step) -> bool:
        try:
            step.run()
        except Exception as error:
            heartbeat.count_clock_failure()
            if is_away(error):
                self._outage.met(error)
            else:
                # Not the exception's words: they may quote a mail. Its type and places are in the formatted traceback.
                of_the_database = isinstance(error, SQLAlchemyError)  # not migrated yet: no traceback explains it
                log.error("the clock could not %s: %s", step.name, type(error).__name__, exc_info=not of_the_database)
            return False
        finally:
            end_session()
        return True


def main() -> int:
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    with stopped_by_wrong_settings():
        app = create_app()
    clock = Clock(now=time.monotonic())
    with app.app_context():
        while not stop.is_set():
            clock.tick(time.monotonic())
            stop.wait(TICK_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
