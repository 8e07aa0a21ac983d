"""The public confirmation page: opening the link shows it; its buttons verify, or take back what was verified."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import Blueprint, g, make_response, render_template
from werkzeug.wrappers import Response

from portal.services.emails import contents, shop_name
from portal.services.errors import NotPending, SendLimit
from portal.services.senders import revocations, verification
from portal.services.senders.verification import VerificationLink
from portal.views.errors import asked_too_often
from portal.web.access import access, refuse_cross_site
from portal.web.i18n import clock, gettext, speak
from portal.web.rate_limits import NEW_LINK, limited

blueprint = Blueprint("verify", __name__)

# What a link's state is in HTTP; gone is for links that were good once.
_STATUS = {"invalid": 404, "expired": 410, "superseded": 410, "cancelled": 410, "taken_back": 410, "suspended": 403}


@blueprint.get("/verify/<token>")
@access("public")
def get_link(token: str) -> Response:
    return show(verification.read_link(token), token)


@blueprint.post("/verify/<token>")
@access("public")
def post_link(token: str) -> Response:
    refuse_cross_site()
    return show(verification.confirm(token), token)


@blueprint.post("/verify/<token>/take-back")
@access("public")
def post_take_back(token: str) -> Response:
    """*I didn't ask for this*, before the address was confirmed or after."""
    refuse_cross_site()
    link = verification.take_back(token)
    return show(link, token, status=200 if link.state == "taken_back" else None)


@blueprint.post("/verify/<token>/resend")
@access("public")
@limited(NEW_LINK)
def post_resend(token: str) -> Response:
    refuse_cross_site()
    try:
        link = verification.resend_from_link(token)
    except SendLimit as limit:
        page = show(verification.read_link(token), token, next_at=limit.next_at, status=429)
        return asked_too_often(page, limit)
    except NotPending:
        return show(verification.read_link(token), token)
    return show(link, token, sent=True)


def show(
    link: VerificationLink,
    token: str,
    *,
    sent: bool = False,
    next_at: datetime | None = None,
    status: int | None = None,
) -> Response:
    shop = ""
    if link.tenant is not None:
        g.tenant = link.tenant  # its timezone
        speak(link.tenant.locale)
        shop = shop_name.shown(link.tenant, link.tenant.locale)
    limit = gettext("The next email is possible at %(time)s.", time=clock(next_at)) if next_at else None
    state = "sent" if sent else link.state
    hours, days = verification.LINK_LIFE // timedelta(hours=1), revocations.PEACE // timedelta(days=1)
    page = render_template(
        "verify/page.html", link=link, shop=shop, state=state, token=token, limit=limit, hours=hours, days=days,
        platform=contents.platform_name(),
    )  # fmt: skip
    return make_response(page, status or _STATUS.get(state, 200))
