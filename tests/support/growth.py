"""How work grows with the text that it reads: processor time of twice as much over once as much, best of five."""

import time
from collections.abc import Callable


def growth(read: Callable[[str], object], piece: str, characters: int = 1_000_000) -> float:
    """The ratio for a text of `characters`, made of pieces, and one of half of them. What takes no time grows by 1."""
    long, short = (_seconds(read, piece * (size // len(piece))) for size in (characters, characters // 2))
    return long / short if long > 0.002 else 1


def _seconds(read: Callable[[str], object], text: str) -> float:
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        read(text)
        best = min(best, time.process_time() - began)
    return best
