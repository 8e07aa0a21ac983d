"""Launches: the platform's signed word that a person may enter, of a tenant or of its staff (JWT, RFC 7519)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey
from sqlalchemy.exc import IntegrityError

from portal import launch_keys, origins
from portal.config import settings
from portal.db.transaction import transaction
from portal.models import BurntToken, Tenant, User, utcnow
from portal.models.tenant import TenantState
from portal.models.user import TENANT_ROLES, Role
from portal.services import entitlements
from portal.services.accounts import staff, tenants, users
from portal.services.errors import InvalidField, LaunchRefused, NoLaunchSecret
from portal.transport.mime import names
from portal.transport.mime.addresses import InvalidAddress, validate_address
from portal.transport.mime.characters import is_line

AUDIENCE = "absender"
MAX_LIFE = 60  # seconds between `iat` and `exp`
LEEWAY = 30  # seconds that the platform's clock may be wrong, either way
_REQUIRED = ("sub", "email", "tenant", "role", "iat", "exp", "jti")
_MAX_SUBJECT = 200  # characters, of a token's id too
_MAX_SHOWN = 200  # characters of a name
THEMES = ("light", "dark", "auto")


@dataclass(frozen=True)
class LaunchClaims:
    """What an accepted token says."""

    subject: str
    email: str
    name: str
    tenant: str  # "" for staff, who belong to none
    tenant_name: str
    role: str
    plan: str | None
    locale: str | None
    theme: str
    timezone: str  # a name of the IANA database, or ""
    parent: str | None  # origin that may frame the portal
    jti: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Launch:
    """A person who has come in, and how the page is to look for them."""

    user: User
    tenant: Tenant | None  # None: staff
    locale: str
    theme: str
    parent: str | None
    timezone: str = ""  # of the IANA database; "" where the launch named none


def verify_token(token: str) -> LaunchClaims:
    """Check signature and claims. Raises LaunchRefused with the reason."""
    try:
        claims = launch_keys.claims(token, secret=settings().launch_secret, jwks=settings().launch_jwks)
    except launch_keys.Unverified as error:
        raise LaunchRefused("invalid", str(error)) from None
    audience = claims.get("aud")  # one, or a list of them (RFC 7519 section 4.1.3)
    if AUDIENCE not in (audience if isinstance(audience, list) else [audience]) or (
        claims.get("iss") != settings().launch_issuer
    ):
        raise LaunchRefused("invalid", "aud or iss")
    try:
        _check_kinds(claims)
        _check_time(claims)
        return _read(claims)
    except LaunchRefused as refused:
        refused.parent = _parent(claims)
        raise


def _check_kinds(claims: dict[str, Any]) -> None:
    for name in _REQUIRED:
        if name == "tenant" and claims.get("role") == Role.SUPPORT:
            continue  # staff look at all of them, whichever it names
        if not (_is_time if name in ("iat", "exp") else _is_text)(claims.get(name)):
            raise LaunchRefused("incomplete", name)
    if not _is_time(_said(claims, "nbf", 0)):
        raise LaunchRefused("incomplete", "nbf")
    for name in ("plan", "parent"):
        if not isinstance(_said(claims, name, ""), str):
            raise LaunchRefused("incomplete", name)


def _said(claims: dict[str, Any], name: str, otherwise: object = None) -> Any:
    """An optional claim: null and blanks say as little as a claim that isn't there."""
    value = claims.get(name)
    return otherwise if value is None or (isinstance(value, str) and not value.strip()) else value


def _shown(claims: dict[str, Any], name: str) -> str:
    """A claim that is looks alone: it keeps nobody out. What is no text, or can't be shown of it, is left out."""
    value = claims.get(name)
    return names.shown(value)[:_MAX_SHOWN].rstrip() if isinstance(value, str) else ""


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_time(value: object) -> bool:
    """A NumericDate (RFC 7519 section 2), within what a computer's calendar holds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**33


def _check_time(claims: dict[str, Any]) -> None:
    now = utcnow().timestamp()
    if max(claims["iat"], _said(claims, "nbf", 0)) > now + LEEWAY:
        raise LaunchRefused("future")
    if claims["exp"] <= now - LEEWAY:
        raise LaunchRefused("expired")
    if claims["exp"] - claims["iat"] > MAX_LIFE:
        raise LaunchRefused("invalid", f"lives longer than {MAX_LIFE} s")


def _read(claims: dict[str, Any]) -> LaunchClaims:
    if not is_subject(claims["jti"]) or not is_subject(claims["sub"]):
        raise LaunchRefused("incomplete", "jti or sub too long, or not one line")
    if claims["role"] not in (*TENANT_ROLES, Role.SUPPORT):
        raise LaunchRefused("role")
    plan, theme, parent = _said(claims, "plan"), _shown(claims, "theme"), _parent(claims)
    if plan is not None and plan not in entitlements.known():
        raise LaunchRefused("plan")
    if parent is None and _said(claims, "parent"):
        raise LaunchRefused("incomplete", "parent")
    try:
        email = validate_address(claims["email"])
    except InvalidAddress:
        raise LaunchRefused("incomplete", "email") from None
    return LaunchClaims(
        subject=claims["sub"],
        email=email,
        name=_shown(claims, "name"),
        tenant=claims["tenant"] if claims["role"] != Role.SUPPORT else "",
        tenant_name=_shown(claims, "tenant_name"),
        role=claims["role"],
        plan=plan,
        locale=_shown(claims, "locale") or None,
        theme=theme if theme in THEMES else "auto",
        timezone=_timezone(claims.get("timezone")),
        parent=parent,
        jti=claims["jti"],
        # Never later than now: where the platform's clock is ahead, the launch after this one is newer all the same.
        issued_at=datetime.fromtimestamp(min(claims["iat"], utcnow().timestamp()), UTC),
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
    )


def _timezone(name: object) -> str:
    """What isn't known is left out: then the browser says where its reader is."""
    return tenants.known_timezone(name) or "" if isinstance(name, str) else ""


