"""How work grows with the text that it reads: processor time of twice as much over once as much, best of five."""

import time
from collections.abc import Callable

MOST = 3  # what takes twice as long is proportional, four times quadratic


def growth(read: Callable[[str], object], piece: str, characters: int = 1_000_000) -> float:
    """The ratio for a text of `characters`, made of pieces, and one of half of them. What takes no time grows by 1."""
    long_text, short_text = (piece * (size // len(piece)) for size in (characters, characters // 2))
    long = short = float("inf")
    for _ in range(5):
        long, short = min(long, _seconds(read, long_text)), min(short, _seconds(read, short_text))
        if long <= max(MOST * short, 0.005):
            break  # the best of more tries can't say otherwise
    return long / short if long > 0.005 else 1


def _seconds(read: Callable[[str], object], text: str) -> float:
    began = time.process_time()
    read(text)
    return time.process_time() - began
