"""What needs a person now: the operator's view judged, one sentence each."""

from __future__ import annotations

from collections import Counter

from portal import job_queue, redis_client
from portal.services.operations import heartbeat
from portal.services.operations.delivery_status import Overview

OLDEST_DUE = 120  # seconds; the alert rules of docs/operations.md say the same
_CLOCK_AGE = 30
_FAILURES = 3


def sentences(view: Overview | None) -> list[str]:
    """Nothing to do: an empty list. `view` None: the database doesn't answer."""
    if view is None:
        return ["The database does not answer: nothing is accepted, and nothing is sent."]
    return [*_mail(view), *_processes()]


def _mail(view: Overview) -> list[str]:
    on_purpose = view.waits_on_purpose()
    found = [
        f"Due mail on {route} has waited for {row.oldest_due:.0f} s: no worker takes it, or they are too few."
        for route, row in view.waiting.items()
        if row.oldest_due > OLDEST_DUE and route not in on_purpose
    ]
    found += [
        f"The route {route} refuses all mail of {count} {'shop' if count == 1 else 'shops'} ({reason}): theirs waits, "
        "others' is sent."
        for (route, reason), count in view.refused.items()
    ]
    if view.set_aside:
        found.append(
            f"{view.set_aside} {'message was' if view.set_aside == 1 else 'messages were'} set aside, because workers "
            "died with them: see why in the workers' log, then `flask delivery release` or `flask delivery end`."
        )
    dead = [str(lane.id) for lane in view.lanes if lane.state == "dead" and -(lane.seconds or 0) > _CLOCK_AGE]
    if dead:
        found.append(f"The leases of lanes {', '.join(dead)} ran out and no clock has ended them: is a clock running?")
    away = {lane.route: lane for lane in view.lanes if lane.state == "waiting" and lane.failures >= _FAILURES}
    found += [
        f"The route {route} has failed {lane.failures} times in a row ({lane.reason}) and waits."
        for route, lane in away.items()
    ]
    stopped = Counter(driver.reason for driver in view.drivers if driver.state == "stopped")
    found += [
        f"{count} {'driver stands' if count == 1 else 'drivers stand'} still ({reason}): "
        "their merchants are told and must act."
        for reason, count in stopped.items()
    ]
    return found


def _processes() -> list[str]:
    if not redis_client.is_alive():
        return ["Redis does not answer: mail is accepted, and sent once it is back."]
    found = []
    age = heartbeat.clock_age()
    if age is None or age > _CLOCK_AGE:
        since = "in the last week" if age is None else f"for {age:.0f} s"
        found.append(f"No clock has ticked {since}: start `python -m jobs.clock`.")
    for name in job_queue.QUEUES:
        if not heartbeat.workers(name):
            found.append(f"No worker serves the queue {name}: start `python -m jobs.worker {name}`.")
    return found
