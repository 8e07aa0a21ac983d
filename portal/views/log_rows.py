"""The log's closed rows. What they have in common is rendered once for each language; each puts its own words in.

They are the bulk of a page that every open log asks for again with each new entry.
"""

from __future__ import annotations

import re
from functools import lru_cache
from gettext import NullTranslations

from flask import render_template
from markupsafe import Markup, escape

from portal.i18n import catalog, gettext, moment
from portal.models import LogEntry
from portal.services.mail_log import Listed
from portal.views import log_texts

_SLOTS = ("id", "url", "subject", "to", "sender", "state", "time")
# Private characters, which no text of ours holds.
_OPEN, _CLOSE = "\ue000", "\ue001"


class ClosedRows:
    """Makes the rows of one answer; `opening` is the address of a row's link, but for the message's id."""

    def __init__(self, opening: str) -> None:
        self._texts = catalog()
        self._opening = escape(opening)

    def __call__(self, message: Listed, newest_entry: LogEntry | None) -> Markup:
        pattern = _pattern(self._texts, message.kind, log_texts.TONES.get(message.state, "off"))
        values = {
            "id": message.public_id,  # letters and digits, so nothing in it needs escaping
            "url": f"{self._opening}{message.public_id}",
            "subject": escape(message.subject),
            "to": escape(message.to_address),
            "sender": escape(message.sender or gettext("Sender in force when it is sent")),
            "state": escape(log_texts.state(message, newest_entry)),
            "time": moment(message.accepted_at, focusable=False),
        }
        return Markup(pattern % values)


@lru_cache(maxsize=512)
def _pattern(texts: NullTranslations, kind: str, tone: str) -> str:
    slots = {name: Markup(_OPEN + name + _CLOSE) for name in _SLOTS}
    row = render_template("logs/_closed.html", kind=log_texts.KINDS.get(kind, kind), tone=tone, **slots)
    return re.sub(f"{_OPEN}(\\w+){_CLOSE}", r"%(\1)s", row.replace("%", "%%"))
