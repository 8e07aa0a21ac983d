"""The drain: takes a lane, opens one connection, works through what is due in turn over the tenants, stops in time."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from portal import encryption, job_queue
from portal.config import settings
from portal.db.transaction import read, transaction
from portal.models import Driver, utcnow
from portal.models.driver import DriverState
from portal.reasons import Reason
from portal.services.delivery import claims, driver_stopped, judgement, outcomes
from portal.services.delivery.judgement import Concerns
from portal.services.delivery.line import Line
from portal.services.delivery.outcomes import Attempt
from portal.services.delivery.place import NoRoom, Place, Pot
from portal.services.delivery.prepare import Outgoing, Workbench, prepare
from portal.services.drivers import quota
from portal.services.drivers.quota import Allowance
from portal.services.operations import heartbeat
from portal.services.routing import lanes, refusals, reroute
from portal.services.routing.lanes import Lease, LeaseLost
from portal.transport.base import (
    Action,
    Receipt,
    Reply,
    Stage,
    Stopped,
    Timeouts,
    TransportFailure,
    Verdict,
)

DRAIN_SECONDS = 15
_LOST = Reply(0, "lost")
_RETRY = Verdict(Action.RETRY_MESSAGE, Reason.SERVICE_UNAVAILABLE)
# Seconds before writing an outcome is tried again; the lease after the dot lasts longer than all of them.
_WRITE_AGAIN = (0.5, 1, 2, 4, 8)
_MOVING = timedelta(seconds=2)  # a lane looks again so often while its driver's mail goes elsewhere
_CROWDED = timedelta(seconds=1)  # and so soon when the process held too much large mail

# Set when the process is asked to end: a drain stops after the mail at hand.
stopping = threading.Event()

log = logging.getLogger(__name__)


def drain(lane_id: int, timeouts: Timeouts | None = None, place: Place | None = None) -> int:
    """Send what is due on the lane, for DRAIN_SECONDS at most. Returns how many messages were accepted."""
    job_queue.clear_wake(lane_id)
    lease = lanes.take(lane_id)
    if lease is None:
        return 0
    session = _Session(lease, place or Place(), timeouts or _timeouts())
    try:
        with closing(session.line):
            # Drains that began together shall not all end together: for a moment nothing would go out.
            session.work(time.monotonic() + DRAIN_SECONDS * random.uniform(0.6, 1))
            if not stopping.is_set():
                session.line.leave()
        lanes.release(lease)
        heartbeat.drained(lease.route.kind, time.monotonic() - session.began_at, session.sent)
        if claims.is_due(lease.route):
            lanes.wake(lease.route)  # behind the others
    except LeaseLost:
        log.warning("lane %s is another drain's by now; this one stops", lane_id)
    return session.sent


def _allowance(driver: Driver, room: int) -> Allowance:
    if driver.state != DriverState.ACTIVE and reroute.is_moving(driver.tenant_id):
        return Allowance(0, utcnow() + _MOVING)  # the clock holds its mail, many at a time
    return quota.allowance(driver, room)


def _timeouts() -> Timeouts:
    reply = settings().smtp_reply_timeout
    return Timeouts(dot=reply, session=max(Timeouts.session, 3 * reply))


class _Session:
    """One drain at work: its transport, opened when the first mail is ready, and the messages it has claimed."""

    def __init__(self, lease: Lease, place: Place, timeouts: Timeouts) -> None:
        self.lease = lease
        self.place = place
        self.timeouts = timeouts
        self.line = Line(lease, place, timeouts)
        self.driver_id = lease.route.driver_id
        self.claimed: deque[Attempt] = deque()
        self.refused: set[int] = set()  # tenants whose mail was refused in words that may concern the route
        self.bench = Workbench()
        self.began_at = time.monotonic()
        self.sent = 0

    def work(self, until: float) -> None:
        """Send until nothing is due, the time is up (monotonic seconds), or the route has to wait. Raises LeaseLost."""
        going_on = True
        while going_on and time.monotonic() < until and not stopping.is_set():
            if not self.claimed and not self._claim():
                break
            going_on = self._next(self.claimed.popleft())
        self._give_back()

    def _next(self, attempt: Attempt) -> bool:
        """Make one mail and send it, or whatever becomes of it. Returns whether the route can go on."""
        self.line.extended()
        self.place.moved()
        self.place.uses(None)
        try:
            size, octets = self.bench.size(attempt, self.claimed), self.place.shared.octets
            with octets.held(self._pot(), size):
                with octets.making(size):
                    outgoing = prepare(attempt, self.bench, self.claimed)
                return outgoing is None or self._deliver(outgoing)
        except NoRoom:
            self.claimed.appendleft(attempt)
            self._give_back()
            lanes.wait_until(self.lease, utcnow() + _CROWDED, None)
            return False

    def _pot(self) -> Pot:
        if self.driver_id is None:
            return Pot.PLATFORM
        return Pot.QUICK if self.place.found else Pot.DOUBTFUL

    def _claim(self) -> bool:
        """Claim what is due, as much as the route's pace allows. Returns whether there is anything to do."""
        room = self._most()
        if self.driver_id is not None:
            with read() as session:  # the next one sees what has been sent meanwhile
                driver = session.get(Driver, self.driver_id, populate_existing=True)
                allowance = _allowance(driver, room) if driver is not None else Allowance(room)
            if allowance.count == 0:
                lanes.wait_until(self.lease, allowance.at, allowance.reason)
                return False
            room = allowance.count
        self.claimed.extend(claims.claim(self.lease, room))
        self.refused = refusals.standing(self.lease.route) if self.claimed else set()
        return bool(self.claimed)

    def _most(self) -> int:
        """As many as go out in about a second, so that nobody's turn is far away when the server is."""
        in_a_second = self.sent / max(time.monotonic() - self.began_at, 0.001)
        return int(min(max(in_a_second, claims.FEW), claims.BATCH))

    def _give_back(self) -> None:
        claims.give_back(self.lease, self.claimed)
        self.claimed.clear()

    def _deliver(self, outgoing: Outgoing) -> bool:
        """Send one mail and write down what became of it. Returns whether the route can go on."""
        dot_marked = False

        def before_handover() -> bool:
            nonlocal dot_marked
            started = time.monotonic()
            if not self.place.hands_over():
                raise TransportFailure("session", False, _RETRY, _LOST)
            outcomes.mark_dot(outgoing.attempt, outgoing.dot, self.timeouts.dot)
            dot_marked = True
            # A process that was stopped in here for longer than its lease must not send the dot: it may be taken over.
            return time.monotonic() - started < self.timeouts.dot

        try:
            receipt = self.line.ready(len(outgoing.mail.content)).send(outgoing.mail, before_handover)
        except TransportFailure as failure:
            return self._failed(outgoing, failure)
        except Stopped:
            raise LeaseLost from None
        except (LeaseLost, SQLAlchemyError):
            raise
        except encryption.Unreadable:
            assert self.driver_id is not None, "the relay's account is a setting"
            return self._stop_driver(outgoing.attempt, self.driver_id, Reason.UNREADABLE_SECRET, Reply(0, ""))
        except Exception:
            # A defect of ours must neither lose the mail nor stop those behind it.
            log.exception("message %s could not be sent", outgoing.message.public_id)
            self.line.close()
            stage: Stage = "handover" if dot_marked else "message"
            return self._failed(outgoing, TransportFailure(stage, dot_marked, _RETRY, _LOST))
        self.sent += 1
        self.place.accepted()
        self._write_sent(outgoing, receipt)
        if self.lease.failures:
            self._recovered()
        if outgoing.attempt.tenant_id in self.refused:
            refusals.clear(self.lease.route, outgoing.attempt.tenant_id)
            self.refused.discard(outgoing.attempt.tenant_id)
        return True

    def _write_sent(self, outgoing: Outgoing, receipt: Receipt) -> None:
        """The server has the mail: a database that is away for a moment must not make it a second copy."""
        for wait in (*_WRITE_AGAIN, None):
            try:
                return outcomes.sent(outgoing.attempt, receipt, str(outgoing.sender.mailbox))
            except OperationalError as error:
                if wait is None:
                    raise
                log.warning("the outcome of a mail is written again in %s s: %s", wait, type(error).__name__)
                threading.Event().wait(wait)

    def _recovered(self) -> None:
        lanes.recovered(self.lease.route)
        self.lease = replace(self.lease, failures=0)

    def _failed(self, outgoing: Outgoing, failure: TransportFailure) -> bool:
        attempt, message, shown = outgoing.attempt, outgoing.message, str(outgoing.sender.mailbox)
        verdict = failure.verdict
        if failure.ambiguous:
            outcomes.ambiguous(attempt, message.ambiguous, failure.reply, shown)
            return True
        if self.place.was_cut:
            return self._back_off(attempt, failure)
        if failure.used_up:
            self.line.close()
            self.claimed.appendleft(attempt)  # at once again, on a new connection
            return True
        if self.driver_id is not None and verdict.action == Action.PAUSE_DRIVER:
            return self._stop_driver(attempt, self.driver_id, verdict.reason, failure.reply)
        # A session that can't be opened concerns the route, not the message that happened to be the first on it.
        if failure.stage == "session":
            return self._back_off(attempt, failure)
        whom = judgement.concerns(outgoing, failure, self.claimed)
        if whom == Concerns.ROUTE:
            return self._out_of_order(attempt, failure)
        if whom == Concerns.PERHAPS_ROUTE:
            return self._ask_another(outgoing, failure)
        if verdict.action == Action.FAIL_MESSAGE:
            outcomes.failed(attempt, verdict.reason, failure.reply, shown)
        else:
            # The relay is the platform's: what would pause a merchant's own driver is no fault of this message.
            outcomes.deferred(attempt, message.retries, verdict, failure.reply, shown)
        return True

    def _ask_another(self, outgoing: Outgoing, failure: TransportFailure) -> bool:
        """Words that may concern the whole route, said of one mail: another one is next, and tells."""
        attempt, message, route = outgoing.attempt, outgoing.message, self.lease.route
        about = (failure.verdict, failure.reply, str(outgoing.sender.mailbox))
        waits = outcomes.refused(attempt, message.retries, *about)
        self.refused.add(attempt.tenant_id)
        others = judgement.others(route, attempt.tenant_id, self.claimed)
        own = [one for one in self.claimed if one not in others]
        is_due = not others and claims.is_due_for_another(route, attempt.tenant_id, message.to_address)
        if waits or is_due:
            claims.give_back(self.lease, own)  # the next claim begins behind this tenant
            own = []
        self.claimed = deque([*others, *own])
        return True

    def _out_of_order(self, attempt: Attempt, failure: TransportFailure) -> bool:
        """It is the route: what nobody knows stops a merchant's own; anything else passes."""
        if self.driver_id is not None and failure.verdict.action == Action.FAIL_MESSAGE:
            return self._stop_driver(attempt, self.driver_id, failure.verdict.reason, failure.reply)
        with transaction():
            going_on = self._back_off(attempt, failure)
            about = (self.lease.route, attempt.tenant_id, attempt.message_id, failure.verdict.reason)
            refusals.note(*about, counts=False)
        return going_on

    def _back_off(self, attempt: Attempt, failure: TransportFailure) -> bool:
        """All lanes of the route wait. Returns False: this one ends."""
        outcomes.backed_off(attempt, self.lease.route, failure.verdict, failure.reply)
        log.error("route %s has to wait: %s", self.lease.route, failure.verdict.reason)
        return False

    def _stop_driver(self, attempt: Attempt, driver_id: int, reason: str, reply: Reply) -> bool:
        """The account can't be used until a person mends it: its mail waits for that."""
        self._give_back()  # first, so that they are held with the others
        driver_stopped.stop(attempt, driver_id, reason, reply)
        log.warning("driver %s is stopped: %s", driver_id, reason)
        return False
