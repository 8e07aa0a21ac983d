"""A connection of the drains' pool, in a test's hands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from portal.db import prepared


@contextmanager
def one_connection() -> Iterator[Any]:
    pool = prepared._pool()
    kept = pool.take()
    try:
        yield kept
    finally:
        pool.give_back(kept)
