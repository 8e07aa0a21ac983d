"""Where a shop's pages are: a merchant's own, or the same ones below /support, read-only."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, g, request, url_for

from portal.transport.mime.characters import is_line


def init_app(app: Flask) -> None:
    app.jinja_env.globals.update(here=here, home=home, place=place, support_sees=support_sees)


def place(endpoint: str, **values: Any) -> str:
    """The address of a shop's page, for whoever reads this one."""
    if not g.get("read_only"):
        return url_for(endpoint, **values)
    return url_for(_twin(endpoint), tenant_id=g.tenant.external_id, **values)


def support_sees(endpoint: str) -> bool:
    """Whether the page is one of those that support may look at."""
    return _twin(endpoint) in current_app.view_functions


def _twin(endpoint: str) -> str:
    """What shows the same page of any shop: portal.views.support has it under the same name."""
    return f"support.{endpoint}"


def here() -> str:
    """The page that the reader is on, as an address to come back to; the launch and a search have none of their own."""
    if request.endpoint is not None and request.method == "GET" and not request.endpoint.startswith("launch."):
        return request.full_path.rstrip("?")
    return place("log.get_page") if "log" in (request.blueprint or "").split(".") else home()


def home() -> str:
    """Where a person begins: in the shop's settings, or as staff with the shops."""
    user = g.get("user")
    return url_for("support.get_page" if user is not None and user.role == "support" else "sender.get_page")


def local_path(path: str | None, default: str) -> str:
    """`path` if it stays on this site, else `default`: an open redirect lends our name to somebody else's page."""
    if path and path.startswith("/") and not path.startswith("//") and "\\" not in path and is_line(path):
        return path
    return default
