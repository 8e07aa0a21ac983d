"""What became of an attempt: each function is the one transaction that says so, in the message's row and in its log.

All of them are conditional on the attempt's number and on the lane's lease; a write that changes no row raises
LeaseLost and stops the drain, because somebody else may have the message by now. Each locks its lane before its
message, so that no two of them can wait for one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import JSON, bindparam, insert, null, select, update

from portal.db.all_or_none import AllOrNone, NewRow
from portal.db.transaction import after_commit, read, transaction
from portal.extensions import db
from portal.models import LogEntry, Message, now, utcnow
from portal.models.message import State
from portal.models.route import Route
from portal.reasons import Reason
from portal.services import message_state
from portal.services.delivery import retry_policy, suspects
from portal.services.message_state import ENTRY, MESSAGE, Change, change
from portal.services.routing import lanes, refusals
from portal.services.routing.lanes import Lease, LeaseLost
from portal.transport.base import Receipt, Reply, Verdict


@dataclass(frozen=True)
class Attempt:
    """One try at sending one message, under a lease."""

    lease: Lease
    message_id: int
    tenant_id: int
    number: int
    public_id: str


class Entry(NamedTuple):
    """What a message's log says of a change. `reply` is the server's answer; `wait` seconds until it goes on."""

    event: str
    reason: str | None = None
    reply: Reply | Receipt | None = None
    sender: str | None = None
    wait: float | None = None


_DOT = AllOrNone(
    lanes.KEEP,
    update(Message)
    .where(Message.id == bindparam("message"), Message.attempt == bindparam("number"), Message.state == "sending")
    .values(dot_at=now(), dot=bindparam("recorded", type_=JSON)),
)


def mark_dot(attempt: Attempt, dot: dict[str, Any], reply_timeout: float) -> None:
    """Commit phase `dot`: from here on the message may have been accepted. Raises LeaseLost."""
    _changed(_DOT.run(**_fence(attempt), seconds=reply_timeout + lanes.LEASE_SECONDS, recorded=dot))


_SENT = AllOrNone(
    lanes.KEEP,
    change(
        [State.SENDING],
        State.SENT,
        reason=None,
        lane_id=None,
        finished_at=now(),
        sender=bindparam("shown"),
        dot=null(),  # no second copy can be needed; and a short row leaves room to its neighbours
    ).where(MESSAGE.c.id == bindparam("message"), MESSAGE.c.attempt == bindparam("number")),
    NewRow(
        ENTRY,
        tenant_id=bindparam("tenant"),
        message_id=bindparam("message"),
        at=now(),
        event="sent",
        code=bindparam("reply_code"),
        text=bindparam("reply_text"),
        sender=bindparam("shown"),
    ),
    durable=False,
)


def sent(attempt: Attempt, receipt: Receipt, sender: str) -> None:
    """The next server has accepted the message. Raises LeaseLost."""
    about = {"tenant": attempt.tenant_id, "reply_code": receipt.code, "reply_text": receipt.text, "shown": sender}
    _changed(_SENT.run(**_fence(attempt), seconds=lanes.LEASE_SECONDS, **about))
    _tell(attempt, State.SENT, Entry("sent", reply=receipt))


def _fence(attempt: Attempt) -> dict[str, Any]:
    lease = attempt.lease
    return {"lane": lease.lane_id, "token": lease.token, "message": attempt.message_id, "number": attempt.number}


def _changed(rows: int) -> None:
    if rows != 1:
        raise LeaseLost


def expired(attempt: Attempt, ambiguous: int) -> None:
    """Too old to be sent; what may have arrived once did not simply fail."""
    _finish(attempt, State.UNCONFIRMED if ambiguous else State.FAILED, Reason.EXPIRED)


def failed(attempt: Attempt, reason: str, reply: Reply | None = None, sender: str | None = None) -> None:
    """The message will never be sent."""
    _finish(attempt, State.FAILED, reason, reply, sender)


def cancelled(attempt: Attempt, reason: str) -> None:
    """Nobody waits for the message any more."""
    _finish(attempt, State.CANCELLED, reason)


def deferred(attempt: Attempt, retries: int, verdict: Verdict, reply: Reply, sender: str) -> None:
    """This message again: when the server said so, else after its place in the schedule."""
    seconds = retry_policy.seconds_until_next(retries, verdict)
    with transaction():
        lanes.extend(attempt.lease)
        entry = Entry("deferred", verdict.reason, reply, sender, seconds)
        tried = {"reason": verdict.reason, "sender": sender, "retries": retries + 1, "releases": 0}
        _write(attempt, State.DEFERRED, entry, **tried, due_at=now(seconds), dot_at=None)


def refused(attempt: Attempt, retries: int, verdict: Verdict, reply: Reply, sender: str) -> bool:
    """This message again, in words that may concern its route, which goes on behind its tenant.

    Returns whether the tenant's other mail on the route waits now, too.
    """
    with transaction():
        deferred(attempt, retries, verdict, reply, sender)
        lanes.extend(attempt.lease, turn=attempt.tenant_id)
        about = (attempt.lease.route, attempt.tenant_id, attempt.message_id, verdict.reason)
        return refusals.note(*about, named=retry_policy.named_by(verdict))


def backed_off(attempt: Attempt, route: Route, verdict: Verdict, reply: Reply) -> None:
    """The whole route waits; the message that met it says so in the log, and its own schedule is not used up."""
    with transaction():
        wait = lanes.back_off(route, verdict.reason, retry_policy.named_by(verdict), behind=attempt.tenant_id)
        lanes.extend(attempt.lease, turn=attempt.tenant_id)
        entry = Entry("deferred", verdict.reason, reply, wait=wait)
        _write(attempt, State.DEFERRED, entry, reason=verdict.reason, due_at=now(wait), dot_at=None)


def held(attempt: Attempt, reason: str, reply: Reply | None = None) -> None:
    """The message waits for its sender, without its time running out."""
    with transaction():
        lanes.extend(attempt.lease)
        _write(attempt, State.HELD, Entry("held", reason, reply), reason=reason, held_at=now(), dot_at=None)


def moved(attempt: Attempt, route: Route, *, stands_in: bool = False) -> None:
    """The sender in force goes by another route now: the message waits there.

    `stands_in`: it is the default one, in place of a driver that can't send.
    """
    with transaction():
        lanes.extend(attempt.lease)
        entry = Entry("sender_changed", Reason.DRIVER_STOPPED) if stands_in else None
        _write(attempt, State.QUEUED, entry, route=route)


def ambiguous(attempt: Attempt, times: int, reply: Reply, sender: str) -> None:
    """The fate after the final dot is unknown."""
    with transaction():
        lanes.extend(attempt.lease)
        _ambiguous(attempt, times, reply, sender, retry_policy.AMBIGUOUS_SECONDS)


def _ambiguous(attempt: Attempt, times: int, reply: Reply, sender: str | None, wait: float = 0) -> None:
    """Once: the same bytes again. Twice: the reader decides, by *Send again*."""
    if times == 0:
        entry = Entry("ambiguous", Reason.INTERRUPTED, reply, sender, wait)
        again = {"ambiguous": 1, "due_at": now(wait), "sender": sender, "releases": 0}
        _write(attempt, State.QUEUED, entry, reason=Reason.INTERRUPTED, **again)
    else:
        entry = Entry("unconfirmed", Reason.INTERRUPTED, reply, sender)
        ended = {"reason": Reason.INTERRUPTED, "sender": sender, "finished_at": utcnow()}
        _write(attempt, State.UNCONFIRMED, entry, ambiguous=times + 1, **ended)


def returned(message: Message, lease: Lease) -> None:
    """What a lane that died leaves behind. Within the transaction that ended its lease.

    Before the final dot nothing can have been accepted: back to the queue, safely, until it is set aside. At the dot:
    ambiguous. Who was claimed alone goes behind the others, for it may have been the cause.
    """
    attempt = Attempt(lease, message.id, message.tenant_id, message.attempt, message.public_id)
    releases = message.releases + 1
    if message.dot_at is None and suspects.is_convicted(message.id, releases):
        held = {"reason": Reason.SET_ASIDE, "held_at": now(), "releases": releases}
        _write(attempt, State.HELD, Entry("held", Reason.SET_ASIDE), **held)
    elif message.dot_at is None:
        behind = {"due_at": now()} if message.releases else {}
        _write(attempt, State.QUEUED, Entry("released", Reason.INTERRUPTED), releases=releases, **behind)
    else:
        sender = message.dot["shown"] if message.dot else None
        _ambiguous(attempt, message.ambiguous, Reply(0, "lost"), sender)


def log_sender_changed(attempt: Attempt, sender: str) -> None:
    """The sender recorded for a second copy is no longer allowed; another one takes its place."""
    with transaction():
        lanes.extend(attempt.lease)
        _log(attempt, State.SENDING, Entry("sender_changed", sender=sender))


def _finish(attempt: Attempt, state: State, reason: str, reply: Reply | None = None, sender: str | None = None) -> None:
    with transaction():
        lanes.extend(attempt.lease)
        used = {"sender": sender} if sender else {}
        _write(attempt, state, Entry(state, reason, reply, sender), reason=reason, finished_at=utcnow(), **used)


def _write(attempt: Attempt, state: State, entry: Entry | None, **values: Any) -> None:
    """Change the state, with a line in the message's log if there is anything to say."""
    changed = db.session.execute(
        change([State.SENDING], state, lane_id=None, **values).where(
            MESSAGE.c.id == attempt.message_id, MESSAGE.c.attempt == attempt.number
        )
    )
    _changed(changed.rowcount)  # type: ignore[attr-defined]
    if entry is not None:
        _log(attempt, state, entry)
    else:
        after_commit(partial(_tell, attempt, state, None))


