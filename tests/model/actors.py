"""What is at work in a schedule: greenlets that stop where the world lets others go on, or where they are killed."""

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from greenlet import greenlet

if TYPE_CHECKING:
    from tests.model.world import World


class Killed(BaseException):
    """What ends a process in the midst of its work: nothing in the engine catches it, and it has no database left."""


class Process:
    """One process: when it dies, everything in it does. `places`: how many drains it works on at a time."""

    def __init__(self, name: str, places: int = 1) -> None:
        self.name = name
        self.places = places
        self.dead = False


class Actor(greenlet):
    """A drain, a tick of a clock or a request."""

    def __init__(self, world: "World", process: Process, name: str, work: Callable[[], object]) -> None:
        super().__init__(self._live)
        self.world = world
        self.process = process
        self.name = name
        self.work = work
        self.ready_at = 0  # ms
        self.lane_id: int | None = None  # of a drain
        self.token: str | None = None  # of its lease, once it has one

    def _live(self) -> None:
        try:
            with self.world.laboratory.app.app_context():
                self.work()
        except Killed:
            pass
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.world.break_off(f"{self.name} raised {type(error).__name__} {error} ({last.name}:{last.lineno})")
