"""Whether a request was sent by a page of another site, also where the browser is too old for Sec-Fetch-Site."""

from __future__ import annotations

from flask import request
from werkzeug.exceptions import Forbidden

from portal import origins
from portal.config import settings
from portal.web.access import refuse_cross_site


def refuse_other_sites() -> None:
    """For public pages whose button has power. A browser that tells nothing of where it comes from is let through."""
    refuse_cross_site()
    if "Sec-Fetch-Site" in request.headers:
        return
    # Behind a proxy that rewrites Host only the base URL is what the browser saw.
    ours = (settings().base_url, request.host_url)
    origin = request.headers.get("Origin")
    if origin is not None and not any(origins.same(origin, our) for our in ours):
        raise Forbidden("cross-site")
