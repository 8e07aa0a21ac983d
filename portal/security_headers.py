"""Headers that narrow what a browser does with our responses."""

from __future__ import annotations

from flask import Flask, Response, g, request

from portal import session as sessions

# pico.css draws its checkmarks from data: images.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; object-src 'none'; frame-ancestors "
)


_ALWAYS = (
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"),
)


def init_app(app: Flask) -> None:
    @app.after_request
    def narrow(response: Response) -> Response:
        wanted = [("Content-Security-Policy", _POLICY + _frame_ancestors()), *_ALWAYS]
        if request.endpoint != "static":
            wanted.append(("Cache-Control", "no-store"))
        present = {name.lower() for name in response.headers.keys()}  # noqa: SIM118 - it iterates over pairs
        response.headers.extend([header for header in wanted if header[0].lower() not in present])
        return response


def _frame_ancestors() -> str:
    """The session's parent; or, for the page that refuses an authentic but used or old token, that token's."""
    return sessions.allowed_parent() or g.get("refused_parent") or "'none'"
