"""What gets installed is pinned and hashed, and nobody is told where to take it from."""

import json
import re
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted(ROOT.glob("requirements*.lock"))


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9.-]*)(?:\[[a-z,]+\])?==([^\s;]+)", lock.read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", [*LOCKS, ROOT / "package-lock.json"], ids=lambda path: path.name)
def test_a_lock_file_names_neither_a_registry_nor_a_path(lock: Path) -> None:
    assert not re.search(r"://|--(extra-)?index-url|--find-links|^/|\s/|\"resolved\"", lock.read_text(), re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_requirement_has_hashes(lock: Path) -> None:
    requirements = re.findall(r"^[a-z0-9].*$", lock.read_text(), re.MULTILINE)
    assert requirements
    assert [line for line in requirements if not line.endswith("\\")] == []
    assert len(re.findall(r"^[a-z0-9].*\\\n +--hash=sha256:[0-9a-f]{64}", lock.read_text(), re.MULTILINE)) == len(
        requirements
    )


def test_the_lock_holds_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = (
        project["project"]["dependencies"] + project["dependency-groups"]["demo"] + project["dependency-groups"]["test"]
    )
    locked = pins(ROOT / "requirements.lock")
    for requirement in wanted:
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?(?:==([0-9a-z.]+)(\*)?)?", requirement)
        assert match
        name = re.sub(r"[-_.]+", "-", match[1]).lower()
        assert name in locked, f"{name} is not in requirements.lock: run bin/lock"
        if match[2]:
            assert locked[name] == match[2] or (match[3] and locked[name].startswith(match[2]))


def test_every_npm_package_has_a_hash() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert {name for name, entry in packages.items() if name and not entry.get("integrity")} == set()
    assert {"node_modules/htmx.org", "node_modules/@picocss/pico", "node_modules/axe-core"} <= set(packages)
