"""What htmx asked for, and how to answer it."""

from __future__ import annotations

from flask import Response, make_response, redirect, request
from werkzeug.wrappers import Response as BaseResponse


def wants_fragment() -> bool:
    """True for a swap into a part of the page; false for full loads, boosted links and history."""
    return bool(request.htmx) and request.headers.get("HX-Request-Type") == "partial"  # type: ignore[attr-defined]


def not_modified(tag: str) -> Response | None:
    """304 when the polling element already shows `tag` (the hx-ptag extension sends it), else None."""
    if request.headers.get("HX-PTag") != tag:
        return None
    return Response(status=304, headers={"HX-PTag": tag})


def tagged(body: str, tag: str) -> Response:
    response = make_response(body)
    response.headers["HX-PTag"] = tag
    return response


def see_other(url: str) -> BaseResponse:
    return redirect(url, 303)
