"""The log as CSV, with the filters of the page.

A form that posts: a searched recipient stays out of URLs. GET is for whoever has the cookie.
"""

from __future__ import annotations

from datetime import tzinfo

from flask import Blueprint, Response, g, request

from portal.models import Message
from portal.services.outbox import log_export
from portal.services.outbox.message_log import LogFilter
from portal.transport.mime.addresses import readable_address
from portal.views import csv_files
from portal.views.log import texts as log_texts
from portal.views.log.page import View, read_view
from portal.web.access import access
from portal.web.i18n import gettext
from portal.web.rate_limits import EXPORT, limited, spend

blueprint = Blueprint("log_export", __name__, url_prefix="/settings/email")


@blueprint.get("/logs.csv")
@access("viewer")
def get_csv() -> Response:
    if request.method == "GET":  # HEAD reads nothing and spends nothing
        spend(EXPORT)
    return _stream(read_view(request.args))


@blueprint.post("/logs.csv")
@access("viewer")
@limited(EXPORT)
def post_csv() -> Response:
    return _stream(read_view(request.form, request.form.get("recipient")))


def _stream(view: View) -> Response:
    wanted = LogFilter(state=view.state, kind=view.kind, period=view.period, recipient=view.recipient)
    zone = csv_files.zone()
    batches = ([_row(message, zone) for message in batch] for batch in log_export.messages(g.tenant, wanted))
    return csv_files.stream("email-log", _head(), batches)


def _head() -> list[str]:
    return [
        gettext("Accepted at"), gettext("Message number"), gettext("Kind"), gettext("Kind (key)"), gettext("Recipient"),
        gettext("Subject"), gettext("Reference"), gettext("Sender"), gettext("State"), gettext("State (key)"),
        gettext("Reason (key)"), gettext("Ended at"),
    ]  # fmt: skip


def _row(message: Message, zone: tzinfo) -> list[str]:
    return [
        csv_files.time(message.accepted_at, zone), message.public_id,
        log_texts.kind(message.kind), message.kind, readable_address(message.to_address), message.subject,
        message.reference or "", message.sender or "", log_texts.state(message), message.state, message.reason or "",
        csv_files.time(message.finished_at, zone),
    ]  # fmt: skip
