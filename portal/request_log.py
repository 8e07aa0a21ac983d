"""One log line per request, by URL rule: paths and queries can hold tokens and addresses, so they are never written."""

from __future__ import annotations

import logging
import time

from flask import Flask, Response, g, request

log = logging.getLogger("portal.request")


def init_app(app: Flask) -> None:
    _ensure_output()

    def start_clock() -> None:
        g.started = time.perf_counter()

    # Before the access rules, which may end the request.
    app.before_request_funcs.setdefault(None, []).insert(0, start_clock)

    @app.after_request
    def write_line(response: Response) -> Response:
        if request.endpoint == "static":
            return response
        started = g.get("started")
        tenant = g.get("tenant")
        log.info(
            "method=%s rule=%s status=%d ms=%.1f tenant=%s",
            request.method if request.method in _METHODS else "other",
            request.url_rule.rule if request.url_rule else "-",
            response.status_code,
            (time.perf_counter() - started) * 1000 if started else 0,
            tenant.id if tenant is not None else "-",
        )
        return response


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _ensure_output() -> None:
    """Write to stderr unless the embedding process has set up logging of its own."""
    logger = logging.getLogger("portal")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        logger.addHandler(handler)
