"""Signing in without the dashboard: ask for a link, and the page behind it, whose button lets its reader in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, g, make_response, render_template, request, url_for
from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Response
from wtforms import StringField

from portal.models import utcnow
from portal.services.accounts import login_links
from portal.services.accounts.login_links import Link, Place
from portal.services.errors import LinkSent
from portal.transport.mime.addresses import InvalidAddress, readable_address
from portal.views.errors import asked_too_often
from portal.views.forms import Form, sentence
from portal.views.people import texts as users_texts
from portal.web import rate_limits
from portal.web import session as sessions
from portal.web.access import access, refuse_cross_site
from portal.web.htmx import see_other
from portal.web.i18n import clock, select_locale, speak
from portal.web.incoming import number
from portal.web.urls import home

blueprint = Blueprint("sign_in", __name__)

_STATUS = {"invalid": 404, "expired": 410, "used": 410, "removed": 410}


class SignInForm(Form):
    address = StringField()


@blueprint.get("/sign-in")
@access("public")
def get_form() -> Response:
    return show("ask", form=SignInForm())


@blueprint.post("/sign-in")
@access("public")
def post_form() -> Response:
    """The same answer, and the same work, whether somebody has the address or nobody."""
    refuse_cross_site()
    form = SignInForm()
    try:
        rate_limits.spend(rate_limits.SIGN_IN_CLIENT)
        address = login_links.ask(form.address.data or "", select_locale())
    except InvalidAddress as error:
        form.mark("address", sentence(error.reason))
        return show("ask", 422, form=form)
    except LinkSent as before:
        times = {"sent_at": before.sent_at, "next_at": before.next_at}
        return asked_too_often(show("sent_before", 429, address=form.address.data, **times), before)
    except TooManyRequests as limit:
        wait = int(limit.retry_after) if isinstance(limit.retry_after, int) else 3600
        again = clock(utcnow() + timedelta(seconds=wait))
        response = show("limit", 429, again=again)
        response.headers["Retry-After"] = str(wait)
        return response
    return show("sent", address=readable_address(address))


@blueprint.get("/sign-in/<token>")
@access("public")
def get_link(token: str) -> Response:
    return show_link(login_links.read_link(token), token)


@blueprint.post("/sign-in/<token>")
@access("public")
def post_link(token: str) -> Response:
    refuse_cross_site()
    entered = login_links.enter(token, request.form.get("user", type=number))
    if isinstance(entered, Link):
        return show_link(entered, token, pressed=True)
    return _let_in(entered)


@blueprint.post("/sign-out")
@access("person")
def post_sign_out() -> Response:
    response = see_other(url_for("sign_in.get_form"))
    sessions.end(response)
    return response


def _let_in(place: Place) -> Response:
    g.user, g.tenant = place.user, place.tenant
    locale = place.user.locale or (place.tenant.locale if place.tenant else select_locale())
    sessions.start(sessions.Session.of(place.user, locale, kind="sign-in"))
    return see_other(home())


def show_link(link: Link, token: str, *, pressed: bool = False) -> Response:
    speak(link.locale)
    choosing = pressed and link.state == "pending"
    return show("choose" if choosing else link.state, link=link, token=token, role=users_texts.role)


def show(state: str, status: int | None = None, **values: Any) -> Response:
    page = render_template(
        "sign_in/page.html", state=state, minutes=login_links.LINK_LIFE // timedelta(minutes=1), **values
    )
    return make_response(page, status or _STATUS.get(state, 200))
