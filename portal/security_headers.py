"""Headers that narrow what a browser does with our responses."""

from __future__ import annotations

from flask import Flask, Response, g, request

from portal import session as sessions

# pico.css draws its checkmarks from data: images.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; object-src 'none'; frame-ancestors "
)


def allow_any_frame() -> None:
    """For pages that are one sentence and no control: the dashboard that frames us must be able to show it."""
    g.any_frame = True


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
    return sessions.allowed_parent() or ("*" if g.get("any_frame") else "'none'")
