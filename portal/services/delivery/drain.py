"""The drain: takes a lane, opens one connection, works through what is due in turn over the tenants, stops in time."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from portal import encryption, job_queue
from portal.config import settings
from portal.db import prepared
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Driver
from portal.services.delivery import claims, driver_stopped, outcomes
from portal.services.delivery.compose import Mail, Workbench, prepare
from portal.services.delivery.outcomes import Attempt
from portal.services.drivers import quota
from portal.services.drivers import settings as driver_settings
from portal.services.operations import delivery_status, heartbeat
from portal.services.routing import lanes
from portal.services.routing.lanes import Lease, LeaseLost
from portal.transport.smtp.connection import Account, Connection, Reply, SMTPFailure, Stopped, Timeouts
from portal.transport.smtp.replies import Verdict, classify

DRAIN_SECONDS = 15
# A server may take its time for its greeting, TLS and each command; the lane must stay ours meanwhile.
_SLOW_SERVER_SECONDS = 120
_SLOW_AFTER = 10
# What goes wrong here concerns the connection, not the message that happened to be the first on it.
_SESSION_PHASES = ("connect", "ehlo", "starttls", "auth")

_UNKNOWN = Verdict("fail_message", "unknown")
# A route that fails so many messages in a row by a 5yz that nobody knows is out of order, not their recipients.
_UNKNOWN_IN_A_ROW = 3
# Seconds before writing an outcome is tried again; the lease after the dot lasts longer than all of them.
_WRITE_AGAIN = (0.5, 1, 2, 4, 8)
_LARGE = 256 * 1024  # octets of a mail that may take long to hand over

# Set when the process is asked to end: a drain stops after the mail at hand.
stopping = threading.Event()

log = logging.getLogger(__name__)


def drain(lane_id: int, timeouts: Timeouts | None = None) -> int:
    """Send what is due on the lane, for DRAIN_SECONDS at most. Returns how many messages were accepted."""
    job_queue.clear_wake(lane_id)
    lease = lanes.take(lane_id)
    if lease is None:
        return 0
    session = _Session(lease, timeouts or _timeouts())
    try:
        with prepared.connected(), session:
            session.work(time.monotonic() + DRAIN_SECONDS)
    except LeaseLost:
        log.warning("lane %s is another drain's by now; this one stops", lane_id)
        return session.sent
    lanes.release(lease)
    heartbeat.drained(delivery_status.kind_of(lease.route), time.monotonic() - session.began_at, session.sent)
    if lanes.has_due_mail(lease.route):
        lanes.wake(lease.route)  # behind the others
    return session.sent


def _timeouts() -> Timeouts:
    reply = settings().smtp_reply_timeout
    return Timeouts(dot=reply, session=max(Timeouts.session, 3 * reply))


class _Session:
    """One drain at work: its connection, opened when the first mail is ready, and the messages it has claimed."""

    def __init__(self, lease: Lease, timeouts: Timeouts) -> None:
        self.lease = lease
        self.timeouts = timeouts
        self.connection: Connection | None = None
        self.driver_id = lanes.driver_of(lease.route)
        self.claimed: deque[Attempt] = deque()
        self.bench = Workbench()
        self.kept_at = 0.0
        self.began_at = time.monotonic()
        self.sent = 0

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._close()

    def work(self, until: float) -> None:
        """Send until nothing is due, the time is up (monotonic seconds), or the route has to wait. Raises LeaseLost."""
        going_on = True
        while going_on and time.monotonic() < until and not stopping.is_set():
            if not self.claimed and not self._claim():
                break
            attempt = self.claimed.popleft()
            self.kept_at = time.monotonic()  # the claim or the last outcome has just extended the lease
            mail = prepare(attempt, self.bench, self.claimed)
            going_on = mail is None or self._deliver(mail)
        self._give_back()

    def _claim(self) -> bool:
        """Claim what is due, as much as the route's pace allows. Returns whether there is anything to do."""
        room = claims.BATCH
        if self.driver_id is not None:
            driver = db.session.get(Driver, self.driver_id, populate_existing=True)
            allowance = quota.allowance(driver, room) if driver is not None else quota.Allowance(room)
            db.session.commit()  # ends the read: the next one sees what has been sent meanwhile
            if allowance.count == 0:
                lanes.wait_until(self.lease, allowance.at, allowance.reason)
                return False
            room = allowance.count
        self.claimed.extend(claims.claim(self.lease, room))
        return bool(self.claimed)

    def _give_back(self) -> None:
        claims.give_back(self.lease, self.claimed)
        self.claimed.clear()

    def _deliver(self, mail: Mail) -> bool:
        """Send one mail and write down what became of it. Returns whether the route can go on."""
        dot_marked = False

        def before_dot() -> bool:
            nonlocal dot_marked
            started = time.monotonic()
            outcomes.mark_dot(mail.attempt, mail.dot, self.timeouts.dot)
            dot_marked = True
            # A process that was stopped in here for longer than its lease must not send the dot: it may be taken over.
            return time.monotonic() - started < self.timeouts.dot

        try:
            reply = self._open(mail).send(mail.envelope, mail.content, before_dot)
        except SMTPFailure as failure:
            return self._failed(mail, failure)
        except Stopped:
            raise LeaseLost from None
        except (LeaseLost, SQLAlchemyError):
            raise
        except encryption.Unreadable:
            assert self.driver_id is not None, "the relay's account is a setting"
            return self._stand_still(mail.attempt, self.driver_id, "unreadable_secret", Reply(0, ""))
        except Exception:
            # A defect of ours must neither lose the mail nor stop those behind it.
            log.exception("message %s could not be sent", mail.message.public_id)
            self._close()
            return self._failed(mail, SMTPFailure("dot" if dot_marked else "data", Reply(0, "lost")))
        self.sent += 1
        self._write_sent(mail, reply)
        if self.lease.failures:
            self._recovered()
        return True

    def _write_sent(self, mail: Mail, reply: Reply) -> None:
        """The server has the mail: a database that is away for a moment must not make it a second copy."""
        for wait in (*_WRITE_AGAIN, None):
            try:
                return outcomes.sent(mail.attempt, reply, str(mail.sender.mailbox))
            except OperationalError as error:
                if wait is None:
                    raise
                log.warning("the outcome of a mail is written again in %s s: %s", wait, type(error).__name__)
                threading.Event().wait(wait)

    def _recovered(self) -> None:
        lanes.recovered(self.lease.route)
        self.lease = replace(self.lease, failures=0)

    def _failed(self, mail: Mail, failure: SMTPFailure) -> bool:
        attempt, message, shown = mail.attempt, mail.message, str(mail.sender.mailbox)
        if failure.ambiguous:
            outcomes.ambiguous(attempt, message.ambiguous, failure.reply, shown)
            return True
        if self._is_used_up(failure):
            self._close()
            self.claimed.appendleft(attempt)  # at once again, on a new connection
            return True
        verdict = classify(failure.phase, failure.reply.code, failure.reply.text)
        out_of_order = verdict == _UNKNOWN and outcomes.last_were_unknown(self.lease.route, _UNKNOWN_IN_A_ROW - 1)
        if self.driver_id is not None and (verdict.action == "pause_driver" or out_of_order):
            return self._stand_still(attempt, self.driver_id, verdict.reason, failure.reply)
        if failure.phase in _SESSION_PHASES or verdict.action == "backoff_driver" or out_of_order:
            outcomes.backed_off(attempt, self.lease.route, verdict.reason, failure.reply)
            log.error("route %s has to wait: %s", self.lease.route, verdict.reason)
            return False
        if verdict.action == "fail_message":
            outcomes.failed(attempt, verdict.reason, failure.reply, shown)
        else:
            # The relay is the platform's: what would pause a merchant's own driver is no fault of this message.
            outcomes.deferred(attempt, message.retries, verdict.reason, failure.reply, shown)
        return True

    def _stand_still(self, attempt: Attempt, driver_id: int, reason: str, reply: Reply) -> bool:
        """The account can't be used until a person mends it: its mail waits for that."""
        self._give_back()  # first, so that they are held with the others
        driver_stopped.stop(attempt, driver_id, reason, reply)
        log.warning("driver %s stands still: %s", driver_id, reason)
        return False

    def _is_used_up(self, failure: SMTPFailure) -> bool:
        """Whether the server has only ended a connection that has carried mail: many do after a number of mails."""
        return (
            failure.phase == "mail"
            and failure.reply.code in (0, 421)
            and self.connection is not None
            and self.connection.num_emails > 0
        )

    def _open(self, mail: Mail) -> Connection:
        if self.connection is None or not self.connection.usable:
            self._close()
            self._keep_lease()
            config = settings()
            connection = Connection(
                self._account(),
                timeouts=self.timeouts,
                policy=config.destination_policy,
                ca_file=str(config.smtp_ca_file) if config.smtp_ca_file else None,
                on_step=self._on_step,
            )
            self.connection = connection.__enter__()
        elif len(mail.content) > _LARGE:
            self._keep_lease()
        return self.connection

    def _account(self) -> Account:
        if self.driver_id is None:
            return settings().relay_account
        account = driver_settings.of(db.session.get_one(Driver, self.driver_id, populate_existing=True)).account()
        db.session.commit()  # ends the read: no transaction stays open while a server takes its time
        return account

    def _on_step(self, step: str) -> None:
        """Claims and outcomes extend the lease too; this is for the servers that need longer than it lasts."""
        if time.monotonic() - self.kept_at > _SLOW_AFTER:
            self._keep_lease()

    def _keep_lease(self) -> None:
        with transaction():
            lanes.extend(self.lease, _SLOW_SERVER_SECONDS)
        self.kept_at = time.monotonic()

    def _close(self) -> None:
        if self.connection is not None:
            self.connection.__exit__(None, None, None)
            self.connection = None
