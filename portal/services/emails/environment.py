"""How our own mails are rendered: by an environment of their own, which knows neither views nor settings.

A builder hands over each value that its templates name: no row, which may hold a secret. A name that is missing is an
error, not an empty place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from portal.services.entitlements import LOCALES

_PORTAL = Path(__file__).parents[2]


def known(locale: str) -> str:
    """The locale if mails speak it, else the first that they do."""
    return locale if locale in LOCALES else LOCALES[0]


def render(template: str, locale: str, **values: Any) -> str:
    """The text of `templates/emails/<template>` in a known locale; in HTML, values are escaped."""
    return _environment(translations(locale)).get_template(template).render(locale=locale, **values)


def translator(locale: str) -> Callable[[str], str]:
    """What translates a text of the catalogue into a known locale."""
    return translations(locale).gettext


@lru_cache
def translations(locale: str) -> NullTranslations:
    """The catalogue of a known locale."""
    return Translations.load(_PORTAL / "translations", [locale])


@lru_cache
def _environment(texts: NullTranslations) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_PORTAL / "templates" / "emails"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(texts, newstyle=True)  # type: ignore[attr-defined]
    return environment
