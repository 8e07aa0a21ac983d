"""Session tokens: who is signed in, signed into a string that travels as a bearer and as a cookie.

The same token goes two ways, because either can be unavailable in an iframe: by page memory into `Authorization:
Bearer` of each htmx request, and as a partitioned cookie for reloads, plain forms and tabs of their own.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from flask import Flask, Request, Response, current_app, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature, URLSafeSerializer, URLSafeTimedSerializer
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as BaseResponse

from portal import origins
from portal.models import User, utcnow
from portal.services.accounts import users
from portal.web import i18n

COOKIE = "__Host-absender"
FIELD = "portal_session"  # a form that opens a new tab carries the token in its body
RENEWED = "Portal-Session"  # the response header that hands a renewed token to portal.js
LIFETIMES = {"launch": 30 * 60, "sign-in": 12 * 60 * 60}  # seconds after the last thing that was done
LONGEST = 12 * 60 * 60  # seconds after its beginning a session ends, whatever is done in it
RENEW_AFTER = 60  # seconds; a token younger than this is good enough


class SessionRefused(Exception):
    """No usable session; `reason` is one of missing, expired, invalid."""

    def __init__(self, reason: str, parent: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.parent = parent  # of an authentic one that has expired: may frame the page that says so


@dataclass(frozen=True)
class Session:
    """One person at work: of a tenant, or of the platform's staff, whose `tenant_id` is None.

    `version` is the user's session_version: a new one ends all sessions that name the old. `id` is the same in all
    tokens of a session: signing out ends them together. `parent` is the origin that may frame the pages, or None.
    """

    user_id: int
    tenant_id: int | None
    locale: str
    theme: str = "auto"
    parent: str | None = None
    kind: str = "launch"
    issued: int = 0
    expires: int = 0
    version: str = ""
    id: str = ""
    began: int = 0
    timezone: str = ""  # the reader's: what the launch said, else the browser; "" until one of them has

    @classmethod
    def of(cls, user: User, locale: str, **how: Any) -> Session:
        """A session for this person; `how`: theme, parent, kind, timezone."""
        return cls(
            user.id, user.tenant_id, locale, version=user.session_version, id=secrets.token_hex(16),
            began=int(utcnow().timestamp()), **how,
        )  # fmt: skip

    def signed(self) -> str:
        return _signed(self, _key())

    def renewed(self) -> Session:
        now = int(utcnow().timestamp())
        return replace(self, issued=now, expires=min(now + LIFETIMES[self.kind], self.ends))

    @property
    def ends(self) -> int:
        """When the last of its tokens ends, in seconds since the epoch."""
        return self.began + LONGEST


def read(token: str) -> Session:
    """The session in a token. Raises SessionRefused."""
    try:
        session = _authentic(token, _key())
    except (BadSignature, TypeError):
        raise SessionRefused("invalid") from None
    # A token of the version before names no session, so that signing out couldn't end it.
    if session.expires <= utcnow().timestamp() or not session.id:
        raise SessionRefused("expired", signed_parent(session))
    return session


def presented() -> tuple[Session, bool]:
    """The request's session, and whether it came as a bearer. Raises SessionRefused.

    A bearer decides alone: a bad one never falls back to the cookie, which may belong to somebody else's session.
    """
    bearer = _bearer()
    if bearer is not None:
        return read(bearer), True
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        raise SessionRefused("missing")
    return read(cookie), False


def _bearer() -> str | None:
    kind, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return credentials.strip()
    # Only a form of our own can know the token, so in a body it proves as much as in the header.
    try:
        return request.form.get(FIELD) if request.method == "POST" else None
    except RequestEntityTooLarge:
        if COOKIE not in request.cookies:
            raise
        return None  # the body is refused once more, and then on a page of this person's


def start(session: Session) -> None:
    """Make this the request's session; its token goes out with the response."""
    g.session = session.renewed()
    g.session_token = g.session.signed()
    g.session_is_new = True


def keep(session: Session) -> None:
    """Go on with a session that the request brought, extending it if it isn't fresh any more."""
    g.session = session
    g.session_is_new = False
    timezone = session.timezone or i18n.browsers_timezone() or ""
    if utcnow().timestamp() - session.issued > RENEW_AFTER or timezone != session.timezone:
        session = replace(session, timezone=timezone)
        start(session)


def end(response: BaseResponse) -> None:
    """End the request's session: no token of it is good any more, and this browser forgets it."""
    users.end_session(g.session.id, datetime.fromtimestamp(g.session.ends, UTC))
    g.session_is_new = False
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="None", partitioned=True)


def token() -> str:
    """The token for the page's meta element."""
    return str(g.get("session_token") or g.session.signed())


def allowed_parent() -> str | None:
    """The origin that may frame this response: the launch's, if the tenant's list (when it has one) names it.

    Such a list is for the tenant's own people: staff work where the platform's launch says, whichever tenant they view.
    """
    session, tenant = g.get("session"), g.get("tenant")
    parent = signed_parent(session) if session is not None else None
    if session is None or parent is None:
        return None
    listed = tenant.frame_ancestors if tenant is not None and session.tenant_id is not None else []
    if listed and parent not in map(origins.normal, listed):
        return None
    return parent


def signed_parent(session: Session) -> str | None:
    """The origin that the session's launch names."""
    return origins.normal(session.parent) if session.parent else None


def frame_parent() -> str | None:
    """The origin that frames this page and hears from it: on a page that only refuses, the one that was signed."""
    return allowed_parent() or g.get("refused_parent")


def listed_parents() -> list[str]:
    """The origins of the tenant's list, for its people whose launch named none."""
    session, tenant = g.get("session"), g.get("tenant")
    if session is None or session.parent or session.tenant_id is None or tenant is None:
        return []
    return [origin for listed in tenant.frame_ancestors if (origin := origins.normal(listed))]


def init_app(app: Flask) -> None:
    app.session_interface = FormCookie()
    app.jinja_env.globals.update(session_token=token, session_parent=frame_parent)

    @app.after_request
    def hand_over(response: Response) -> Response:
        if not g.get("session_is_new") or response.status_code >= 400:
            return response
        response.headers[RENEWED] = g.session_token
        response.set_cookie(
            COOKIE, g.session_token, max_age=g.session.expires - g.session.issued,
            secure=True, httponly=True, samesite="None", partitioned=True,
        )  # fmt: skip
        return response


@lru_cache(maxsize=1024)  # an open page asks every two seconds; a refusal is an exception, which isn't kept
def _authentic(token: str, key: str) -> Session:
    """What a token says, if its signature is ours; whether it still holds is another question."""
    return Session(**_serializer(key).loads(token))


@lru_cache(maxsize=1024)  # each page of a session hands out the same token until it is renewed
def _signed(session: Session, key: str) -> str:
    return str(_serializer(key).dumps(asdict(session)))


@lru_cache(maxsize=1)
def _serializer(key: str) -> URLSafeSerializer:
    return URLSafeSerializer(key, salt="portal.session")


def _key() -> str:
    return str(current_app.secret_key)


class FormCookie(SecureCookieSessionInterface):
    """Flask's own cookie, for the CSRF secret, which most requests neither bring nor need.

    Its signer is made once instead of twice in each request.
    """

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if app.config["SESSION_COOKIE_NAME"] not in request.environ.get("HTTP_COOKIE", ""):
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if session.accessed or session.modified:
            super().save_session(app, session, response)

    @lru_cache(maxsize=1)  # noqa: B019 - there is one for each application, for as long as that lives
    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        return super().get_signing_serializer(app)
