"""What a server's reply means for the message and its driver."""

from __future__ import annotations

from typing import NamedTuple


class Verdict(NamedTuple):
    action: str
    reason: str


REASONS: frozenset[str] = frozenset({"unknown"})


def classify(phase: str, code: int, text: str) -> Verdict:
    if 500 <= code < 600:
        return Verdict("fail_message" if phase in ("rcpt", "dot") else "pause_driver", "unknown")
    return Verdict("retry_message", "unknown")
