"""What a person prefers: the language, so far."""

from __future__ import annotations

from flask import Blueprint, g, request
from werkzeug.wrappers import Response

from portal.services.accounts import tenants
from portal.views.errors import PageError
from portal.web.access import access
from portal.web.htmx import see_other
from portal.web.i18n import gettext, supported
from portal.web.urls import home, local_path

blueprint = Blueprint("preferences", __name__)


@blueprint.post("/preferences/locale")
@access("person")
def post_locale() -> Response:
    locale = supported(request.form.get("locale"))
    if locale is None:
        raise PageError(
            400,
            gettext("This language isn't available"),
            gettext("Choose one of the languages at the top of the page."),
        )
    tenants.set_locale(g.user, locale)
    return see_other(local_path(request.form.get("next"), home()))
