"""What the engine takes for time and for Redis."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from redis import ConnectionError as RedisIsAway

from portal.models.base import keep_time_by

_BEGIN = datetime.fromisoformat("2026-03-02T09:00")  # UTC, as SQLite keeps it
_FORMAT = "%Y-%m-%d %H:%M:%f"


class Time:
    """Milliseconds that pass when the world says so; the database, the processes and their sleep go by it."""

    def __init__(self) -> None:
        self.ms = 0

    def monotonic(self) -> float:
        return 1000 + self.ms / 1000

    def utcnow(self) -> datetime:
        return (_BEGIN + timedelta(milliseconds=self.ms)).replace(tzinfo=UTC)

    def sleep(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)

    def text(self, seconds: float = 0) -> str:
        """The moment in so many seconds as the database writes it, without the last three digits."""
        return (_BEGIN + timedelta(milliseconds=self.ms, seconds=seconds)).isoformat(" ", "milliseconds")

    def until(self, stored: str | None) -> int:
        """The `ms` of a moment that the database has stored."""
        assert stored is not None
        return round((datetime.fromisoformat(stored) - _BEGIN) / timedelta(milliseconds=1))

    def strftime(self, form: str, moment: str, offset: str = "0 seconds") -> str:
        """In place of SQLite's function, as far as portal.models.base calls it."""
        assert (form, moment) == (_FORMAT, "now"), form
        return self.text(float(offset.removesuffix(" seconds")))

    @contextmanager
    def in_force(self) -> Iterator[None]:
        with patch.object(time, "monotonic", self.monotonic), patch.object(time, "sleep", self.sleep):
            keep_time_by(self.utcnow)
            try:
                yield
            finally:
                keep_time_by(None)


class ForgetfulRedis:
    """As much of Redis as a wake needs. It may be away, and forget everything."""

    def __init__(self, clock: Time) -> None:
        self._time = clock
        self._flags: dict[str, int] = {}
        self.queue: list[int] = []  # lanes to be drained
        self.away = False

    def put(self, lane_id: int) -> None:
        self._answer()
        self.queue.append(lane_id)

    def forget(self) -> None:
        self._flags.clear()
        self.queue.clear()

    def set(self, key: str, value: object, nx: bool = False, ex: int = 0) -> bool:
        self._answer()
        if nx and self.ttl(key) >= 0:
            return False
        self._flags[key] = self._time.ms + ex * 1000
        return True

    def ttl(self, key: str) -> int:
        self._answer()
        left = self._flags.get(key, 0) - self._time.ms
        return left // 1000 if left > 0 else -2

    def delete(self, *keys: str) -> None:
        self._answer()
        for key in keys:
            self._flags.pop(key, None)

    def _answer(self) -> None:
        if self.away:
            raise RedisIsAway

    def __getattr__(self, name: str) -> Any:
        """Figures for the metrics, which nobody reads here."""
        return lambda *_, **__: self

    def __enter__(self) -> "ForgetfulRedis":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The engine's own choices, such as which lane to wake, are the schedule's too."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
