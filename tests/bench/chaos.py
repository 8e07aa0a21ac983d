"""`bin/bench --chaos`: the reliability table in its full form, on SQLite and on PostgreSQL; 1 if a row is missed."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.table import say
from tests.support.figures import Row
from tests.support.postgres import UNAVAILABLE
from tests.support.processes import ROOT, python


def main() -> int:
    failed = False
    for database, runner in (("SQLite", []), ("PostgreSQL", ["tests.support.postgres", *python("-m")])):
        say(f"The reliability table on {database}: this takes about an hour with the model, half of it without ...")
        code, rows = _run(python("-m", *runner, "pytest", "-q", "tests/chaos"))
        if code == UNAVAILABLE:
            say("Not run on PostgreSQL, because none was found.")
            continue
        failed |= code != 0 or not rows or any(row.verdict == "MISSED" for row in rows)
        print(
            f"\n{datetime.now(UTC):%Y-%m-%d}, {database}, Python {platform.python_version()}, {os.cpu_count()} cores\n"
        )
        print("| what | figure | |\n|---|---|---|")
        for row in rows:
            print(f"| {row.what} | {row.figure.replace('|', '/')} | {row.verdict} |")
        if code and not any(row.verdict == "MISSED" for row in rows):
            print(f"| the run itself | pytest ended with {code} | MISSED |")
        sys.stdout.flush()
    return int(failed)


def _run(command: list[str]) -> tuple[int, list[Row]]:
    """Run the tests; pytest's lines are progress, the rows come by a file."""
    kept = {name: value for name, value in os.environ.items() if name != "PORTAL_TEST_DATABASE_URL"}
    with tempfile.TemporaryDirectory(prefix="absender-chaos-") as folder:
        figures = Path(folder) / "figures"
        environment = kept | {"PORTAL_TEST_FULL": "1", "PORTAL_TEST_FIGURES": str(figures)}
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr, check=False)
        lines = figures.read_text().splitlines() if figures.exists() else []
    return done.returncode, [Row(*json.loads(line)) for line in lines]
