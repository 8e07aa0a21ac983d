"""Tables of figures: what each test of a promise has measured, printed at the end of the run.

A test is a row of a table by its marker: `@pytest.mark.chaos("what may happen")`, `@pytest.mark.security("...")`.
"""

import json
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import pytest

FULL = os.environ.get("PORTAL_TEST_FULL") == "1"
TABLES = {"chaos": "reliability", "security": "security"}  # marker and title

Figure = Callable[[str], None]
Number = TypeVar("Number", int, float)


class Row(NamedTuple):
    """One line of a table."""

    what: str
    figure: str
    verdict: str  # holds, MISSED, not applicable


_rows: dict[str, list[Row]] = {marker: [] for marker in TABLES}


def size(short: Number, full: Number) -> Number:
    """How large a row is: small in bin/test, as the table names it in bin/bench --chaos."""
    return full if FULL else short


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Say what a row has measured: before the assertions that judge it, so that a missed row shows it too."""

    def say(text: str) -> None:
        record_property("figure", text)
        print(f"\n{text}")

    return say


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: Any = yield
    for marker in filter(None, map(item.get_closest_marker, TABLES)):
        report.user_properties.append((marker.name, marker.args[0]))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Here and not above: with pytest -n, what is above runs in another process than the summary."""
    properties = dict(report.user_properties)
    marker = next((name for name in TABLES if name in properties), None)
    if marker and (report.when == "call" or report.outcome != "passed"):
        figures = [str(value) for name, value in report.user_properties if name == "figure"]
        if isinstance(report.longrepr, tuple):  # of a test that was skipped
            figures, verdict = [report.longrepr[2].removeprefix("Skipped: ")], "not applicable"
        else:
            verdict = "holds" if report.outcome == "passed" else "MISSED"
        if verdict == "MISSED":
            figures.append(str(getattr(report.longrepr, "reprcrash", None) or report.longrepr)[-300:])
        what = str(properties[marker])
        _rows[marker].append(Row(what, "; ".join(" ".join(text.split()) for text in figures), verdict))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for marker, rows in _rows.items():
        if rows:
            terminalreporter.section(TABLES[marker] + (", full form" if FULL else ", short form"))
        for row in rows:
            terminalreporter.write_line(f"{row.verdict:14} {row.what}: {row.figure}")
    if path := os.environ.get("PORTAL_TEST_FIGURES"):
        with open(path, "a") as file:
            file.writelines(json.dumps(row) + "\n" for rows in _rows.values() for row in rows)
