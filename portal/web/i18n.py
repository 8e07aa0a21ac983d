"""Language and time as the reader knows them: which locale a request gets, and how moments are written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from babel import Locale, dates
from babel.support import NullTranslations
from flask import Flask, g, has_request_context, request
from flask_babel import Babel, format_date, format_time, get_locale, get_timezone, get_translations, refresh
from flask_babel.speaklater import LazyString
from jinja2 import pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup, escape

from portal.models import utcnow
from portal.services.accounts import tenants
from portal.transport.mime.addresses import readable_address

LOCALES = {"en": "English", "de": "Deutsch"}
DEFAULT = "en"
TIMEZONE = "Portal-Timezone"  # the request header in which portal.js says where its reader is


def init_app(app: Flask) -> None:
    Babel(app, default_locale=DEFAULT, locale_selector=select_locale, timezone_selector=select_timezone)
    app.jinja_env.globals.update(
        LOCALES=LOCALES,
        _=_template_text,
        ago=ago,
        ngettext=_template_number,
        clock=clock,
        current_locale=locale,
        exact=exact,
        moment=moment,
        text_direction=lambda: locale().text_direction,
    )
    app.jinja_env.filters["readable"] = readable_address


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


def select_timezone() -> str:
    """The reader's own, else the shop's."""
    tenant = g.get("tenant") if has_request_context() else None
    return _own_timezone() or tenants.known_timezone(tenant.timezone if tenant is not None else None) or "UTC"


def _own_timezone() -> str | None:
    """The reader's: what the launch said, else the browser; None where neither has."""
    if not has_request_context():
        return None
    session = g.get("session")
    return (session.timezone if session is not None else None) or browsers_timezone()


def browsers_timezone() -> str | None:
    """What this request's header says; a page's first load and a form that opens a tab can't have one."""
    return tenants.known_timezone(request.headers.get(TIMEZONE))


def speak(locale: str | None) -> None:
    """Answer this request in `locale`, whatever was selected before."""
    g.locale = locale
    g.pop("reader", None)
    refresh()


def clock(at: datetime, *, seconds: bool = False) -> str:
    """14:05 where the reader is, or 14:05 UTC where that isn't known; with the date from half a day away."""
    time, who = format_time(at, "medium" if seconds else "short"), reader()
    if not who.at_home:
        time = f"{time} {dates.get_timezone_name(at.astimezone(who.zone), 'short', locale=who.locale)}"
    if abs((at - utcnow()).total_seconds()) < 12 * 3600:
        return str(time)
    return gettext("%(date)s, %(time)s", date=format_date(at, "medium"), time=time)


def exact(at: datetime) -> str:
    """Date and time to the second, with the timezone, in the reader's language."""
    who = reader()
    return _exact(at, who.locale.language, who.zone)


@lru_cache(maxsize=8192)  # a list shows the same moments again with each poll
def _exact(at: datetime, language: str, zone: tzinfo | None) -> str:
    return dates.format_datetime(at, "long", tzinfo=zone, locale=language)


def ago(at: datetime) -> str:
    """How long ago (or until when) in a person's words."""
    return _ago(at, locale().language)


def _ago(at: datetime, language: str) -> str:
    seconds = (at - utcnow()).total_seconds()
    distance = abs(seconds)
    if distance < 10:
        return gettext("just now")
    for unit, length in dates.TIMEDELTA_UNITS:
        if distance >= _NEARLY * length or unit == "second":
            break
    count = max(1, round(distance / length))
    return _distance(unit, length * count * (1 if seconds > 0 else -1), language)


_NEARLY = 0.85  # of the next larger unit: 51 minutes are an hour, as Babel has it


@lru_cache(maxsize=1024)
def _distance(unit: Any, seconds: int, language: str) -> str:
    return dates.format_timedelta(timedelta(seconds=seconds), unit, threshold=1, add_direction=True, locale=language)


def moment(at: datetime, *, focusable: bool = True) -> Markup:
    """A relative time that tells the exact one on hover and focus (its own, or that of the row around it)."""
    who = reader()
    language = who.locale.language
    return _moment(at, _ago(at, language), language, who.zone, ' tabindex="0"' if focusable else "")


@lru_cache(maxsize=8192)  # as above
def _moment(at: datetime, relative: str, language: str, zone: tzinfo | None, focus: str) -> Markup:
    when = escape(_exact(at, language, zone))
    iso = at.isoformat(timespec="seconds")
    return Markup(f'<time datetime="{iso}" title="{when}" data-exact="{when}"{focus}>{escape(relative)}</time>')


# Texts. Flask-Babel finds out anew for each of a page's hundred what its reader speaks: a third of the page's time.


@dataclass(frozen=True)
class Reader:
    """What decides how a page is written."""

    locale: Locale
    zone: tzinfo | None
    at_home: bool  # the zone is the reader's own: a time in it need not name it
    texts: NullTranslations


def reader() -> Reader:
    """Who reads the answer to this request: found out once, until speak()."""
    try:
        known: Reader = g.reader
    except (AttributeError, RuntimeError):  # not found out yet, or outside of a request
        known = Reader(get_locale(), get_timezone(), _own_timezone() is not None, get_translations())
        if g:
            g.reader = known
    return known


def gettext(text: str, /, **values: Any) -> str:
    """The text in the reader's language."""
    translated: str = catalog().gettext(text)
    return translated % values if values else translated


def ngettext(one: str, many: str, num: int) -> str:
    """The one or the other in the reader's language, for so many."""
    translated: str = catalog().ngettext(one, many, num)
    return translated % {"num": num}


def lazy_gettext(text: str, /, **values: Any) -> Any:
    """The same for what is written outside of a request: looked up when it is shown."""
    return LazyString(gettext, text, **values)


@pass_eval_context
def _template_text(template: EvalContext, text: str, /, **values: Any) -> str:
    """As Jinja's own: always a format, and what is put into it is escaped."""
    if template.autoescape:
        return _fixed_text(catalog(), text) if not values else Markup(catalog().gettext(text)) % values
    return str(catalog().gettext(text)) % values


@lru_cache(maxsize=4096)
def _fixed_text(texts: NullTranslations, text: str) -> Markup:
    return Markup(texts.gettext(text)) % {}


@pass_eval_context
def _template_number(template: EvalContext, one: str, many: str, num: int, /, **values: Any) -> str:
    text = catalog().ngettext(one, many, num)
    return (Markup(text) if template.autoescape else text) % ({"num": num} | values)


def catalog() -> NullTranslations:
    """The texts in the reader's language."""
    return reader().texts


def locale() -> Locale:
    """The reader's."""
    return reader().locale
