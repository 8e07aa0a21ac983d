"""Several things in the same moment."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TypeVar

from flask import Flask

Result = TypeVar("Result")


def at_once(*work: Callable[[], Result], app: Flask | None = None) -> list[Result]:
    """Begin each in a thread of its own, all at the same moment; within a context of the application, if it is given.

    Returns what they return, in order. Raises what one of them raises, or TimeoutError when one never ends.
    """
    start = threading.Barrier(len(work))

    def begin(part: Callable[[], Result]) -> Result:
        with app.app_context() if app else nullcontext():
            start.wait(120)
            return part()

    threads = ThreadPoolExecutor(len(work))
    try:
        return list(threads.map(begin, work, timeout=300))
    finally:
        threads.shutdown(wait=False)
