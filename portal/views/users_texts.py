"""What people may do, in words."""

from __future__ import annotations

from portal.i18n import gettext


def role(key: str) -> str:
    return {
        "admin": gettext("Administrator"),
        "viewer": gettext("Reader"),
        "support": gettext("Support"),
    }.get(key, key)


def may(key: str) -> str:
    return {
        "admin": gettext("May change everything here"),
        "viewer": gettext("May look at everything, but change nothing"),
    }.get(key, "")
