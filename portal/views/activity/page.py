"""Activity: who changed which setting when, from what to what, and who looked at the shop as support."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from flask import Blueprint, Response, g, make_response, render_template, request

from portal.models import AuditEntry
from portal.services import audit
from portal.views import csv_files
from portal.views.activity import texts as activity_texts
from portal.web.access import access
from portal.web.i18n import gettext
from portal.web.incoming import number
from portal.web.rate_limits import EXPORT, limited

blueprint = Blueprint("activity", __name__, url_prefix="/settings")

PAGE = 50


def context() -> dict[str, Any]:
    """What the page is rendered from: here, and for support."""
    before = request.args.get("before", type=number)
    entries, next_before = audit.page(g.tenant, before, PAGE)
    return {"entries": entries, "before": before, "next_before": next_before, "texts": activity_texts}


@blueprint.get("/activity")
@access("admin")
def get_page() -> Response:
    return make_response(render_template("activity/page.html", **context()))


@blueprint.post("/activity.csv")
@access("admin")
@limited(EXPORT)
def post_csv() -> Response:
    """Posted, so that in a frame the form's body brings the session. Changes nothing."""
    zone = csv_files.zone()
    batches = ([_row(entry, zone) for entry in batch] for batch in audit.entries(g.tenant))
    return csv_files.stream("activity", _head(), batches)


def _head() -> list[str]:
    return [
        gettext("Time"), gettext("Who"), gettext("Role"), gettext("What"), gettext("What (key)"), gettext("Subject"),
        gettext("Before"), gettext("After"),
    ]  # fmt: skip


def _row(entry: AuditEntry, zone: tzinfo) -> list[str]:
    changes = activity_texts.changes(entry)
    return [
        csv_files.time(entry.at, zone), activity_texts.who(entry), activity_texts.role(entry),
        str(activity_texts.ACTIONS[entry.action]), entry.action, activity_texts.subject(entry),
        "; ".join(f"{change.label}: {change.before}" for change in changes if change.before),
        "; ".join(f"{change.label}: {change.after}" for change in changes if change.after),
    ]  # fmt: skip
