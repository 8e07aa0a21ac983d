"""What a person prefers: the language, so far."""

from __future__ import annotations

from flask import Blueprint, g, request
from werkzeug.wrappers import Response

from portal.access import access
from portal.errors import PageError
from portal.i18n import gettext, supported
from portal.services import tenants
from portal.views.fragments import home, local_path, see_other

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
