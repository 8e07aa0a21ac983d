"""What the rows share: a misbehaving relay, the product's processes, and the table at the end of the run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import trustme
from flask import Flask

from tests.chaos.steps import FULL, Row, Run, Start
from tests.support.hostile_server import HostileServer
from tests.support.processes import Process
from tests.support.warm import Nursery, WarmProcess

_rows: list[Row] = []


@pytest.fixture
def smtp() -> Iterator[HostileServer]:
    """The platform's relay, in place of the well-behaved one."""
    with HostileServer() as server:
        yield server


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say what a row has measured: before the assertions that judge it, so that a missed row shows it too."""

    def say(text: str) -> None:
        record_property("figure", text)
        print(f"\n{text}")

    return say


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery | None]:
    """Short forms fork their processes; the full forms start them as an operator does."""
    if FULL:
        yield None
        return
    with Nursery() as nursery:
        yield nursery


@pytest.fixture
def start(environment: Callable[..., dict[str, str]], nursery: Nursery | None) -> Iterator[Start]:
    """Start one of the product's processes: `start(processes.WORKER_MAIL, relay_lanes=1)`."""
    with ExitStack() as stack:

        def start(command: list[str], **settings: Any) -> Process | WarmProcess:
            made = environment(**settings)
            process = WarmProcess(nursery, command, made) if nursery else Process(command, made)
            return stack.enter_context(process)

        yield start


@pytest.fixture
def run(app: Flask, smtp: HostileServer, start: Start) -> Run:
    return Run(app, smtp, start)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: Any = yield
    marker = item.get_closest_marker("chaos")
    if marker and (report.when == "call" or report.outcome != "passed"):
        figures = [str(value) for name, value in report.user_properties if name == "figure"]
        if report.outcome == "skipped":
            figures, verdict = [report.longrepr[2].removeprefix("Skipped: ")], "not applicable"
        else:
            verdict = "holds" if report.outcome == "passed" else "MISSED"
        if verdict == "MISSED":
            figures.append(str(getattr(report.longrepr, "reprcrash", None) or report.longrepr)[-300:])
        _rows.append(Row(marker.args[0], "; ".join(" ".join(text.split()) for text in figures), verdict))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _rows:
        return
    terminalreporter.section("reliability" + (", full form" if FULL else ", short form"))
    for row in _rows:
        terminalreporter.write_line(f"{row.verdict:14} {row.what}: {row.figure}")
    if path := os.environ.get("PORTAL_TEST_FIGURES"):
        with open(path, "a") as file:
            file.writelines(json.dumps(row) + "\n" for row in _rows)
