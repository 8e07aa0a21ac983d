"""Templates that can be read: short lines, plain conditions, and nothing that no page needs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

import portal

pytestmark = pytest.mark.any_database

ROOT = Path(portal.__file__).parent
TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*") if path.is_file())
PARSED = {path: Environment(extensions=["jinja2.ext.i18n"]).parse(path.read_text()) for path in TEMPLATES}
TEXTS = ("_", "ngettext")
ADDED_BY_HTMX = {"htmx-request"}


@pytest.fixture(params=TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_a_line_has_120_columns(path: Path) -> None:
    assert [line for line in path.read_text().splitlines() if len(line) > 120] == []


def test_no_inline_condition_holds_another(path: Path) -> None:
    """`a if b else c if d else e` is a block of its own lines: {% if %} ... {% elif %} ... {% endif %}."""
    conditions = PARSED[path].find_all(nodes.CondExpr)
    assert [found.lineno for found in conditions if any(found.find_all(nodes.CondExpr))] == []


def test_everything_imported_is_used(path: Path) -> None:
    named = {name.name for name in PARSED[path].find_all(nodes.Name) if name.ctx == "load"}
    assert imports(PARSED[path]) - named == set()


def test_every_macro_is_called_somewhere() -> None:
    for path, parsed in PARSED.items():
        wanted = {name.name for name in parsed.find_all(nodes.Name)}
        for other in PARSED.values():
            wanted |= imports(other)
        assert {macro.name for macro in parsed.find_all(nodes.Macro)} - wanted == set(), path


def imports(parsed: nodes.Template) -> set[str]:
    """The names under which a template knows what it takes from others."""
    found = {name for taken in parsed.find_all(nodes.FromImport) for name in taken.names}
    whole = {taken.target for taken in parsed.find_all(nodes.Import)}
    return whole | {name if isinstance(name, str) else name[1] for name in found}


def test_every_class_of_our_stylesheets_is_on_some_page() -> None:
    used = set(classes())
    begun = tuple(name for name in used if name.endswith("-"))  # "badge-{{ tone }}"
    for sheet in (ROOT / "static").glob("*.css"):
        selectors = re.sub(r"/\*.*?\*/|\{[^{}]*\}", " ", sheet.read_text(), flags=re.DOTALL)
        styled = set(re.findall(r"\.([a-zA-Z][\w-]*)", selectors)) - used - ADDED_BY_HTMX
        assert {name for name in styled if not name.startswith(begun)} == set(), sheet


def classes() -> Iterator[str]:
    """What stands in a class attribute, in an argument of a macro, or in what code writes; no words of sentences."""
    for path, parsed in PARSED.items():
        bare = re.sub(r"\{\{.*?\}\}", "", re.sub(r"\{%.*?%\}", " ", path.read_text(), flags=re.DOTALL), flags=re.DOTALL)
        for value in re.findall(r'class="([^"]*)"', bare):
            yield from re.findall(r"[\w-]+", value)
        sentences = {id(text) for call in parsed.find_all(nodes.Call) for text in call.args if is_text(call)}
        for constant in parsed.find_all(nodes.Const):
            if isinstance(constant.value, str) and id(constant) not in sentences:
                yield from constant.value.split()
    for file in ROOT.rglob("*.py"):
        yield from " ".join(re.findall(r'class="([\w -]+)"', file.read_text())).split()
    yield from re.findall(r'classList\.\w+\("([\w-]+)"', (ROOT / "static" / "portal.js").read_text())


def is_text(call: nodes.Call) -> bool:
    return isinstance(call.node, nodes.Name) and call.node.name in TEXTS
