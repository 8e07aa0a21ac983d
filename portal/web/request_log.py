"""One log line per request, unchanged polls apart, by URL rule: paths and queries can hold tokens and addresses."""

from __future__ import annotations

import logging
import time
from typing import Any

from flask import Flask, Response, g, request

log = logging.getLogger("portal.request")


def init_app(app: Flask) -> None:
    def start_clock() -> None:
        g.started = time.perf_counter()

    # Before the access rules, which may end the request.
    app.before_request_funcs.setdefault(None, []).insert(0, start_clock)
    # Flask's own writes the path.
    app.log_exception = _log_exception  # type: ignore[method-assign]

    @app.after_request
    def write_line(response: Response) -> Response:
        # An open page asks every two seconds; that nothing has changed is not worth a line.
        if request.endpoint == "static" or response.status_code == 304:
            return response
        started = g.get("started")
        elapsed = round((time.perf_counter() - started) * 1000, 1) if started else 0
        log.info("request", extra={"fields": _fields() | {"status": response.status_code, "ms": elapsed}})
        return response


def _log_exception(exc_info: Any) -> None:
    log.error("a request ended by a defect of ours", exc_info=exc_info, extra={"fields": _fields()})


def _fields() -> dict[str, Any]:
    tenant, method, rule = g.get("tenant"), request.method, request.url_rule
    return {
        "method": method if method in _METHODS else "other",
        "rule": rule.rule if rule else None,
        "tenant": tenant.id if tenant is not None else None,
    }


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
