"""The engine's line per outcome: which message, over which lane, what became of it; no addresses, no server's words."""

from __future__ import annotations

import logging
import time
from typing import Any

log = logging.getLogger("portal.delivery")

# What a person may want to look at; all else is everyday.
_UNUSUAL = ("ambiguous", "unconfirmed", "sender_changed")


# All that a record has, for whatever formatter an embedding process uses.
_USUAL = vars(logging.LogRecord(log.name, logging.INFO, "", 0, "", None, None))


class _Outcome(logging.LogRecord):
    """A record without a place in the code: finding that costs as much as all the rest, and this comes once a mail."""

    def __init__(self, level: int, event: str, fields: dict[str, Any]) -> None:
        self.__dict__ = {**_USUAL, "msg": event, "levelno": level, "created": time.time(), "fields": fields}
        self.levelname = "INFO" if level == logging.INFO else "WARNING"


def outcome(
    event: str,
    message: str,
    *,
    tenant: int,
    route: str,
    lane: int | None,
    attempt: int,
    reason: str | None = None,
    code: int | None = None,
) -> None:
    """Write what has been committed: `event` as in the message's log, `message` by its public id."""
    level = logging.WARNING if event in _UNUSUAL else logging.INFO
    if not log.isEnabledFor(level):
        return
    fields = {
        "message": message, "tenant": tenant, "route": route, "lane": lane, "attempt": attempt, "reason": reason,
        "code": code or None,
    }  # fmt: skip
    log.handle(_Outcome(level, event, fields))
