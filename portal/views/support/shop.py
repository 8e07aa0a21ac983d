"""A shop's pages as its own people see them, for support: each look is in the shop's audit trail.

Read-only, but for one thing: support can take a sender address back.

Each part, and each view in it, has the name of the one that it shows, so that portal.web.urls finds it.
"""

from __future__ import annotations

from flask import Blueprint, g, request
from werkzeug.wrappers import Response

from portal.services.accounts import support_search, tenants
from portal.services.errors import NotFound, NotVerified
from portal.services.outbox import message_log
from portal.services.senders import identities
from portal.views.activity import page as activity_page
from portal.views.driver import page as driver_page
from portal.views.log import page as log_page
from portal.views.people import page as people_page
from portal.views.sender import page as settings_page
from portal.web.access import access

_SHOP = "/tenants/<tenant_id>"  # the platform's id of it

sender = Blueprint("sender", __name__, url_prefix=_SHOP)
driver = Blueprint("driver", __name__, url_prefix=f"{_SHOP}/service")
log = Blueprint("log", __name__, url_prefix=f"{_SHOP}/logs")
activity = Blueprint("activity", __name__, url_prefix=f"{_SHOP}/activity")
people = Blueprint("people", __name__, url_prefix=f"{_SHOP}/people")
PARTS = (sender, driver, log, activity, people)


def open_shop() -> None:
    """Before each view, and after its access rule: the shop that is looked at takes the place of the reader's own."""
    assert request.view_args is not None
    tenant = tenants.find(request.view_args.pop("tenant_id"))
    if tenant is None:
        raise NotFound("tenant")
    g.tenant, g.read_only = tenant, True


for part in PARTS:
    part.before_request(open_shop)


def noted(shown: Response, *subjects: str) -> Response:
    """The page, once it is written down that this person sees it; a refusal, a redirect and HEAD show nothing."""
    if shown.status_code in (200, 304) and request.method != "HEAD":
        support_search.note_looks(g.tenant, g.user, subjects)
    return shown


@sender.get("", endpoint="get_page")
@access("support")
def get_settings() -> Response:
    return noted(settings_page.page(), "settings")


@sender.get("/sender")
@access("support", renews=False)
def get_sender() -> Response:
    return noted(settings_page.get_sender(), "settings")


@sender.get("/identities/<int:identity_id>/remove")
@access("support")
def get_remove(identity_id: int) -> Response:
    return noted(settings_page.get_remove(identity_id), "settings")


@sender.post("/identities/<int:identity_id>/remove")
@access("support")
def post_remove(identity_id: int) -> Response:
    """The one thing that support may change: take a sender address back. The shop reads it in its activity."""
    try:
        identities.revoke_as_support(g.tenant, g.user, identity_id)
    except NotVerified:
        return settings_page.done("nothing_pending")
    return settings_page.done("revoked")


@driver.get("/status")
@access("support", renews=False)
def get_status() -> Response:
    return noted(driver_page.get_status(), "settings")


def _noted_log(shown: Response) -> Response:
    opened = request.values.get("open")
    return noted(shown, "search" if request.form.get("recipient") else "log", *([opened] if opened else []))


@log.get("", endpoint="get_page")
@access("support")
def get_log() -> Response:
    return _noted_log(log_page.get_page())


@log.post("/search")
@access("support")
def post_search() -> Response:
    return _noted_log(log_page.post_search())


@log.get("/search")
@access("support")
def get_search() -> Response:
    return log_page.get_search()


@log.route("/rows", methods=["GET", "POST"])
@access("support", renews=False)
def poll_rows() -> Response:
    g.newest_entry = message_log.latest_entry_id(g.tenant)
    return _noted_log(log_page.poll_rows())


@activity.get("", endpoint="get_page")
@access("support")
def get_activity() -> Response:
    return noted(activity_page.get_page(), "activity")


@people.get("", endpoint="get_page")
@access("support")
def get_people() -> Response:
    return noted(people_page.get_page(), "people")
