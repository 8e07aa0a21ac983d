"""Language and time as the reader knows them: which locale a request gets, and how moments are written."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import lru_cache

from babel import dates
from flask import Flask, g, has_request_context, request
from flask_babel import (
    Babel,
    format_date,
    format_time,
    format_timedelta,
    get_locale,
    get_timezone,
    gettext,
    refresh,
)
from markupsafe import Markup, escape

LOCALES = {"en": "English", "de": "Deutsch"}
DEFAULT = "en"


def init_app(app: Flask) -> None:
    Babel(app, default_locale=DEFAULT, locale_selector=select_locale, timezone_selector=select_timezone)
    app.jinja_env.globals.update(
        LOCALES=LOCALES,
        ago=ago,
        clock=clock,
        current_locale=get_locale,
        exact=exact,
        moment=moment,
        text_direction=lambda: get_locale().text_direction,
    )


def supported(locale: str | None) -> str | None:
    """`de` for de, de-AT or de_CH; None for a language that the pages don't speak."""
    language = (locale or "").replace("_", "-").partition("-")[0].lower()
    return language if language in LOCALES else None


def select_locale() -> str:
    """What the page was told to speak, what the person chose, what the launch said, what the browser prefers."""
    if not has_request_context():
        return DEFAULT
    user, session = g.get("user"), g.get("session")
    for wish in (g.get("locale"), user and user.locale, session and session.locale):
        if known := supported(wish):
            return known
    return request.accept_languages.best_match(LOCALES, DEFAULT) or DEFAULT


def select_timezone() -> str | None:
    tenant = g.get("tenant") if has_request_context() else None
    return tenant.timezone if tenant is not None else None


def speak(locale: str | None) -> None:
    """Answer this request in `locale`, whatever was selected before."""
    g.locale = locale
    refresh()


def clock(at: datetime, *, seconds: bool = False) -> str:
    """14:05, or with the date when that is half a day away or more."""
    time = format_time(at, "medium" if seconds else "short")
    if abs((at - datetime.now(UTC)).total_seconds()) < 12 * 3600:
        return str(time)
    return gettext("%(date)s, %(time)s", date=format_date(at, "medium"), time=time)


def exact(at: datetime) -> str:
    """Date and time to the second, with the timezone, in the reader's language."""
    return _exact(at, str(get_locale()), get_timezone())


@lru_cache(maxsize=8192)  # a list shows the same moments again with each poll
def _exact(at: datetime, locale: str, zone: tzinfo | None) -> str:
    return dates.format_datetime(at, "long", tzinfo=zone, locale=locale)


def ago(at: datetime) -> str:
    """How long ago (or until when) in a person's words."""
    seconds = (at - datetime.now(UTC)).total_seconds()
    if abs(seconds) < 10:
        return gettext("just now")
    return str(format_timedelta(at - datetime.now(UTC), add_direction=True, granularity="second"))


def moment(at: datetime, *, focusable: bool = True) -> Markup:
    """A relative time that tells the exact one on hover and focus (its own, or that of the row around it)."""
    focus, when = ' tabindex="0"' if focusable else "", escape(exact(at))
    iso = at.isoformat(timespec="seconds")
    return Markup(f'<time datetime="{iso}" title="{when}" data-exact="{when}"{focus}>{escape(ago(at))}</time>')
