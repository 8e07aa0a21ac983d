"""How templates are run: as Flask does, compiled once for each language, and without what has no use here.

Most of a page's hundred texts and signs are named in its template. They are put into the compiled template, so that
they cost no look-up, no call and no escaping whenever it is run.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import lru_cache
from gettext import NullTranslations
from typing import Any

from flask import Flask
from flask.templating import Environment
from jinja2 import BaseLoader, Template, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from portal.web import i18n
from portal.web.icons import icon


class _FixedTexts(CodeGenerator):
    """Compiles a template for the language of its environment."""

    environment: Templates

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        if self.environment.texts is not None:
            escaped = nodes.EvalContext(self.environment, self.name).autoescape
            node = _Fixed(self.environment.texts.gettext, escaped).visit(node)
        super().visit_Template(node, frame)


class Templates(Environment):
    """The application's templates. Each is run in the reader's language, by the environment of that language.

    All share the application's globals. Jinja lays a map of each template's own over them, and looks through both, in
    Python, for every name of every import. No template here has any of its own.
    """

    code_generator_class = _FixedTexts
    texts: NullTranslations | None = None  # of an environment that speaks one language

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return super().make_globals(d) if d else self.globals

    def get_template(
        self, name: str | Template, parent: str | None = None, globals: MutableMapping[str, Any] | None = None
    ) -> Template:
        if self.texts is None:
            return self._speaking(i18n.catalog(), str(i18n.locale())).get_template(name, parent, globals)
        return super().get_template(name, parent, globals)

    @lru_cache(maxsize=16)  # noqa: B019 - there is one for each application, for as long as that lives
    def _speaking(self, texts: NullTranslations, language: str) -> Templates:
        spoken = self.overlay(loader=_Labelled(self.loader, f"{language} {type(texts).__name__}"))
        spoken.texts = texts
        return spoken


class _Fixed(NodeTransformer):
    """Replaces calls whose result is known when the template is compiled: `_("text")`, `icon("name")`.

    As portal.web.i18n has it, a text is always a format, and what is put into it is escaped.
    """

    def __init__(self, gettext: Callable[[str], str], escaped: bool) -> None:
        self._gettext = gettext
        self._escaped = escaped

    def visit_Call(self, call: nodes.Call) -> nodes.Node:
        self.generic_visit(call)
        match call:
            case nodes.Call(node=nodes.Name(name="_"), args=[nodes.Const(value=text)], dyn_args=None, dyn_kwargs=None):
                text = self._gettext(text)
                values = [nodes.Pair(nodes.Const(given.key), given.value) for given in call.kwargs]
                made: nodes.Expr = nodes.Mod(
                    nodes.Const(Markup(text) if self._escaped else text), nodes.Dict(values), lineno=call.lineno
                )
            case nodes.Call(node=nodes.Name(name="icon"), args=[nodes.Const(value=name)]):
                made = nodes.Const(icon(name), lineno=call.lineno)
            case _:
                return call
        assert call.environment is not None
        return made.set_environment(call.environment)


class _Labelled(BaseLoader):
    """Tells the languages' sources apart by a comment: a cache of compiled templates must never mix them."""

    def __init__(self, loader: BaseLoader | None, label: str) -> None:
        assert loader is not None, "an application has templates"
        self._loader = loader
        self._label = label

    def get_source(self, environment: Any, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        source, filename, is_current = self._loader.get_source(environment, template)
        return f"{{# {self._label} #}}{source}", filename, is_current

    def list_templates(self) -> list[str]:
        return self._loader.list_templates()


def use_in(app: Flask) -> None:
    """Before anything has asked for the application's templates."""
    app.jinja_environment = Templates
    app.jinja_env.globals["icon"] = icon
