"""Where a shop's pages are: a merchant's own, or the same ones below /support, read-only."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, g, url_for


def init_app(app: Flask) -> None:
    app.jinja_env.globals.update(place=place, support_sees=support_sees)


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
