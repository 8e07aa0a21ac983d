"""The tables of promises name tests that exist, and every test that is a row stands in its table."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.any_database

SECURITY = (ROOT / "docs/security.md").read_text()
RELIABILITY = (ROOT / "docs/reliability.md").read_text()
NAMED = re.findall(r"`([\w/]+\.py)::(test_\w+)`", SECURITY)


def functions_of(path: Path) -> dict[str, list[str]]:
    """The tests of a file, each with its marks as they are written."""
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    return {f.name: [ast.unparse(d) for d in f.decorator_list] for f in functions if f.name.startswith("test_")}


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_the_security_table_names_exists_and_is_not_switched_off(file: str, name: str) -> None:
    marks = functions_of(ROOT / "tests" / file)[name]
    assert not [mark for mark in marks if "skip" in mark or "xfail" in mark]


def test_every_row_of_the_security_table_names_a_test() -> None:
    rows = [line for line in SECURITY.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    assert [row for row in rows if "::test_" not in row] == []


def test_every_test_that_prints_a_security_figure_stands_in_the_table() -> None:
    marked = {
        (str(path.relative_to(ROOT / "tests")), name)
        for path in (ROOT / "tests").rglob("test_*.py")
        for name, marks in functions_of(path).items()
        if any(mark.startswith("pytest.mark.security(") for mark in marks)
    }
    assert len(marked) >= 12
    assert marked - set(NAMED) == set()


def test_the_reliability_table_names_files_that_exist() -> None:
    files = set(re.findall(r"`(test_\w+\.py)`", RELIABILITY))
    assert files == {path.name for path in (ROOT / "tests/chaos").glob("test_*.py")}
