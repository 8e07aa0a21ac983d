"""The clock: what is due runs, and a step that fails stops no other."""

from flask import Flask

from jobs.clock import PERIODIC, Clock, Step
from portal.services.operations import heartbeat


def test_each_step_runs_at_its_own_period(ctx: Flask) -> None:
    ran: list[tuple[str, int]] = []
    second = 0
    steps = [
        Step("often", 1, lambda: ran.append(("often", second))),
        Step("seldom", 3, lambda: ran.append(("seldom", second)), first=1),
    ]
    clock = Clock(steps)
    for second in range(6):
        clock.tick(second)
    assert [at for name, at in ran if name == "often"] == [0, 1, 2, 3, 4, 5]
    assert [at for name, at in ran if name == "seldom"] == [1, 4]


def test_a_step_that_raises_anything_is_counted_and_tried_again_and_the_others_go_on(ctx: Flask) -> None:
    ran: list[int] = []
    second = 0

    def fail() -> None:
        ran.append(second)
        raise RuntimeError("a defect")

    others: list[int] = []
    clock = Clock([Step("fail", 60, fail), Step("work", 1, lambda: others.append(second))])
    for second in range(7):
        clock.tick(second)
    assert ran == [0, 5] and others == [0, 1, 2, 3, 4, 5, 6]
    assert heartbeat.clock_failures() == 2


def test_the_tables_names_differ() -> None:
    assert len({step.name for step in PERIODIC}) == len(PERIODIC)
