"""What people may do, in words; and what became of a change among them."""

from __future__ import annotations

from portal.views import forms
from portal.views.sender.page import Notice
from portal.web.i18n import gettext


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


def notice(key: str | None) -> Notice | None:
    """The banner after an action, whose key travels in the URL."""
    if key in ("last_admin", "unknown"):
        return Notice("error", invalid(key))
    text = {
        "invited": gettext("The invitation is on its way. What became of it is in the email logs."),
        "role": gettext("Saved. It holds from now on."),
        "signed_out": gettext("Done. Whoever was signed in as this person has to come in anew."),
        "removed": gettext("Removed. What this person did stays in the activity list."),
    }.get(key or "")
    return Notice("success", text) if text else None


def invalid(reason: str) -> str:
    """Why a change among the people isn't possible, and what to do instead."""
    return {
        "already_there": gettext("This person is in the list already. Change there what they may do."),
        "unknown": gettext("Choose what the person may do."),
        "last_admin": gettext(
            "Nothing was changed: your shop would have no administrator any more. "
            "Make somebody else administrator first."
        ),
    }.get(reason) or forms.sentence(reason)
