"""A drain's place in its process: how it gets on, for whoever shares the places out, and what all of them share."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum, auto

from portal.services.delivery.connections import Connections

SLOW_AFTER = 2.0  # seconds that one command or reply may take
_SMALL = 256 * 1024  # octets; mails below are not counted
# Octets of text and files, before they are encoded, that mails on their way hold in the memory of a process: for each
# pot. A mail in the making takes some four times its size, so they are made one at a time.
_MOST = 32 * 1024 * 1024


class NoRoom(Exception):
    """Too much is on its way in this process: the mail has to wait for some of it to arrive."""


class Pot(Enum):
    """Whose large mail shares one limit, so that a slow server keeps back large mail of its kind only."""

    PLATFORM = auto()
    QUICK = auto()
    DOUBTFUL = auto()  # nobody knows how quick


class Octets:
    """Large mails on their way in a process, counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Counter[Pot] = Counter()
        self._making = threading.Lock()

    def making(self, size: int) -> AbstractContextManager[object]:
        """Within this, a mail of so many octets is read and made; of large ones one at a time."""
        return self._making if size >= _SMALL else nullcontext()

    def held(self, pot: Pot, size: int) -> AbstractContextManager[object]:
        """Count `size` octets until the block ends. Raises NoRoom; never for the only one in its pot."""
        return nullcontext() if size < _SMALL else self._hold(pot, size)

    @contextmanager
    def _hold(self, pot: Pot, size: int) -> Iterator[None]:
        with self._lock:
            if self._held[pot] and self._held[pot] + size > _MOST:
                raise NoRoom
            self._held[pot] += size
        try:
            yield
        finally:
            with self._lock:
                self._held[pot] -= size


class Shared:
    """What the drains of a process share; it keeps at most `connections` open that none of them uses."""

    def __init__(self, connections: int = 0) -> None:
        self.connections = Connections(connections)
        self.octets = Octets()


class Place:
    """One drain's; written by it, read by others, who may also take it away.

    `known` is how the lane's last drain in this process found its server: True quick, False slow, None not at all.
    """

    def __init__(self, shared: Shared | None = None, known: bool | None = None) -> None:
        self.shared = shared or Shared()
        self.was_cut = False
        self._known = known
        self._was_slow = False
        self._since: float | None = None  # when the wait for the server began
        self._lock = threading.Lock()
        self._abort: Callable[[], None] | None = None  # ends the wait for the server

    def uses(self, abort: Callable[[], None] | None) -> None:
        """How the wait for the server is ended from outside; None: there is no server."""
        with self._lock:
            self._abort = abort
            if self.was_cut and abort is not None:
                abort()

    def waits(self) -> None:
        """The next command is on its way."""
        now, since = time.monotonic(), self._since
        if since is not None and now - since > SLOW_AFTER:
            self._was_slow = True
        self._since = now

    def moved(self) -> None:
        """The server has answered, or nothing is asked of it any more."""
        self._was_slow = self._was_slow or self.is_slow
        self._since = None

    def accepted(self) -> None:
        """The server has taken a mail."""
        self.moved()
        self._known = True

    def hands_over(self) -> bool:
        """Whether the mail may be handed over, after which the wait isn't ended from outside any more."""
        with self._lock:
            self._abort = None
            return not self.was_cut

    def cut(self) -> bool:
        """End the wait for the server, unless it may have the mail by now. Returns whether that was done."""
        with self._lock:
            if self._abort is None or self.was_cut:
                return False
            self.was_cut = self._was_slow = True
            self._abort()
            return True

    @property
    def is_slow(self) -> bool:
        """Whether the server takes its time at this moment."""
        return self.slow_for > 0

    @property
    def slow_for(self) -> float:
        """Seconds for which it has been slow by now."""
        since = self._since
        return max(time.monotonic() - since - SLOW_AFTER, 0.0) if since is not None else 0.0

    @property
    def is_doubtful(self) -> bool:
        """Whether it may hold its place for long: its server is slow, or was so the last time."""
        return self.is_slow or self._known is False

    @property
    def found(self) -> bool | None:
        """How this drain found its server, as `known` for the lane's next one."""
        return False if self._was_slow else self._known
