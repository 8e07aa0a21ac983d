"""The places of a worker process: how many things it does at a time, and who may hold them while others wait.

One thread for each place in use. They spend their time waiting for servers, so what bounds them is not the processor
but memory, connections and the harm that a slow server could do: docs/decisions/0020.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from portal.job_queue import Work
from portal.services.delivery.place import Place, Shared
from portal.services.operations.heartbeat import InUse

_MOST_WAITING = 10_000  # the clock wakes the rest again

log = logging.getLogger(__name__)


class Standing(Enum):
    """How a task counts where places are shared out."""

    APART = auto()  # always gets a place; few of its kind
    ORDINARY = auto()  # doubtful while its server is slow, and the next time after that
    DOUBTFUL = auto()  # all doubtful ones together get half of the places


class Task(NamedTuple):
    """One job: what to do, and for which id."""

    work: Work
    number: int


class Places:
    """Runs what it is offered, each task in a thread of its own, as soon as there is a place for it.

    Whoever is slow when all places are taken and others wait may lose its place: those that became slow last, until
    slow ones hold half of the places. So a server that nobody knows needs no proof, and many that hang at once, from
    the first moment, keep the rest waiting for SLOW_AFTER.
    """

    def __init__(self, count: int, run: Callable[[Task, Place], None]) -> None:
        self.shared = Shared(count)
        self._count = count
        self._run = run
        self._closed = False
        self._changed = threading.Condition(threading.RLock())
        self._at_work: dict[Task, tuple[Standing, Place]] = {}
        self._waiting: dict[Task, tuple[Standing, float]] = {}  # since when, the first first
        self._known: dict[Task, bool] = {}  # how the last run of each found its server

    def offer(self, task: Task, standing: Standing) -> None:
        """Run the task, now or as soon as it may have a place. While it is at work it is run once more afterwards."""
        with self._changed:
            if len(self._waiting) < _MOST_WAITING and not self._closed:
                self._waiting.setdefault(task, (standing, time.monotonic()))
            self.look_again()

    def wait_for_room(self, seconds: float) -> None:
        """Wait until a place is free, but no longer than this."""
        with self._changed:
            self._changed.wait_for(lambda: self._room()[0] > 0, seconds)

    def wait_until_idle(self) -> None:
        """Wait until nothing is at work."""
        with self._changed:
            self._changed.wait_for(lambda: not self._at_work)

    def begin_nothing_more(self) -> list[Task]:
        """Return what waits: it is another worker's now, as is whatever is offered from now on."""
        with self._changed:
            self._closed = True
            left = [*self._waiting]
            self._waiting.clear()
            return left

    def in_use(self) -> InUse:
        with self._changed:
            now = time.monotonic()
            longest = now - min((since for _, since in self._waiting.values()), default=now)
            doubtful = sum(_is_doubtful(*one) for one in self._at_work.values())
            return InUse(len(self._at_work), doubtful, len(self._waiting), longest)

    def look_again(self) -> None:
        """Begin whatever may have a place by now; each second, or when something has changed."""
        with self._changed:
            self._begin()
            if self._waiting and self._room()[0] <= 0 and self._cut():
                self._begin()

    def _begin(self) -> None:
        free, for_doubtful = self._room()
        for task, (standing, _) in [*self._waiting.items()]:
            place = Place(self.shared, self._known.get(task))
            doubtful = _is_doubtful(standing, place)
            may_begin = standing == Standing.APART or (free > 0 and (for_doubtful > 0 or not doubtful))
            if task in self._at_work or not may_begin:
                continue
            if standing != Standing.APART:
                free, for_doubtful = free - 1, for_doubtful - doubtful
            del self._waiting[task]
            self._at_work[task] = standing, place
            try:
                threading.Thread(target=self._work, args=(task, place), daemon=True).start()
            except RuntimeError:  # no more threads or memory for now: whoever is at work ends before long
                del self._at_work[task]
                log.exception("a job has to be woken again")
                break

    def _cut(self) -> bool:
        """Take the places of the latest slow ones, those above half. Returns whether any has lost its place."""
        slow = [place for standing, place in self._counted() if standing == Standing.ORDINARY and place.is_slow]
        slow.sort(key=lambda place: place.slow_for, reverse=True)
        done = [place.cut() for place in slow[self._half :]]
        return any(done)

    def _room(self) -> tuple[int, int]:
        """How many more tasks may begin, and how many doubtful ones."""
        counted = self._counted()
        apart = sum(standing == Standing.APART for standing, _ in self._at_work.values())
        doubtful = sum(_is_doubtful(*one) for one in counted)
        return max(self._count - apart, self._half) - len(counted), self._half - doubtful

    def _counted(self) -> list[tuple[Standing, Place]]:
        """Who holds a place that others could have; one that was cut is about to leave, within its time to connect."""
        return [one for one in self._at_work.values() if one[0] != Standing.APART and not one[1].was_cut]

    @property
    def _half(self) -> int:
        return max(1, self._count // 2)

    def _work(self, task: Task, place: Place) -> None:
        try:
            self._run(task, place)
        finally:
            place.moved()
            with self._changed:
                del self._at_work[task]
                if place.found is not None:
                    self._known[task] = place.found
                self.look_again()
                self._changed.notify_all()


def _is_doubtful(standing: Standing, place: Place) -> bool:
    return standing == Standing.DOUBTFUL or (standing == Standing.ORDINARY and place.is_doubtful)
