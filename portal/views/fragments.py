"""What htmx asked for, and how to answer it."""

from __future__ import annotations

from flask import Flask, Response, g, make_response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from portal.views import places
from portal.views.places import place


def init_app(app: Flask) -> None:
    app.jinja_env.globals.update(here=here, home=home, wants_fragment=wants_fragment)
    places.init_app(app)


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


def here() -> str:
    """The page that the reader is on, as an address to come back to; the launch and a search have none of their own."""
    if request.endpoint is not None and request.method == "GET" and not request.endpoint.startswith("launch."):
        return request.full_path.rstrip("?")
    return place("logs.get_page") if "logs" in (request.blueprint or "").split(".") else home()


def home() -> str:
    """Where a person begins: in the shop's settings, or as staff with the shops."""
    user = g.get("user")
    return url_for("support.get_page" if user is not None and user.role == "support" else "email_settings.get_page")


def local_path(path: str | None, default: str) -> str:
    """`path` if it stays on this site, else `default`: an open redirect lends our name to somebody else's page."""
    if path and path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable():
        return path
    return default
