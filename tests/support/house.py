"""Which package of the product imports which, and the picture of it: `python -m tests.support.house` draws it again."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/architecture.md"


def imports(path: Path) -> set[str]:
    """The modules that a file imports, by their full names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if is_module(name) else node.module for name in names}
    return found


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def modules(below: str) -> list[Path]:
    path = ROOT / below
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def package(module: str) -> str:
    parts = module.split(".")
    if parts[0] == "jobs":
        return "jobs"
    return ".".join(parts[:3] if parts[:2] == ["portal", "services"] else parts[:2])


def sources() -> list[tuple[str, Path]]:
    """Each module of the product with its file."""
    return [
        (".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path)
        for path in [*modules("portal"), *modules("jobs")]
        if "migrations" not in path.parts
    ]


def packages() -> set[str]:
    """All packages but those that only hold others."""
    return {package(name) for name, _ in sources()} - {"portal.services"}


def arrows() -> set[tuple[str, str]]:
    """Which package imports which, as (from, to)."""
    found = set()
    for name, path in sources():
        ours = {package(other) for other in imports(path) if other.split(".")[0] in ("portal", "jobs")}
        found |= {(package(name), other) for other in ours if other != package(name)}
    return found


def reached(start: str, steps: set[tuple[str, str]]) -> set[str]:
    """The packages that `start` reaches by any number of arrows."""
    found: set[str] = set()
    new = {start}
    while new:
        new = {there for here, there in steps if here in new} - found
        found |= new
    return found


def picture() -> str:
    """A Mermaid block of the arrows. One that a longer way makes superfluous is left out."""
    steps = arrows()
    below = {name: reached(name, steps) for name in packages()}
    needed = [
        (here, there)
        for here, there in sorted(steps)
        if not any(there in below[between] for start, between in steps if start == here and between != there)
    ]
    lines = [f"  {here} --> {there}" for here, there in needed]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```"])


if __name__ == "__main__":
    PAGE.write_text(re.sub(r"```mermaid\n.*?\n```", lambda _: picture(), PAGE.read_text(), flags=re.DOTALL))
