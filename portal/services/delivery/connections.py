"""Connections that outlive their drain: the next drain of the same lane needs no TLS and no sign-in."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from portal.transport.base import Transport
from portal.transport.smtp.account import Account


class _Kept(NamedTuple):
    account: Account
    transport: Transport
    until: float  # of the monotonic clock


class Connections:
    """A process's open connections that no drain uses, by lane; at most `most`.

    None are kept beside another worker: it may take the lane next, and open a connection more than a server allows.
    """

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self._alone = True
        self._lock = threading.Lock()
        self._kept: dict[int, _Kept] = {}  # the one kept longest comes first

    def take(self, lane_id: int, account: Account) -> Transport | None:
        """The lane's connection, if there is one by these very settings that can take another mail."""
        with self._lock:
            kept = self._kept.pop(lane_id, None)
        if kept is None:
            return None
        if kept.account == account and kept.transport.usable and time.monotonic() < kept.until:
            return kept.transport
        _close(kept)
        return None

    def keep(self, lane_id: int, account: Account, transport: Transport, seconds: float) -> None:
        """Leave the connection to the lane's next drain for so long, and close it then."""
        kept = _Kept(account, transport, time.monotonic() + seconds)
        with self._lock:
            too_many = [self._kept.pop(lane_id, None)]
            if self._alone and transport.usable and seconds > 0:
                self._kept[lane_id] = kept
            else:
                too_many.append(kept)
            while len(self._kept) > self._most:
                too_many.append(self._kept.pop(next(iter(self._kept))))
        _close(*too_many)

    def close_old(self, alone: bool = True) -> None:
        """Close those whose time is up; all of them where other workers are at work, too."""
        now = time.monotonic()
        with self._lock:
            self._alone = alone
            ended = [lane_id for lane_id, kept in self._kept.items() if now >= kept.until or not alone]
            old = [self._kept.pop(lane_id) for lane_id in ended]
        _close(*old)

    def close_all(self) -> None:
        """Close all of them, within some seconds."""
        with self._lock:
            left = [*self._kept.values()]
            self._kept.clear()
        for thread in _close(*left):
            thread.join()


def _close(*ended: _Kept | None) -> list[threading.Thread]:
    """Say farewell without keeping anybody waiting for the server's own; each takes QUIT_SECONDS at most."""
    threads = [threading.Thread(target=kept.transport.close, daemon=True) for kept in ended if kept is not None]
    for thread in threads:
        thread.start()
    return threads
