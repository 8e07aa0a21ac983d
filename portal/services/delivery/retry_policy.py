"""When a message is tried again."""

from __future__ import annotations

from portal.transport.base import Verdict

# Minutes until the next attempt, by how many there were; then every 8 hours, until the message expires.
RETRY_MINUTES = (1, 5, 15, 30, 60, 120, 240, 480)
# Before the second copy: a server that has just dropped a connection is likely to drop the next one too.
AMBIGUOUS_SECONDS = 10
# What a server names may be shorter than it means ("in 0 seconds"); asked again at once it would take us for a flood.
_SHORTEST_WAIT = 5


def seconds_until_next(retries: int, verdict: Verdict) -> int:
    """Return the wait after so many retries: what the server named, else the message's place in the schedule."""
    return named_by(verdict) or RETRY_MINUTES[min(retries, len(RETRY_MINUTES) - 1)] * 60


def named_by(verdict: Verdict) -> int | None:
    """Return the seconds after which the server wants to be asked again, if it names any that make sense."""
    seconds = verdict.retry_after
    return min(max(seconds, _SHORTEST_WAIT), RETRY_MINUTES[-1] * 60) if seconds is not None else None
