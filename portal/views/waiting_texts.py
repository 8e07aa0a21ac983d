"""How many emails wait, in words: counting stops somewhere, so that a page costs the same whatever waits."""

from __future__ import annotations

from flask_babel import format_decimal

from portal.services.routing.daily_limit import MOST_COUNTED
from portal.web.i18n import gettext, ngettext


def sentence(count: int) -> str:
    """`count` as services give it: at most MOST_COUNTED and one more."""
    if count > MOST_COUNTED:
        return gettext("More than %(num)s emails are waiting.", num=format_decimal(MOST_COUNTED))
    return ngettext("%(num)d message waits.", "%(num)d messages wait.", count)


def sent_too(count: int) -> str:
    """That they go from another address with the next ones; nothing where none waits. `count` as above."""
    if not count:
        return ""
    if count > MOST_COUNTED:
        return gettext("All waiting emails will be sent from there, too.")
    return ngettext(
        "%(num)d waiting email will be sent from there, too.",
        "%(num)d waiting emails will be sent from there, too.",
        count,
    )
