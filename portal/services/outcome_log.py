"""The engine's line per outcome: which message, over which lane, what became of it; no addresses, no server's words."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from portal.models.message import ENDED
from portal.services.message_state import Change

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


def write(changes: Sequence[Change]) -> None:
    """Write what a drain came to, and every end; what waits because a person wants it to is in the tables."""
    for change in changes:
        if change.event and (change.lane is not None or change.state in ENDED):
            _write(change, change.event)


def _write(change: Change, event: str) -> None:
    level = logging.WARNING if event in _UNUSUAL else logging.INFO
    if not log.isEnabledFor(level):
        return
    fields = {
        "message": change.public_id, "tenant": change.tenant_id, "route": change.route, "lane": change.lane,
        "attempt": change.attempt, "reason": change.reason, "code": change.code or None,
    }  # fmt: skip
    log.handle(_Outcome(level, event, fields))
