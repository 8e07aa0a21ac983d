"""The figures of /metrics, read when asked for: every web process gives the same answer, and no label is unbounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from portal import job_queue, redis_client
from portal.extensions import db
from portal.services.operations import delivery_status, heartbeat
from portal.services.operations.delivery_status import DRIVER_STATES, KINDS, LANE_STATES, OUTCOMES, Overview

__all__ = ["CONTENT_TYPE", "text"]

WAITING_STATES = ("queued", "deferred", "held", "sending")


class _Figures(Collector):
    def collect(self) -> Iterator[Metric]:
        try:
            found = list(_of_database())
        except SQLAlchemyError:
            db.session.rollback()
            found = []
        yield GaugeMetricFamily("absender_database_up", "1 if the database answered.", value=bool(found))
        yield from found
        redis = redis_client.is_alive()
        yield GaugeMetricFamily("absender_redis_up", "1 if Redis answered.", value=redis)
        if redis:
            yield from _of_redis()


def text() -> bytes:
    """All figures in Prometheus' text format. A database or a Redis that is away is a figure, not an error."""
    registry = CollectorRegistry(auto_describe=False)
    figures = _Figures()
    figures.describe = list  # type: ignore[attr-defined]  # or it would collect twice
    registry.register(figures)
    return generate_latest(registry)


def _of_database() -> Iterator[Metric]:
    view = delivery_status.read()
    yield from _messages(view)
    yield _gauge(
        "absender_deliveries_last_5m",
        "Messages that ended in the last five minutes; sent means accepted by the next server.",
        ("outcome", "provider"),
        {(outcome, "relay"): 0 for outcome in OUTCOMES} | delivery_status.finished(view.drivers),
    )
    lanes = Counter((lane.route.kind, lane.state) for lane in view.lanes)
    yield _gauge(
        "absender_lanes",
        "Lanes; waiting means back-off or a provider's pace, dead that a lease ran out and no clock has ended it.",
        ("route", "state"),
        {(kind, state): lanes[kind, state] for kind in KINDS for state in LANE_STATES},
    )
    drivers = Counter(driver.state for driver in view.drivers)
    yield _gauge(
        "absender_drivers",
        "Merchants' own mail services; a stopped one was refused by its provider, a paused one was paused by a person.",
        ("state",),
        {(state,): drivers[state] for state in DRIVER_STATES},
    )


def _messages(view: Overview) -> Iterator[Metric]:
    counts: Counter[tuple[str, ...]] = Counter()
    due: Counter[tuple[str, ...]] = Counter()
    oldest = {(kind,): 0.0 for kind in KINDS}
    on_purpose = view.waits_on_purpose()
    for route, row in view.waiting.items():
        kind = route.kind
        for state in WAITING_STATES:
            counts[kind, state] += getattr(row, state)
        due[kind,] += row.due
        if route not in on_purpose and kind in KINDS:
            oldest[kind,] = max(oldest[kind,], row.oldest_due)
    yield _gauge(
        "absender_messages",
        "Messages that have not ended.",
        ("route", "state"),
        {(kind, state): counts[kind, state] for kind in KINDS for state in WAITING_STATES},
    )
    yield GaugeMetricFamily(
        "absender_messages_set_aside",
        "Held messages that workers died with, again and again: they wait for the operator.",
        value=view.set_aside,
    )
    yield _gauge(
        "absender_messages_due",
        "Waiting messages whose time has come.",
        ("route",),
        {(kind,): due[kind,] for kind in KINDS},
    )
    yield _gauge(
        "absender_oldest_due_seconds",
        "How long the oldest due message has waited, drivers that wait for their provider left out.",
        ("route",),
        oldest,
    )


def _of_redis() -> Iterator[Metric]:
    age = heartbeat.clock_age()
    if age is not None:
        yield GaugeMetricFamily("absender_clock_age_seconds", "Time since a clock's last tick.", value=age)
    failures = heartbeat.clock_failures()
    yield CounterMetricFamily("absender_clock_failures", "Steps of the clock that failed.", value=failures)
    jumps = heartbeat.time_jumps()
    yield CounterMetricFamily("absender_time_jumps", "Jumps of the database's time.", value=jumps)
    refused = heartbeat.refused_jobs()
    yield CounterMetricFamily("absender_jobs_refused", "Refused entries of the job queues.", value=refused)
    failed = heartbeat.failed_jobs()
    yield CounterMetricFamily("absender_jobs_failed", "Jobs that ended by an exception.", value=failed)
    yield from _places()
    workers = {(name,): heartbeat.workers(name) or 0 for name in job_queue.QUEUES}
    yield _gauge("absender_workers", "Workers that serve a queue.", ("queue",), workers)
    jobs = {(name,): heartbeat.jobs(name) or 0 for name in job_queue.QUEUES}
    yield _gauge("absender_jobs_waiting", "Jobs that wait for a worker.", ("queue",), jobs)
    times = HistogramMetricFamily("absender_drain_seconds", "How long drains took.", labels=("route",))
    sent = CounterMetricFamily("absender_drained_messages", "Messages accepted in these drains.", labels=("route",))
    for kind in KINDS:
        drains = heartbeat.drains(kind)
        bounds = [*(f"{bound:g}" for bound in heartbeat.BUCKETS), "+Inf"]
        buckets = [(bound, float(sum(drains.counts[: number + 1]))) for number, bound in enumerate(bounds)]
        times.add_metric((kind,), buckets, drains.seconds)
        sent.add_metric((kind,), drains.sent)
    yield times
    yield sent


def _places() -> Iterator[Metric]:
    in_use = {(name,): heartbeat.places(name) for name in job_queue.QUEUES}
    for figure, name, words in (
        ("places", "in_use", "Places of workers in use: lanes, and tests of mail services, at work."),
        ("doubtful", "doubtful", "Of these, places of servers that are slow, or were so the last time."),
        ("waiting", "waiting", "Lanes and tests that wait for a place."),
        ("longest_wait", "longest_wait_seconds", "How long the first of them has waited."),
    ):
        values = {queue: getattr(found, figure) for queue, found in in_use.items()}
        yield _gauge(f"absender_places_{name}", words, ("queue",), values)


def _gauge(name: str, text: str, labels: Iterable[str], values: Mapping[Any, float]) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=tuple(labels))
    for key, value in sorted(values.items()):
        gauge.add_metric(key, value)
    return gauge
