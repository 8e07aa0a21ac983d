"""The product at work for a while: how much one mail worker sends in it, and how long mail that is handed in waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select, update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane, LogEntry, Message, now, utcnow
from portal.services.operations import heartbeat
from portal.services.routing import lanes
from tests.bench.processes import Server
from tests.bench.product import Product
from tests.support import processes
from tests.support.waiting import eventually

_LONGEST_START = 60  # seconds
_LOOK_SECONDS = 0.5


class Pace(NamedTuple):
    """Mails a second; what its worker's processes used at most, in MB; processor time for each mail, in ms."""

    rate: float
    megabytes: float
    cpu: float


@contextmanager
def standing(product: Product, command: list[str], **settings: object) -> Iterator[Server]:
    """A worker and the clock, within the application's context: both are up, and all lanes wait until `go`."""
    with product.working(command, **settings) as (worker,):
        with transaction() as session:
            session.execute(update(Lane).values(not_before=now(_LONGEST_START)))
        with product.process(processes.CLOCK, **settings):
            eventually(lambda: heartbeat.clock_age() is not None, "the clock ticks", _LONGEST_START / 2)
            yield worker


def go() -> None:
    """Let all lanes begin, and wake those that have something to do."""
    with transaction() as session:
        session.execute(update(Lane).values(not_before=None))
    lanes.wake_due()


def pace(product: Product, seconds: float, **settings: object) -> Pace:
    """Send what waits by one mail worker, with the clock beside it, for so many seconds or until all is sent."""
    with standing(product, processes.WORKER_MAIL, **settings) as worker:
        waiting = _count(Message.finished_at.is_(None))
        used, begin, most = worker.cpu_seconds, time.time(), 0.0
        go()
        while time.time() < begin + seconds and _count(Message.finished_at.is_(None)):
            most = max(most, worker.megabytes)
            time.sleep(_LOOK_SECONDS)
        until = min(time.time(), begin + seconds)
        used = worker.cpu_seconds - used
        worker.stop()
        sent = select(func.count(), func.max(LogEntry.at)).where(
            LogEntry.event == "sent", LogEntry.at <= datetime.fromtimestamp(until, UTC)
        )
        count, last = db.session.execute(sent).one()
        if not count:
            raise RuntimeError(f"nothing was sent:\n{worker.output[-2000:]}")
        took = last.timestamp() - begin if count == waiting else seconds
        return Pace(count / took, most, 1000 * used / count)


def hand_in(seconds: float, a_second: float, accept: Callable[[int], object]) -> None:
    """Call `accept` so often a second, with 0, 1, 2 ...; calls that come late are made up for."""
    begin = time.monotonic()
    for number in range(int(seconds * a_second)):
        time.sleep(max(0.0, begin + number / a_second - time.monotonic()))
        accept(number)


def waits(which: ColumnElement[bool], grace: float) -> list[float]:
    """Seconds from accepted to sent of these messages, once all are sent, or after `grace` seconds.

    What is not sent by then counts with its wait so far. Raises RuntimeError where there is none.
    """
    until = time.monotonic() + grace
    while time.monotonic() < until and _count(which, Message.finished_at.is_(None)):
        time.sleep(_LOOK_SECONDS)
    sent = select(Message.accepted_at, LogEntry.at).outerjoin(
        LogEntry, (LogEntry.message_id == Message.id) & (LogEntry.event == "sent")
    )
    found = db.session.execute(sent.where(which)).all()
    if not found:
        raise RuntimeError("no mail was handed in")
    return [((sent_at or utcnow()) - accepted_at).total_seconds() for accepted_at, sent_at in found]


def _count(*which: ColumnElement[bool]) -> int:
    db.session.rollback()
    found = db.session.scalar(select(func.count()).select_from(Message).where(*which))
    db.session.rollback()
    return found or 0
