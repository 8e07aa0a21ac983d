"""Where a shop's pages are: a merchant's own, or the same ones below /support, read-only."""

from __future__ import annotations

from typing import Any

from flask import g, url_for


def place(endpoint: str, **values: Any) -> str:
    """The address of a shop's page, for whoever reads this one.

    Each that support may see has a twin of the same name in portal.views.support.
    """
    if not g.get("read_only"):
        return url_for(endpoint, **values)
    return url_for(f"support.{endpoint}", tenant_id=g.tenant.external_id, **values)
