"""Email logs: each message that was sent or will be, what became of it, live."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, g, make_response, render_template, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from portal.models import utcnow
from portal.services.outbox import message_log, send_again
from portal.services.outbox.message_log import LogFilter
from portal.typed import trimmed
from portal.views.errors import PageError
from portal.views.log import texts as log_texts
from portal.views.sender.page import Notice
from portal.web.access import access
from portal.web.htmx import not_modified, see_other, tagged, wants_fragment
from portal.web.i18n import gettext, reader
from portal.web.urls import place

blueprint = Blueprint("log", __name__, url_prefix="/settings/email/logs")

SLOT = 15  # seconds; relative times are rendered anew that often
PAGE = 25


@dataclass(frozen=True)
class View:
    """What the reader has chosen to see. Everything but the recipient may stand in a URL."""

    state: str | None = None
    kind: str | None = None
    period: str | None = None
    recipient: str | None = None
    before: str | None = None  # the older page that begins after this message
    until: str | None = None  # newer ones wait behind a button
    open: str | None = None

    @property
    def filtered(self) -> bool:
        return bool(self.state or self.kind or self.period or self.recipient)

    def with_(self, **changes: str | None) -> View:
        return replace(self, **changes)

    def fields(self) -> dict[str, str]:
        return {name: value for name, value in vars(self).items() if value}

    @property
    def opening(self) -> str:
        """The address that opens a message, but for the message's id."""
        url = self.with_(until=None, open=None).url
        return f"{url}{'&' if '?' in url else '?'}open="

    @property
    def url(self) -> str:
        fields = self.fields()
        fields.pop("recipient", None)
        # Not url_for: asked for in each row, it would take a good part of the page's time.
        page = place("log.get_page") if g.get("read_only") else f"{request.script_root}{blueprint.url_prefix}"
        return f"{page}?{urlencode(fields)}" if fields else page


def read_view(values: MultiDict[str, str], recipient: str | None = None) -> View:
    """Raises PageError for a filter that doesn't exist."""
    given = values.to_dict()
    chosen = {name: given.get(name) or None for name in ("state", "kind", "period", "before", "until", "open")}
    for name, choices in log_texts.CHOICES.items():
        if chosen[name] is not None and chosen[name] not in choices:
            raise PageError(
                400,
                gettext("This filter doesn't exist"),
                gettext(
                    "The log can't be filtered by “%(value)s”. Choose a filter from the lists above the log.",
                    value=chosen[name],
                ),
            )
    return View(recipient=trimmed(recipient or "") or None, **chosen)


def context(view: View) -> dict[str, Any]:
    """What the page, its fragment and the poll are rendered from."""
    # First: what commits meanwhile is then shown too early, never too late.
    latest = g.newest_entry if g.get("newest_entry") is not None else message_log.latest_entry_id(g.tenant)
    chosen = LogFilter(state=view.state, kind=view.kind, period=view.period, recipient=view.recipient)
    page = message_log.page(g.tenant, chosen, before=view.before, until=view.until, limit=PAGE)
    opened = message_log.get_message(g.tenant, view.open) if view.open else None
    if view.filtered and view.until is None and view.before is None:
        view = view.with_(until=page.newest)  # a filtered list stands still until the reader asks
    return {
        "view": view,
        "opening": view.opening,  # made once for all rows
        "page": page,
        "opened": opened,
        "entries": message_log.entries(opened) if opened else [],
        "links": send_again.links(g.tenant, opened) if opened else send_again.Links(),
        "last": message_log.last_entries([row.id for row in page.rows if row.state == "deferred"]),  # until when
        "waits": message_log.waits(g.tenant, [*page.rows, *([opened] if opened else [])]),
        "texts": log_texts,
        "tag": tag_of(view, latest),
    }


def tag_of(view: View, latest: int) -> str:
    chosen = zlib.crc32(repr([*sorted(view.fields().items()), str(reader().zone)]).encode())
    return f"{latest}.{int(utcnow().timestamp()) // SLOT}.{chosen:x}"


def show(view: View, landing: str | None = None) -> Response:
    """The log; `landing` is the page's address when it answers a launch, whose own works only once."""
    template = "log/_log.html" if wants_fragment() else "log/page.html"
    notice = _notice(request.args.get("notice"))
    return make_response(render_template(template, **context(view), notice=notice, landing=landing))


def _notice(name: str | None) -> Notice | None:
    """What the reader has just done; only the page itself says it."""
    if name == "resent":
        return Notice("success", gettext("The message is being sent again. You see here what becomes of it."))
    if name == "resent_before":
        return Notice("info", gettext("It had been sent again already. No second copy was made."))
    return None


@blueprint.get("")
@access("viewer")
def get_page() -> Response:
    return show(read_view(request.args))


@blueprint.post("/search")
@access("viewer")
def post_search() -> Response:
    """By recipient: an address has no place in a URL, so a search is a form's body."""
    view = read_view(request.form, request.form.get("recipient"))
    return show(view) if view.recipient else see_other(view.url)


@blueprint.get("/search")
@access("viewer")
def get_search() -> Response:
    """Back and reload come here without the address that was searched."""
    return see_other(place("log.get_page"))


@blueprint.route("/rows", methods=["GET", "POST"])
@access("viewer", renews=False)
def poll_rows() -> Response:
    """What the open log asks by itself; POST carries a searched recipient. Only reads."""
    # A body is looked for only where there can be one: that alone takes a tenth of a poll's time.
    posted = request.method == "POST"
    view = read_view(request.values, request.form.get("recipient")) if posted else read_view(request.args)
    tag = tag_of(view, g.newest_entry)
    return not_modified(tag) or tagged(render_template("log/_log.html", **context(view)), tag)