def is_subject(text: str) -> bool:
    """Whether the platform may call a person so."""
    return 1 <= len(text) <= _MAX_SUBJECT and is_line(text)


def _parent(claims: dict[str, Any]) -> str | None:
    """The origin that the platform names as the one to frame the portal, if it is an origin."""
    parent = claims.get("parent")
    return origins.normal(parent) if isinstance(parent, str) else None


def parent_of(token: str) -> str | None:
    """The origin that may frame the answer to this launch, if the platform has signed it; burns nothing."""
    try:
        return verify_token(token).parent
    except LaunchRefused as refused:
        return refused.parent


def accept(token: str) -> Launch:
    """Let a person in: burn the token, create or update their tenant and user. Raises LaunchRefused."""
    claims = verify_token(token)
    try:
        # Burnt before anything else and in its own transaction: of many replays at once, one goes on.
        with transaction() as session:
            session.add(BurntToken(jti=claims.jti, expires_at=claims.expires_at))
    except IntegrityError:
        used = LaunchRefused("used")
        used.parent = claims.parent
        raise used from None
    try:
        return _accept_staff(claims) if claims.role == Role.SUPPORT else _accept_merchant(claims)
    except LaunchRefused as refused:
        refused.parent = claims.parent
        raise


def _accept_staff(claims: LaunchClaims) -> Launch:
    with transaction():
        user = staff.from_launch(subject=claims.subject, email=claims.email, name=claims.name, issued=claims.issued_at)
    locale = user.locale or claims.locale or entitlements.LOCALES[0]
    return Launch(user, None, locale, claims.theme, claims.parent, claims.timezone)


def _accept_merchant(claims: LaunchClaims) -> Launch:
    known = tenants.find(claims.tenant)
    if known is not None:
        _refuse_suspended(known)  # before anything of it is changed
    try:
        name = claims.tenant_name or (None if known else claims.tenant)
        tenant, _ = tenants.upsert(claims.tenant, name=name, plan=claims.plan, locale=claims.locale)
    except InvalidField as error:
        raise LaunchRefused("incomplete", error.field) from None
    with transaction():
        tenant = tenants.lock(tenant)
        _refuse_suspended(tenant)
        user = users.from_launch(
            tenant, subject=claims.subject, email=claims.email, name=claims.name, role=claims.role,
            issued=claims.issued_at,
        )  # fmt: skip
    return Launch(user, tenant, user.locale or tenant.locale, claims.theme, claims.parent, claims.timezone)


def _refuse_suspended(tenant: Tenant) -> None:
    if tenant.state == TenantState.SUSPENDED:
        raise LaunchRefused("suspended")


def make_token(
    tenant: str = "",
    *,
    tenant_name: str = "",
    role: str = "admin",
    email: str = "admin@shop.example",
    **claims: Any,
) -> str:
    """Sign a launch token as the platform would: for the CLI, and for tests that must not build it their own way.

    Raises NoLaunchSecret where only the platform itself can sign one.
    """
    if not settings().launch_secret:
        raise NoLaunchSecret
    now = utcnow().timestamp()  # with its fraction: what a second later is newer, the same second is not
    body = {
        "aud": AUDIENCE,
        "iss": settings().launch_issuer,
        "sub": email,
        "email": email,
        "role": role,
        "iat": now,
        "exp": int(now) + MAX_LIFE,
        "jti": secrets.token_urlsafe(16),
    } | claims
    body |= {key: value for key, value in (("tenant", tenant), ("tenant_name", tenant_name)) if value}
    return jwt.encode({"alg": "HS256"}, body, OctKey.import_key(settings().launch_secret))