def last_unknown(route: Route, count: int) -> list[tuple[int, str]]:
    """Tenant and recipient of the last `count` messages that ended on the route.

    Only if all of them have failed by a refusal that nobody knows; else nothing.
    """
    ended = select(Message.state, Message.reason, Message.tenant_id, Message.to_address).where(
        Message.route == route, Message.finished_at.is_not(None), Message.state.in_(("sent", "unconfirmed", "failed"))
    )
    with read() as session:
        last = session.execute(ended.order_by(Message.finished_at.desc()).limit(count)).all()
    unknown = [(row.tenant_id, row.to_address) for row in last if (row.state, row.reason) == ("failed", Reason.UNKNOWN)]
    return unknown if len(unknown) == count else []


def _log(attempt: Attempt, state: State, entry: Entry) -> None:
    db.session.execute(
        insert(LogEntry).values(
            tenant_id=attempt.tenant_id,
            message_id=attempt.message_id,
            at=utcnow(),
            event=entry.event,
            reason=entry.reason,
            code=entry.reply.code if entry.reply else None,
            text=entry.reply.text if entry.reply else None,
            sender=entry.sender,
            until=now(entry.wait) if entry.wait is not None else None,
        )
    )
    after_commit(partial(_tell, attempt, state, entry))


def _tell(attempt: Attempt, state: State, entry: Entry | None) -> None:
    event, reason, reply = (entry.event, entry.reason, entry.reply) if entry else (None, None, None)
    lease = attempt.lease
    message_state.tell(
        [
            Change(
                attempt.message_id, attempt.tenant_id, attempt.public_id, state, event, reason, lease.route,
                attempt.number, lease.lane_id, reply.code if reply else None,
            )
        ]
    )  # fmt: skip
