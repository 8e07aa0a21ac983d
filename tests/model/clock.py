"""The steps of the clock that move mail; the others are housekeeping.

A step is left out where it would find nothing: asking by the engine's own queries costs many times as much.
"""

from collections.abc import Callable
from functools import partial

from jobs.clock import PERIODIC, Step
from portal.services.delivery import claims
from portal.services.routing import lanes
from tests.model.laboratory import Laboratory

_WAITING = "EXISTS (SELECT 1 FROM message WHERE state IN ('queued', 'deferred') AND {} <= :now)"
_FINDS_SOMETHING = {
    ("claims", "expire"): _WAITING.format("expires_at"),
    ("claims", "reclaim_expired"): "EXISTS (SELECT 1 FROM lane WHERE lease_token IS NOT NULL AND leased_until <= :now)",
    ("lanes", "wake_due"): """EXISTS (
        SELECT 1 FROM lane JOIN message USING (route)
        WHERE lease_token IS NULL AND (not_before IS NULL OR not_before <= :now)
        AND state IN ('queued', 'deferred') AND due_at <= :now)""",
}
_MODULES = {"claims": claims, "lanes": lanes}


def relevant_steps(laboratory: Laboratory) -> list[Step]:
    steps = {(step.run.__module__.rpartition(".")[2], step.run.__name__): step for step in PERIODIC}
    return [
        Step(steps[named].name, steps[named].period, partial(_run, laboratory, *named), steps[named].first)
        for named in steps
        if named in _FINDS_SOMETHING
    ]


def finds_something(laboratory: Laboratory) -> bool:
    return any(laboratory.finds(condition) for condition in _FINDS_SOMETHING.values())


def _run(laboratory: Laboratory, module: str, name: str) -> object:
    if not laboratory.finds(_FINDS_SOMETHING[module, name]):
        return None
    step: Callable[[], object] = getattr(_MODULES[module], name)  # only now: a test may have put another one there
    return step()
