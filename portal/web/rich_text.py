"""Sentences of the catalogue with a little emphasis: **what to click**, *a foreign word*, and addresses as links."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_PARTS = re.compile(r"\*\*(?P<strong>[^*]+)\*\*|\*(?P<word>[^*]+)\*|(?P<url>https://\w[\w./?=&#-]*\w/?)")


def rich(text: str) -> Markup:
    """HTML of a sentence that we wrote; links open beside the portal, whose frame they must not replace."""
    parts: list[Markup] = []
    end = 0
    for found in _PARTS.finditer(text):
        parts.append(escape(text[end : found.start()]))
        parts.append(_part(found))
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def _part(found: re.Match[str]) -> Markup:
    if found["strong"]:
        return Markup("<strong>{}</strong>").format(found["strong"].replace(" > ", " › "))
    if found["word"]:
        return Markup("<em>{}</em>").format(found["word"])
    shown = found["url"].removeprefix("https://").rstrip("/")
    return Markup('<a href="{}" target="_blank" rel="noopener">{}</a>').format(found["url"], shown)
