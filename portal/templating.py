"""How templates are run: as Flask does, without what costs much and has no use here."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from flask import Flask
from flask.templating import Environment


class PlainGlobals(Environment):
    """All templates share the application's globals.

    Jinja lays a map of each template's own over them, and looks through both, in Python, for every name of every
    import. No template here has any of its own.
    """

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return super().make_globals(d) if d else self.globals


def use_in(app: Flask) -> None:
    """Before anything has asked for the application's templates."""
    app.jinja_environment = PlainGlobals
