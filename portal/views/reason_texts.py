"""Reasons in the reader's language."""

from __future__ import annotations

from portal import reasons
from portal.web.i18n import gettext


def phrase(reason: str | None) -> str:
    """Why, as the rest of a sentence; an unknown reason says nothing rather than something wrong."""
    return reasons.phrase(reason, gettext)


def sentence(reason: str | None) -> str:
    """Why, as a sentence of its own."""
    return reasons.sentence(reason, gettext)


def fix(reason: str | None) -> str:
    """What to do about it; empty for an unknown reason."""
    return reasons.fix(reason, gettext)
