"""The engine's real code in random schedules of a model of its surroundings (tests/model), and faults put into it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.model.laboratory import Laboratory
from tests.model.mutations import MUTATIONS
from tests.model.world import Report, World
from tests.support.figures import FULL, Figure, size
from tests.support.processes import ROOT, python

SCHEDULES = size(150, 100_000)
SECONDS = 45 * 60  # after which the full form begins no further one
MOST = 400  # schedules until a fault is found
# The model has a SQLite of its own: the schedules would be the same again.
pytestmark = pytest.mark.any_database


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    with Laboratory() as laboratory:
        yield laboratory


def run_in_processes(count: int) -> list[dict[str, Any]]:
    """So many schedules, on all cores."""
    cores = os.cpu_count() or 1
    share = -(-count // cores)
    firsts = range(0, count, share)
    commands = [python("-m", "tests.model", str(first), "--count", str(min(share, count - first))) for first in firsts]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for command in commands]
    said = [process.communicate()[0] for process in processes]
    return [json.loads(text) for text in said]


def run_here(laboratory: Laboratory, count: int) -> list[dict[str, Any]]:
    reports = [World(laboratory, seed).run() for seed in range(count)]
    broken = {str(report.seed): report.broken[0] for report in reports if report.broken}
    sent, kills = sum(report.sent for report in reports), sum(report.kills for report in reports)
    return [{"count": count, "sent": sent, "kills": kills, "broken": broken}]


@pytest.mark.chaos("random schedules of kills, freezes, lost wakes and a failing server")
def test_random_schedules_break_no_promise(laboratory: Laboratory, figure: Figure) -> None:
    if FULL and os.environ.get("PORTAL_TEST_DATABASE_URL"):
        pytest.skip("not applicable: the model has a SQLite of its own")
    parts = run_in_processes(SCHEDULES) if FULL else run_here(laboratory, SCHEDULES)
    done, sent, kills = (sum(part[name] for part in parts) for name in ("count", "sent", "kills"))
    broken = {seed: promise for part in parts for seed, promise in part["broken"].items()}
    figure(f"{done} schedules with {sent} mails and {kills} kills: {len(broken)} broke a promise")
    assert done >= SCHEDULES / 4 and sent > done and kills > done / 3
    assert not broken, f"python -m tests.model {next(iter(broken))}: {next(iter(broken.values()))}"


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_fault_that_is_put_into_the_engine_is_found(laboratory: Laboratory, name: str) -> None:
    mutation = MUTATIONS[name]
    with mutation.put_in():
        found = first_broken(laboratory, name)
    assert found is not None, f"not found in {MOST} schedules"
    print(f"{name}: found by schedule {found.seed + 1}: {found.broken[0]}")
    for seed in range(max(0, found.seed - 20), found.seed + 1):
        assert World(laboratory, seed, mutation.plan(seed)).run().broken == [], (
            "without it the same schedules are clean"
        )


def first_broken(laboratory: Laboratory, name: str) -> Report | None:
    plan = MUTATIONS[name].plan
    reports = (World(laboratory, seed, plan(seed)).run() for seed in range(MOST))
    return next((report for report in reports if report.broken), None)


@pytest.mark.parametrize("seed", [3, 11])
def test_a_seed_replays_step_by_step_in_another_process(laboratory: Laboratory, seed: int) -> None:
    before = World(laboratory, seed).run()
    replayed = subprocess.run(
        [sys.executable, "-m", "tests.model", str(seed)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert replayed.stdout.splitlines()[1:] == before.trace and len(before.trace) > 5
