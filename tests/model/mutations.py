"""Faults that are put into the real code, to see that the model finds them: `with MUTATIONS["no fence"]():`."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

from portal.db.transaction import transaction
from portal.services.delivery import claims, outcomes
from portal.services.routing import lanes
from portal.transport.base import Receipt
from tests.model.connection import Connection
from tests.model.plan import FAULTS, Plan, drawn

# Conditions as they are sent to the database; of each is left that its value is one at all.
_NUMBER = re.compile(r"message\.attempt = (\?)")
_TOKEN = re.compile(r"lane\.lease_token = (\?)")
_LASTS = re.compile(r"lane\.leased_until > (\(strftime\([^)]*\) \|\| '000'\))")

_left_out: ContextVar[tuple[re.Pattern[str], ...]] = ContextVar("left_out", default=())


@contextmanager
def no_fence() -> Iterator[None]:
    """What a drain writes of its mail asks neither for the attempt's number nor for the lease."""
    with ExitStack() as stack:
        for name in ("sent", "deferred", "refused", "failed", "ambiguous", "backed_off"):
            stack.enter_context(_unconditional(outcomes, name, _NUMBER, _TOKEN, _LASTS))
        yield


@contextmanager
def no_lease_at_the_dot() -> Iterator[None]:
    """Before the final dot nobody asks whether the lease lasts."""
    with _unconditional(outcomes, "mark_dot", _LASTS):
        yield


@contextmanager
def outcome_before_the_reply() -> Iterator[None]:
    """A mail counts as sent as soon as it is at its dot."""
    mark_dot, sent = outcomes.mark_dot, outcomes.sent

    def mark_sent(attempt: Any, *rest: Any) -> None:
        mark_dot(attempt, *rest)
        sent(attempt, Receipt(250, "2.0.0 OK"), "")

    with ExitStack() as stack:
        stack.enter_context(patch.object(outcomes, "mark_dot", mark_sent))
        for name in ("sent", "deferred", "failed", "ambiguous"):
            stack.enter_context(patch.object(outcomes, name, lambda *_: None))
        yield


@contextmanager
def no_second_wake() -> Iterator[None]:
    """Mail that is accepted while a drain is at its end wakes nobody: the drain doesn't look once more."""
    with patch.object(claims, "is_due", lambda route: False):
        yield


@contextmanager
def message_before_lane() -> Iterator[None]:
    """A refusal is written down before the lane is locked."""
    deferred = outcomes.deferred

    def turned_round(attempt: Any, *rest: Any) -> None:
        with transaction():
            with patch.object(lanes, "extend", lambda *_, **__: None):
                deferred(attempt, *rest)
            lanes.extend(attempt.lease)

    with patch.object(outcomes, "deferred", turned_round):
        yield


class Mutation(NamedTuple):
    """A fault of the engine, and the schedules in which it can matter: what they have of everything."""

    put_in: Callable[[], AbstractContextManager[None]]
    focus: dict[str, Any]

    def plan(self, seed: int) -> Plan:
        return replace(drawn(Random(seed)), **self.focus)


_FROZEN = {"freeze": 0.03, "kill": 0, "poison": 0, "clocks": 1, "tick_ms": 5000, "turbulent_ms": 1_000_000}
_FROZEN |= {"clock_is_away": False, "messages": 4, "spread_ms": 40_000}
_CALM = {"kill": 0, "freeze": 0, "poison": 0, "fail": 0, "cancels": 0, "slow": 0, "forgets": 0, "interactive": 0}
_ALONE = _CALM | {"lanes": 1, "clock_is_away": True, "places": 2, "processes": 2, "messages": 6, "spread_ms": 20_000}
_REFUSED = {"clock_is_away": False, "fail": 0.3, "faults": [fault for fault in FAULTS if fault.name == "greylisted"]}

MUTATIONS = {
    "no fence": Mutation(no_fence, _FROZEN),
    "no lease at the dot": Mutation(no_lease_at_the_dot, _FROZEN),
    "outcome before the reply": Mutation(outcome_before_the_reply, {}),
    "no second wake": Mutation(no_second_wake, _ALONE),
    "message before lane": Mutation(message_before_lane, _REFUSED),
}


@contextmanager
def _unconditional(module: Any, name: str, *conditions: re.Pattern[str]) -> Iterator[None]:
    """Within the function of that name, statements lack these conditions: their text is changed on its way."""
    function = getattr(module, name)

    def mutated(*given: Any, **more: Any) -> Any:
        token = _left_out.set(conditions)
        try:
            return function(*given, **more)
        finally:
            _left_out.reset(token)

    with patch.object(module, name, mutated), patch.object(Connection, "changed", staticmethod(_without)):
        yield


def _without(text: str) -> str:
    for condition in _left_out.get():
        text = condition.sub(r"\1 IS NOT NULL", text)
    return text
