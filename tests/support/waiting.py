"""Waiting for what another process does: looks again and again, and gives up with a sentence."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def eventually(look: Callable[[], Value], what: str, timeout: float = 180) -> Value:
    """The first truthy value of `look()`. Raises AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    never = threading.Event()
    while True:
        value = look()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        never.wait(0.02)
