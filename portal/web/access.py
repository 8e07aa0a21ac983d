"""Who may call a view: each view declares a rule, and what declares none is refused."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Flask, current_app, g, request
from flask_wtf import CSRFProtect
from htmx_flask import Htmx
from werkzeug.exceptions import Forbidden, NotFound, Unauthorized

from portal import origins
from portal.config import settings
from portal.models import Tenant, User
from portal.models.api_key import Scope
from portal.services.accounts import api_keys, users
from portal.services.accounts.users import Person, Shop
from portal.transport.destinations import is_loopback
from portal.web import session as sessions

RULES = ("public", "person", "viewer", "admin", "support", "api_key", "operator")
# Which roles satisfy a rule. "person" is for what concerns nobody but whoever is signed in, such as their language.
_ROLES = {
    "person": ("viewer", "admin", "support"),
    "viewer": ("viewer", "admin"),
    "admin": ("admin",),
    "support": ("support",),
}
# Werkzeug's own limit for forms leaves out the usual encoding.
_FORM_BYTES = 100_000
_CALL_BYTES = 64 * 1024  # of a call to the API that hands in no mail
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")

csrf = CSRFProtect()
Known = tuple[User | Person, Tenant | Shop | None]
View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Access:
    rule: str
    renews: bool  # False for what the page asks by itself: a poll must not keep a session alive
    scope: Scope | None  # what an API key must be allowed
    large: bool  # whether the body may have megabytes


def access(
    rule: str, *, renews: bool = True, scope: Scope | None = None, large: bool = False
) -> Callable[[View], View]:
    """Declare who may call a view; see RULES. Goes below the route decorator. `large`: it hands in mail."""
    if rule not in RULES:
        raise ValueError(f"no such access rule: {rule}")
    if (rule == "api_key") != (scope is not None):
        raise ValueError("the rule api_key needs a scope, and no other rule has one")

    def mark(view: View) -> View:
        view.access = Access(rule, renews, scope, large)  # type: ignore[attr-defined]
        return view

    return mark


def declared(endpoint: str) -> Access | None:
    """The rule of an endpoint, or None when it has none."""
    return getattr(current_app.view_functions.get(endpoint), "access", None)


def init_app(app: Flask) -> None:
    Htmx(app)
    # The CSRF secret lives in Flask's own cookie, which has to work inside a frame like the session's.
    app.config.update(
        SESSION_COOKIE_NAME="__Host-absender-form",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="None",
        SESSION_COOKIE_PARTITIONED=True,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,  # compares Referer and Host letter by letter; refuse_cross_site does it better
    )
    csrf.init_app(app)
    sessions.init_app(app)
    if "static" in app.view_functions:
        access("public")(app.view_functions["static"])
    app.before_request(enforce)


def enforce() -> None:
    endpoint = request.endpoint
    declaration = declared(endpoint) if endpoint else None
    if declaration is None or not declaration.large:
        request.max_content_length = _CALL_BYTES if declaration and declaration.scope else _FORM_BYTES
    if endpoint is None:
        # No such page; it is still shown to a known person in their language and frame.
        _recognise()
        return
    if declaration is None:
        raise Forbidden("This view declares no access rule.")
    if declaration.scope is not None:
        _require_api_key(declaration.scope)
    elif declaration.rule == "operator":
        _require_operator()
    elif declaration.rule != "public":
        _require_session(declaration)


def _require_api_key(scope: Scope) -> None:
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    g.api_key = api_keys.authenticate(secret.strip()) if kind.lower() == "bearer" else None
    if g.api_key is None:
        raise Unauthorized("The API key is missing or wrong. Send it as: Authorization: Bearer <key>")
    if scope not in g.api_key.scopes:
        raise Forbidden(f"This API key lacks the scope {scope}.")


def _require_operator() -> None:
    """By PORTAL_METRICS_TOKEN; without one only this machine itself, where the portal is there for nobody else.

    A proxy on the same machine may forward a stranger's request so that it looks like one of our own.
    """
    token = settings().metrics_token
    if token:
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(secret.strip().encode(), token.encode()):
            raise Unauthorized("Send PORTAL_METRICS_TOKEN as: Authorization: Bearer <token>")
        return
    # ProxyFix replaces the address by one that a header names; a proxy that it doesn't know adds headers, too.
    environ = request.environ
    peer = environ.get("werkzeug.proxy_fix.orig", environ).get("REMOTE_ADDR") or ""
    host = request.host.rpartition(":")[0] or request.host
    forwarded = any(name in request.headers for name in _FORWARDED)
    # The name, too: a web site can make a browser on this machine ask us under a name of its own (DNS rebinding).
    if forwarded or not settings().is_for_this_machine or not is_loopback(peer) or not is_loopback(host):
        raise NotFound


def _require_session(declaration: Access) -> None:
    try:
        session, by_bearer = sessions.presented()
    except sessions.SessionRefused as refused:
        g.refused_parent = refused.parent
        raise Unauthorized(refused.reason) from None
    known = _look_up(session, only_reads=not declaration.renews or request.method in _SAFE_METHODS)
    if known is None:
        raise Unauthorized("ended")
    user, tenant = known
    if declaration.renews:
        sessions.keep(session)
    else:
        g.session = session
    _refuse_forgery(by_bearer)
    if not _may(declaration.rule, user, tenant):
        raise Forbidden("staff" if tenant is None else "support" if declaration.rule == "support" else "role")


def _may(rule: str, user: User | Person, tenant: Tenant | Shop | None) -> bool:
    """Whether the person satisfies the rule; what they are goes by their tenant, too: staff has none, others have."""
    return user.role in _ROLES[rule] and (user.role == "support") == (tenant is None)


def _look_up(session: sessions.Session, *, only_reads: bool) -> Known | None:
    """The session's person, if the database still has them, with the role and settings of this moment.

    `g.user` and `g.tenant` from now on: the person's own tenant, None for staff.
    """
    known: Known | None
    g.refused_parent = sessions.signed_parent(session)  # if nobody is found, or the database doesn't answer
    if only_reads and session.tenant_id is not None:
        glance = users.glance(session.user_id, session.tenant_id, session.version, session.id)
        known, g.newest_entry = (glance[:2], glance[2]) if glance else (None, None)
    else:
        known = users.find(session.user_id, session.tenant_id, session.version, session.id)
    if known is not None:
        g.user, g.tenant = known
        g.refused_parent = None
    return known


def _refuse_forgery(by_bearer: bool) -> None:
    """A change must come from a page of our own: only such a page knows the bearer or the CSRF token."""
    if request.method in _SAFE_METHODS:
        return
    refuse_cross_site()
    if by_bearer:
        g.csrf_valid = True
    else:
        csrf.protect(apply_exemptions=True)


def refuse_cross_site() -> None:
    """Also for public pages whose button lets somebody in: another site must not press it with a link of its own.

    Browsers say where a request comes from by Sec-Fetch-Site; those before 2023, and all by plain http, by Origin, and
    very old ones by Referer. What says nothing is no browser.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if origin is None and request.referrer:
        origin = origins.of_page(request.referrer)
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        # Behind a proxy that ends TLS we may not know the scheme, so the origin's own counts.
        scheme = "https" if request.is_secure else (origin or "").partition("://")[0]
        hosts = (request.host, settings().base_url.partition("://")[2])
        ours = origin is None or any(origins.same(origin, f"{scheme}://{host}") for host in hosts)
    if not ours:
        raise Forbidden("cross-site")


def _recognise() -> None:
    try:
        session, _ = sessions.presented()
    except sessions.SessionRefused as refused:
        g.refused_parent = refused.parent
        return
    if _look_up(session, only_reads=True):
        g.session = session
