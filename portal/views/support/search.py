"""Where support begins: find a shop, or a message of any shop."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, make_response, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.services import entitlements
from portal.services.accounts import support_search
from portal.services.senders import revocations
from portal.views.log import texts as log_texts
from portal.web.access import access
from portal.web.htmx import see_other

blueprint = Blueprint("support", __name__, url_prefix="/support")


def page(landing: str | None = None, **found: Any) -> Response:
    """`found`: `shops` or `messages`, and what was `asked`; at the start, what recipients reported lately."""
    if not found:
        found = {"reports": revocations.newest()}
    values = {"landing": landing, "plans": entitlements.known(), "texts": log_texts, **found}
    return make_response(render_template("support/page.html", **values))


@blueprint.get("")
@access("support")
def get_page() -> Response:
    return page()


# An address has no place in a URL, so both searches are a form's body.


@blueprint.post("/shops")
@access("support")
def post_shops() -> Response:
    asked = request.form.get("shop", "")
    return page(shops=support_search.find_tenants(asked), asked=asked)


@blueprint.post("/messages")
@access("support")
def post_messages() -> Response:
    asked = request.form.get("message", "")
    return page(messages=support_search.find_messages(asked, g.user), asked=asked)


@blueprint.get("/shops")
@blueprint.get("/messages")
@access("support")
def get_search() -> Response:
    """Back and reload come here without what was searched."""
    return see_other(url_for("support.get_page"))
