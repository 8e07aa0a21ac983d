"""What a plan doesn't have: which one has it, and where to read on."""

from __future__ import annotations

from portal.services import entitlements
from portal.web.i18n import gettext


def title(feature: str) -> str:
    return {
        "brand_sender": gettext("Your own address"),
        "own_driver": gettext("Your own mail service"),
    }.get(feature, gettext("This feature"))


def sentence(feature: str) -> str:
    """Which plan has the feature."""
    plan = entitlements.first_with(feature)
    if plan is None:
        return gettext("“%(feature)s” is not part of any plan at the moment.", feature=title(feature))
    return gettext("“%(feature)s” is part of the %(plan)s plan.", feature=title(feature), plan=plan.name)
