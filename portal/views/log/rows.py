"""The log's closed rows and its filters. What is the same for everybody is rendered once for each language.

The rows are the bulk of a page that every open log asks for again with each new entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from gettext import NullTranslations

from flask import render_template
from markupsafe import Markup, escape

from portal.models import LogEntry
from portal.models.route import Route
from portal.services.outbox.message_log import Listed
from portal.services.routing.lanes import Wait
from portal.views.log import texts as log_texts
from portal.web.i18n import catalog, gettext, moments

_SLOTS = ("id", "url", "subject", "to", "sender", "state", "time")
# Private characters, which no text of ours holds.
_OPEN, _CLOSE = "\ue000", "\ue001"


class ClosedRows:
    """Makes the rows of one answer; `opening` is the address of a row's link, but for the message's id.

    `waits`: the routes that have to wait.
    """

    def __init__(self, opening: str, waits: Mapping[Route, Wait]) -> None:
        self._waits = waits
        self._texts = catalog()
        self._opening = escape(opening)
        self._nobody = gettext("Sender in force when it is sent")
        self._moment = moments(focusable=False)
        self._states: dict[tuple[str, str | None, int], Markup] = {}

    def __call__(self, messages: Iterable[Listed], last: Mapping[int, LogEntry]) -> Markup:
        """`last`: the newest entry of those that wait for another try, by message id."""
        return Markup("".join([self._row(message, last.get(message.id)) for message in messages]))

    def _row(self, message: Listed, newest_entry: LogEntry | None) -> str:
        # An id is letters and digits, so nothing in it needs escaping.
        return _pattern(self._texts, message.kind, log_texts.TONES.get(message.state, "off")) % {
            "id": message.public_id,
            "url": f"{self._opening}{message.public_id}",
            "subject": escape(message.subject),
            "to": escape(message.to_address),
            "sender": escape(message.sender or self._nobody),
            "state": self._state(message, newest_entry),
            "time": self._moment(message.accepted_at),
        }

    def _state(self, message: Listed, newest_entry: LogEntry | None) -> Markup:
        wait = self._waits.get(message.route) if self._waits else None
        if message.state == "deferred" or wait:  # until a time of its own, or its route's
            return escape(log_texts.state(message, newest_entry, wait))
        shown = message.state, message.reason, message.ambiguous
        if shown not in self._states:
            self._states[shown] = escape(log_texts.state(message))
        return self._states[shown]


@lru_cache(maxsize=512)
def _pattern(texts: NullTranslations, kind: str, tone: str) -> str:
    slots = {name: Markup(_OPEN + name + _CLOSE) for name in _SLOTS}
    row = render_template("log/_closed.html", kind=log_texts.KINDS.get(kind, kind), tone=tone, **slots)
    return re.sub(f"{_OPEN}(\\w+){_CLOSE}", r"%(\1)s", row.replace("%", "%%"))


def filter_list(name: str, chosen: str | None) -> Markup:
    """The list of a filter's values; `chosen` is one of them, or None for all."""
    return _filter_list(catalog(), name, chosen)


@lru_cache(maxsize=128)
def _filter_list(_texts: NullTranslations, name: str, chosen: str | None) -> Markup:
    return Markup(render_template("log/_filter.html", name=name, chosen=chosen, texts=log_texts))
