"""What a request brings, as any view may take it: texts of bounded length without NUL, numbers that databases have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import printable
from typing import Any
from urllib.parse import quote_from_bytes

from flask import Flask, g, request
from htmx_flask.requests import HtmxAwareRequest
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import BadRequest
from werkzeug.routing import IntegerConverter

from portal.launch_keys import MAX_TOKEN

MAX_TEXT = 1000  # characters of a field of a form or a query: more than any has room for
_LONGER = {"token": MAX_TOKEN, "portal_session": MAX_TOKEN}
_DIGITS = 18  # fewer than a number of 64 bits has


class Fields(ImmutableMultiDict[str, Any]):
    """The fields of a form or a query. Of a text that no field has room for, one character too many is kept.

    So what judges a field finds it too long, in its own words, and nothing has to read all of it.
    """

    def __init__(self, fields: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        if isinstance(fields, ImmutableMultiDict):
            pairs = list(fields.items(multi=True))
        else:
            pairs = list(fields.items() if isinstance(fields, Mapping) else fields or ())
        super().__init__([(name, _kept(name, value)) for name, value in pairs])


def _kept(name: str, value: Any) -> Any:
    return value[: _LONGER.get(name, MAX_TEXT) + 1] if isinstance(value, str) else value  # or it is a file


class BoundedRequest(HtmxAwareRequest):
    parameter_storage_class = Fields
    query_string: bytes

    def __init__(self, environ: dict[str, Any], *how: Any, **more: Any) -> None:
        super().__init__(environ, *how, **more)
        if not self.query_string.isascii():  # as no browser sends it, and as no URL can be written
            self.query_string = quote_from_bytes(self.query_string, safe=printable).encode()


class _Id(IntegerConverter):
    """`<int:...>` in a route; a longer number leads nowhere."""

    regex = rf"\d{{1,{_DIGITS}}}"


def number(text: str) -> int:
    """For `request.args.get(name, type=number)`. Raises ValueError for what is no number or a longer one."""
    if len(text) > _DIGITS:
        raise ValueError("longer than any id")
    return int(text)


def refuse_nul() -> None:
    """PostgreSQL stores no NUL, and nobody can type one. Ends the request with 400."""
    # A body is looked for only where there can be one: that alone takes a tenth of a poll's time.
    # A call of the API is JSON or answered 415; looked for here, a form of 15 MB would be read for that.
    has_form = request.method == "POST" and g.get("api_key") is None and not request.is_json
    given = [request.args] if request.query_string else []
    if has_form:
        given.append(request.form)
    if any("\x00" in value for fields in given for _, value in fields.items(multi=True)):
        raise BadRequest


def init_app(app: Flask) -> None:
    """After the access rules, which come first and set a request class of their own; before the routes."""
    app.request_class = BoundedRequest
    app.before_request(refuse_nul)
    app.url_map.converters["int"] = _Id
