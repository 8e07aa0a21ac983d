"""Headers that narrow what a browser does with our responses."""

from __future__ import annotations

from flask import Flask, Response, g, request

from portal import session as sessions

# pico.css draws its checkmarks from data: images.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; object-src 'none'; frame-ancestors "
)


def init_app(app: Flask) -> None:
    @app.after_request
    def narrow(response: Response) -> Response:
        headers = response.headers
        headers.setdefault("Content-Security-Policy", _POLICY + _frame_ancestors())
        headers.setdefault("Referrer-Policy", "same-origin")
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
        if request.endpoint != "static":
            headers.setdefault("Cache-Control", "no-store")
        return response


def _frame_ancestors() -> str:
    """The session's parent; or, for the page that refuses an authentic but used or old token, that token's."""
    return sessions.allowed_parent() or g.get("refused_parent") or "'none'"
