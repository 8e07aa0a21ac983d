"""Headers that narrow what a browser does with our responses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, Response, request

from portal.config import settings
from portal.web import session as sessions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# pico.css draws its checkmarks from data: images.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; object-src 'none'; frame-ancestors "
)


_ALWAYS = [
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"),
]


def init_app(app: Flask) -> None:
    app.wsgi_app = _Always(app.wsgi_app)  # type: ignore[method-assign]

    @app.after_request
    def narrow(response: Response) -> Response:
        seconds = settings().hsts_seconds
        if seconds and request.is_secure:  # RFC 6797, 7.2: never by plain http
            response.headers["Strict-Transport-Security"] = f"max-age={seconds}"
        response.headers["Content-Security-Policy"] = _POLICY + _frame_ancestors()
        if request.endpoint != "static" and "Cache-Control" not in response.headers:
            response.headers.add("Cache-Control", "no-store")
        return response


class _Always:
    """Adds the headers that are the same for every response, below Flask, which would check and copy each of them."""

    def __init__(self, wsgi_app: WSGIApplication) -> None:
        self._app = wsgi_app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._app(environ, lambda status, headers, *error: start_response(status, headers + _ALWAYS, *error))


def _frame_ancestors() -> str:
    """The session's parent, or the tenant's list; for the page that refuses an authentic, used token, that token's."""
    return sessions.frame_parent() or " ".join(sessions.listed_parents()) or "'none'"
