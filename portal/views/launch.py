"""Arriving: the dashboard's launch, the hand-over to a tab of its own, and the bare address."""

from __future__ import annotations

import logging

from flask import Blueprint, g, make_response, render_template, request, url_for
from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Response

from portal.services.accounts import launches, users
from portal.services.errors import LaunchRefused
from portal.views.log import page as log_page
from portal.views.sender import page as sender
from portal.views.support.search import page as support_page
from portal.web import rate_limits
from portal.web import session as sessions
from portal.web.access import access
from portal.web.htmx import see_other
from portal.web.i18n import gettext
from portal.web.urls import home, local_path

blueprint = Blueprint("launch", __name__)
log = logging.getLogger("portal.launch")


@blueprint.route("/launch", methods=["GET", "POST"])
@access("public")
def launch() -> Response:
    if request.method == "HEAD" or _looks_ahead():
        return make_response("", 503 if _looks_ahead() else 200)  # nobody has come in, so the token isn't used up
    token = request.form.get("token") or request.args.get("token") or ""
    try:
        rate_limits.spend(rate_limits.LAUNCH)
    except TooManyRequests:
        g.refused_parent = launches.parent_of(token)
        raise
    try:
        launched = launches.accept(token)
    except LaunchRefused as refused:
        log.warning("launch refused: %s", refused)
        g.refused_parent = refused.parent
        return refuse(refused.reason)
    g.user, g.tenant = launched.user, launched.tenant
    # Whoever was signed in before: the newest launch decides who works here now.
    how = {"theme": launched.theme, "parent": launched.parent, "timezone": launched.timezone}
    sessions.start(sessions.Session.of(launched.user, launched.locale, **how))
    logs = request.values.get("page") == "logs" and launched.tenant is not None
    landing = url_for("log.get_page") if logs else home()
    if request.method == "GET" and not _is_framed():
        return see_other(landing)  # the address has the token in it
    # The page itself and no redirect: in a frame that gets no cookie a redirect would lose the session.
    if launched.tenant is None:
        return support_page(landing=landing)
    return log_page.show(log_page.View(), landing=landing) if logs else sender.page(landing=landing)


def _looks_ahead() -> bool:
    """Whether a browser fetches what its person has not opened, and perhaps never will."""
    headers = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
    return any(request.headers.get(name, "").partition(";")[0].strip() in ("prefetch", "preview") for name in headers)


def _is_framed() -> bool:
    """Whether a page is asked for by a frame (www.w3.org/TR/fetch-metadata), whose address nobody sees or shares."""
    return request.headers.get("Sec-Fetch-Dest") in ("iframe", "frame", "embed", "object")


def refuse(reason: str) -> Response:
    again = gettext("Go back to your marketplace's dashboard and open the email settings again.")
    if reason == "suspended":
        again = gettext("Please ask your marketplace's support why, and what can be done.")
    elif reason in ("role", "plan"):  # another try would end the same way
        again = gettext(
            "Please tell your marketplace's support; opening the settings again won't help until it is mended."
        )
    sentences = {
        "expired": gettext("The link that brought you here was valid for a minute only, and that minute is over."),
        "used": gettext("The link that brought you here works once, and it has been used already."),
        "future": gettext("The clocks of your marketplace and of this service disagree, so the link isn't valid yet."),
        "role": gettext("Your marketplace gave you a role that this service doesn't know."),
        "suspended": gettext(
            "Your marketplace has suspended your shop. Nobody can sign in, and the shop's emails wait."
        ),
        "removed": gettext("You were removed from this shop a moment ago, by your marketplace or an administrator."),
        "plan": gettext("Your marketplace named a plan for your shop that this service doesn't know."),
    }
    text = sentences.get(reason) or gettext("The link that brought you here is incomplete or was changed on its way.")
    return make_response(
        render_template(
            "launch/refused.html", title=gettext("The email settings could not be opened"), text=text, again=again
        ),
        401,
    )


@blueprint.post("/open")
@access("person")
def post_open() -> Response:
    """From the frame to a tab of its own, which doesn't see the frame's cookie: the form's body brings the session."""
    sessions.start(g.session)
    return see_other(local_path(request.form.get("next"), home()))


@blueprint.get("/")
@access("public")
def get_root() -> Response:
    try:
        session, _ = sessions.presented()
    except sessions.SessionRefused as refused:
        session, g.refused_parent = None, refused.parent
    known = None
    if session is not None:
        known = users.find(session.user_id, session.tenant_id, session.version, session.id)
    if known is not None:
        g.user = known[0]
        return see_other(home())
    return make_response(render_template("launch/closed.html"))
