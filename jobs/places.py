"""The places of a worker process: how many things it does at a time, and who may hold them while others wait.

One thread for each place in use. They spend their time waiting for servers, so what bounds them is not the processor
but memory, connections and the harm that a slow server could do: docs/decisions/0020.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from portal.job_queue import Work
from portal.services.delivery.place import Place, Shared
from portal.services.operations.heartbeat import InUse

_MOST_WAITING = 10_000  # the clock wakes the rest again


class Standing(Enum):
    """How a task counts where places are shared out. Doubtful ones get half of them, all together."""

    APART = auto()  # always gets a place; few of its kind
    SURE = auto()
    UNPROVED = auto()  # doubtful until its server has taken a mail, and whenever it is slow
    DOUBTFUL = auto()


class Task(NamedTuple):
    """One job: what to do, and for which id."""

    work: Work
    number: int


class Places:
    """Runs what it is offered, each task in a thread of its own, as soon as there is a place for it."""

    def __init__(self, count: int, run: Callable[[Task, Place], None]) -> None:
        self.shared = Shared(count)
        self._count = count
        self._run = run
        self._closed = False
        self._changed = threading.Condition(threading.RLock())
        self._at_work: dict[Task, tuple[Standing, Place]] = {}
        self._waiting: dict[Task, tuple[Standing, float]] = {}  # since when, the first first
        self._proved: set[Task] = set()  # whose last run went well

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

    def begin_nothing_more(self) -> None:
        """Leave what waits, and what is offered from now on, to whoever is woken next."""
        with self._changed:
            self._closed = True
            self._waiting.clear()

    def in_use(self) -> InUse:
        with self._changed:
            doubtful = sum(_is_doubtful(*one) for one in self._at_work.values())
            now = time.monotonic()
            longest = now - min((since for _, since in self._waiting.values()), default=now)
            return InUse(len(self._at_work), doubtful, len(self._waiting), longest)

    def look_again(self) -> None:
        """Begin whatever may have a place by now."""
        with self._changed:
            free, for_doubtful = self._room()
            for task, (standing, _) in [*self._waiting.items()]:
                place = Place(self.shared, proved=task in self._proved, on_proved=self.look_again)
                doubtful = _is_doubtful(standing, place)
                may_begin = standing == Standing.APART or (free > 0 and (for_doubtful > 0 or not doubtful))
                if task in self._at_work or not may_begin:
                    continue
                if standing != Standing.APART:
                    free, for_doubtful = free - 1, for_doubtful - doubtful
                del self._waiting[task]
                self._at_work[task] = standing, place
                threading.Thread(target=self._work, args=(task, place), daemon=True).start()

    def _room(self) -> tuple[int, int]:
        """How many more tasks may begin, and how many doubtful ones."""
        half = max(1, self._count // 2)
        apart = sum(standing == Standing.APART for standing, _ in self._at_work.values())
        doubtful = sum(_is_doubtful(*one) for one in self._at_work.values())
        return max(self._count - apart, half) - (len(self._at_work) - apart), half - doubtful

    def _work(self, task: Task, place: Place) -> None:
        try:
            self._run(task, place)
        finally:
            place.moved()
            with self._changed:
                del self._at_work[task]
                (self._proved.add if place.proved and not place.was_slow else self._proved.discard)(task)
                self.look_again()
                self._changed.notify_all()


def _is_doubtful(standing: Standing, place: Place) -> bool:
    return standing == Standing.DOUBTFUL or (standing == Standing.UNPROVED and place.is_doubtful)
