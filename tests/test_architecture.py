"""The house rules that a program can check: which way imports point, and that migrations make what models say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).parent.parent

# What the modules below a folder may import of ours; the longest matching prefix decides.
ALLOWED = {
    "portal/transport": ("portal.transport",),
    "portal/models": ("portal.models",),
    "portal/services": (
        "portal.services", "portal.models", "portal.transport", "portal.extensions", "portal.config", "portal.plans",
        "portal.queue", "portal.launch_keys",
    ),
    "portal/forms": ("portal.forms", "portal.services.errors", "portal.transport"),
    "portal/queue.py": (),
    "portal/config.py": ("portal.plans", "portal.launch_keys", "portal.transport"),
    "portal/launch_keys.py": (),
    "portal/extensions.py": ("portal.models",),
    "jobs": (
        "jobs", "portal.services", "portal.create_app", "portal.config", "portal.queue", "portal.event_log",
        "portal.extensions",
    ),
}  # fmt: skip
# From `portal` itself come modules, so `from portal import queue` counts as portal.queue.


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            package = node.module == "portal"
            found |= {f"portal.{alias.name}" for alias in node.names} if package else {node.module}
    return found


def ours(path: Path) -> set[str]:
    return {name for name in imports(path) if name.split(".")[0] in ("portal", "jobs", "demo", "tests")}


def modules(below: str) -> list[Path]:
    path = ROOT / below
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def test_imports_point_one_way() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for below, allowed in ALLOWED.items()
        for path in modules(below)
        for name in ours(path)
        if not any(name == prefix or name.startswith(prefix + ".") for prefix in allowed)
    ]
    assert wrong == []


def test_the_wire_knows_neither_the_web_nor_the_database() -> None:
    banned = {"flask", "sqlalchemy", "flask_sqlalchemy", "flask_babel", "redis", "rq", "wtforms"}
    for path in modules("portal/transport"):
        assert not {name.split(".")[0] for name in imports(path)} & banned, path


def test_views_speak_neither_smtp_nor_sql_nor_redis() -> None:
    banned = {
        "smtplib",
        "sqlalchemy",
        "redis",
        "rq",
        "portal.extensions",
        "portal.transport.connection",
        "portal.transport.mime",
    }
    for path in [*modules("portal/views"), *modules("portal/forms")]:
        assert not imports(path) & banned, path


def test_modules_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for folder in ("portal", "jobs", "demo")
        for path in modules(folder)
        if "migrations" not in path.parts and (lines := len(path.read_text().splitlines())) > 300
    ]
    assert long == []


def test_every_module_says_what_it_is_for() -> None:
    for folder in ("portal", "jobs", "demo", "tests"):
        for path in modules(folder):
            if path.read_text().strip():
                assert ast.get_docstring(ast.parse(path.read_text())), path
