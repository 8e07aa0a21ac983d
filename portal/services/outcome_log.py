"""The engine's line per outcome: which message, over which lane, what became of it; no addresses, no server's words."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from portal.models.message import ENDED
from portal.reasons import Reason
from portal.services.message_state import Change

log = logging.getLogger("portal.delivery")

# What a person may want to look at; all else is everyday.
_UNUSUAL = ("ambiguous", "unconfirmed", "sender_changed")


def write(changes: Sequence[Change]) -> None:
    """Write what a drain came to, and every end; what waits because a person wants it to is in the tables."""
    for change in changes:
        if change.event and (change.lane is not None or change.state in ENDED):
            fields = {
                "message": change.public_id, "tenant": change.tenant_id, "route": change.route, "lane": change.lane,
                "attempt": change.attempt, "reason": change.reason, "code": change.code or None,
            }  # fmt: skip
            unusual = change.event in _UNUSUAL or change.reason == Reason.SET_ASIDE
            level = logging.WARNING if unusual else logging.INFO
            log.log(level, change.event, extra={"fields": fields})
