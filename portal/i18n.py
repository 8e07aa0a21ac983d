"""Language and time as the reader knows them: which locale a request gets, and how moments are written."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Flask, g, has_request_context, request
from flask_babel import Babel, format_date, format_datetime, format_time, format_timedelta, get_locale, gettext, refresh
from markupsafe import Markup

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
    if not has_request_context():
        return DEFAULT
    chosen = supported(g.get("locale"))
    if chosen is None and g.get("session") is not None:
        chosen = supported(g.session.locale)
    return chosen or request.accept_languages.best_match(LOCALES, DEFAULT) or DEFAULT


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
    return str(format_datetime(at, "long"))


def ago(at: datetime) -> str:
    """How long ago (or until when) in a person's words."""
    seconds = (at - datetime.now(UTC)).total_seconds()
    if abs(seconds) < 10:
        return gettext("just now")
    return str(format_timedelta(at - datetime.now(UTC), add_direction=True, granularity="second"))


def moment(at: datetime, *, focusable: bool = True) -> Markup:
    """A relative time that tells the exact one on hover and focus (its own, or that of the row around it)."""
    focus = Markup(' tabindex="0"') if focusable else Markup("")
    return Markup('<time datetime="{}" title="{}" data-exact="{}"{}>{}</time>').format(
        at.isoformat(timespec="seconds"), exact(at), exact(at), focus, ago(at)
    )
