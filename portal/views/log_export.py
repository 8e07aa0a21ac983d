"""The log as CSV: streamed, for spreadsheets, with the filters of the page.

A form that posts: in a frame its body brings the session where no cookie goes, and a searched recipient stays out of
URLs. GET is for whoever has the cookie.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, g, request, stream_with_context
from flask_babel import get_locale

from portal.access import access
from portal.i18n import gettext
from portal.models import Message, Tenant
from portal.services import log_export
from portal.services.mail_log import LogFilter
from portal.views import log_texts
from portal.views.logs import View, read_view

blueprint = Blueprint("log_export", __name__, url_prefix="/settings/email")

# What makes a spreadsheet read a cell as a formula (owasp.org, CSV Injection), also behind spaces and in full width.
_FORMULA = re.compile(r"[\s\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
BOM = "\ufeff"  # without it Excel reads UTF-8 as the machine's old code page


@blueprint.get("/logs.csv")
@access("viewer")
def get_csv() -> Response:
    return _stream(read_view(request.args))


@blueprint.post("/logs.csv")
@access("viewer")
def post_csv() -> Response:
    return _stream(read_view(request.form, request.form.get("recipient")))


def _stream(view: View) -> Response:
    wanted = LogFilter(state=view.state, kind=view.kind, period=view.period, recipient=view.recipient)
    response = Response(stream_with_context(_lines(g.tenant, wanted)), content_type="text/csv; charset=utf-8")
    name = f"email-log-{datetime.now(_zone(g.tenant)):%Y-%m-%d}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _lines(tenant: Tenant, wanted: LogFilter) -> Iterator[str]:
    zone = _zone(tenant)
    yield BOM + _csv([_head()])
    for batch in log_export.messages(tenant, wanted):
        if batch:
            yield _csv(_row(message, zone) for message in batch)


def _csv(rows: Any) -> str:
    """Rows as text. Excel where German is spoken has the comma in its numbers, and expects semicolons between cells."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";" if get_locale().language == "de" else ",")
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def _head() -> list[str]:
    return [
        gettext("Accepted at"), gettext("Message number"), gettext("Kind"), gettext("Kind (key)"), gettext("Recipient"),
        gettext("Subject"), gettext("Sender"), gettext("State"), gettext("State (key)"), gettext("Reason (key)"),
        gettext("Ended at"),
    ]  # fmt: skip


def _row(message: Message, zone: ZoneInfo | Any) -> list[str]:
    return [
        _time(message.accepted_at, zone), message.public_id, str(log_texts.KINDS.get(message.kind, message.kind)),
        message.kind, message.to_address, message.subject, message.sender or "", log_texts.state(message),
        message.state, message.reason or "", _time(message.finished_at, zone),
    ]  # fmt: skip


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe in front, as people type it to mean text."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _time(at: datetime | None, zone: Any) -> str:
    return at.astimezone(zone).isoformat(timespec="seconds") if at else ""


def _zone(tenant: Tenant) -> Any:
    try:
        return ZoneInfo(tenant.timezone)
    except (KeyError, ValueError):
        return UTC
