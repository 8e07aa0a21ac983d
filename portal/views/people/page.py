"""People: who may come in to a shop's settings, and what they may do; for its admins."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, make_response, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.models.user import TENANT_ROLES
from portal.services.accounts import people
from portal.services.errors import InvalidField, LastAdmin, SendLimit
from portal.views.errors import asked_too_often
from portal.views.people import texts as users_texts
from portal.views.people.form import InvitationForm
from portal.web.access import access
from portal.web.htmx import see_other
from portal.web.i18n import clock, gettext
from portal.web.rate_limits import SWITCHING, limited

blueprint = Blueprint("people", __name__, url_prefix="/settings/people")


def context() -> dict[str, Any]:
    """What the page is rendered from: here, and for support."""
    everybody = people.everybody(g.tenant)
    return {
        "everybody": everybody,
        "only_admin": people.only_admin(everybody),
        "roles": TENANT_ROLES,
        "texts": users_texts,
        "notice": users_texts.notice(request.args.get("notice")),
    }


@blueprint.get("")
@access("admin")
def get_page() -> Response:
    return page()


@blueprint.post("")
@access("admin")
def post_invitation() -> Response:
    form = InvitationForm()
    try:
        people.invite(g.tenant, g.user, form.address.data or "", form.role.data or "")
    except InvalidField as error:
        form.refuse(error)
        return page(form, 422)
    except SendLimit as limit:
        at = clock(limit.next_at)
        form.mark("address", gettext("Too many invitations were sent. The next one is possible at %(time)s.", time=at))
        return asked_too_often(page(form, 429), limit)
    return done("invited")


@blueprint.post("/<int:user_id>/role")
@access("admin")
@limited(SWITCHING)
def post_role(user_id: int) -> Response:
    try:
        people.set_role(g.tenant, g.user, user_id, request.form.get("role", ""))
    except InvalidField as error:
        return done(error.reason)
    except LastAdmin:
        return done("last_admin")
    return done("role")


@blueprint.post("/<int:user_id>/sign-out")
@access("admin")
@limited(SWITCHING)
def post_sign_out(user_id: int) -> Response:
    people.sign_out(g.tenant, g.user, user_id)
    return done("signed_out")


@blueprint.get("/<int:user_id>/remove")
@access("admin")
def get_remove(user_id: int) -> Response:
    person = people.get(g.tenant, user_id)
    may = people.may_lose(g.tenant, person)
    return make_response(render_template("people/remove.html", person=person, may_remove=may, texts=users_texts))


@blueprint.post("/<int:user_id>/remove")
@access("admin")
def post_remove(user_id: int) -> Response:
    try:
        people.remove(g.tenant, g.user, user_id)
    except LastAdmin:
        return done("last_admin")
    return done("removed")


def page(form: InvitationForm | None = None, status: int = 200) -> Response:
    return make_response(render_template("people/page.html", form=form or InvitationForm(), **context()), status)


def done(key: str) -> Response:
    return see_other(url_for("people.get_page", notice=key))
