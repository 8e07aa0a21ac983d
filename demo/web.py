"""What the demo's pages share: their ports, their Flask app, their server."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from flask import Flask, Response, abort, request, send_from_directory
from werkzeug.serving import make_server

ROOT = Path(__file__).resolve().parent.parent
PORT = int(os.environ.get("PORTAL_PORT") or 8000)
DASHBOARD_PORT, INBOX_PORT, RELAY_PORT = PORT + 1, PORT + 2, PORT + 3
PROVIDER_TLS_PORT, PROVIDER_STARTTLS_PORT = PORT + 4, PORT + 5
SIGN_IN_PORT = PORT + 6
SIGN_IN_URL = f"http://127.0.0.1:{SIGN_IN_PORT}"  # another site than the portal's localhost
INSTANCE = Path(os.environ.get("PORTAL_INSTANCE_PATH") or ROOT / "instance")
PORTAL_URL = (os.environ.get("PORTAL_BASE_URL") or f"http://localhost:{PORT}").rstrip("/")


def make_app(csp: str) -> Flask:
    """A Flask app that answers to loopback only, takes forms from its own pages only, is never cached, obeys `csp`.

    A page may set a Content-Security-Policy of its own in place of `csp`.
    """
    app = Flask("demo", root_path=str(ROOT / "demo"))
    # Another site's name that points to 127.0.0.1 must not get at a launch token or at a mail.
    app.config["TRUSTED_HOSTS"] = ["127.0.0.1", "localhost"]

    @app.before_request
    def refuse_other_sites() -> None:
        # What hands out tokens, sends mail or changes something is for these pages' own requests.
        if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            abort(403)

    @app.get("/vendor/<path:name>")
    def vendor(name: str) -> Response:
        return send_from_directory(ROOT / "portal/static/vendor", name)

    @app.after_request
    def set_headers(response: Response) -> Response:
        own = response.headers.get("Content-Security-Policy", csp)
        everywhere = "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
        response.headers["Content-Security-Policy"] = f"{own}; {everywhere}"
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    return app


def serve(app: Flask, port: int) -> None:
    """Serve until the process is ended."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    make_server("127.0.0.1", port, app, threaded=True).serve_forever()
