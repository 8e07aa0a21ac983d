"""From a claimed message to the mail for the wire, by the sender in force now."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

from sqlalchemy import bindparam, literal, select
from sqlalchemy.exc import SQLAlchemyError

from portal.db.prepared import Statement
from portal.db.transaction import read, transaction
from portal.models import Message, MessageBody, statement_time, utcnow
from portal.models.message import Kind
from portal.models.route import INTERACTIVE
from portal.models.time_watch import IS_FOLLOWED
from portal.reasons import Reason
from portal.services.accounts import login_links
from portal.services.delivery import outcomes
from portal.services.delivery.outcomes import Attempt
from portal.services.emails import contents
from portal.services.errors import NotPending
from portal.services.outbox import attachments
from portal.services.routing import lanes, reroute
from portal.services.routing import sender as senders
from portal.services.routing.compose import compose
from portal.services.routing.sender import Facts, Sender
from portal.services.senders import mails as sender_mails
from portal.transport.base import Action, Mail, Reply, Verdict
from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.build import MailContent, Stamp

# Mail with a link that grants access has no stored body: the service that owns the link builds it or raises NotPending.
_BUILT_AT_SENDING: dict[Kind, Callable[[Message], MailContent]] = {
    Kind.SIGN_IN: login_links.mail_content,
    Kind.VERIFICATION: sender_mails.request,
    Kind.SENDER_CONFIRMED: sender_mails.confirmed,
}
_DEFECT = Verdict(Action.RETRY_MESSAGE, Reason.LOCAL_ERROR)

log = logging.getLogger(__name__)


class Row(NamedTuple):
    """What is read of a claimed message and its body; none of it changes while the claim holds."""

    id: int
    public_id: str
    to_address: str
    subject: str
    message_id: str
    route: str
    retries: int
    ambiguous: int
    dot: Any
    is_expired: bool
    has_body: int | None
    text: str | None
    html: str | None
    to_name: str | None
    reply_to: str | None
    locale: str | None
    thread: str | None
    kind: str
    attachments: int | None  # how many


@dataclass(frozen=True)
class Outgoing:
    """One message ready for the wire."""

    attempt: Attempt
    message: Row
    sender: Sender
    mail: Mail
    dot: dict[str, Any]  # what makes the same bytes again


class Workbench:
    """What a drain keeps between mails: the rows it has read ahead, and the senders it has worked out."""

    AHEAD = 10  # rows in one query
    KEPT = 256 * 1024  # characters of bodies kept of them: one may have millions

    def __init__(self) -> None:
        self._rows: dict[int, Row] = {}
        self._senders: dict[int, tuple[Facts, Sender]] = {}

    def row(self, attempt: Attempt, others: Sequence[Attempt] = ()) -> Row:
        """The attempt's message; the next few of `others` are read with it."""
        self._fetch(attempt, others)
        return self._rows.pop(attempt.message_id)

    def size(self, attempt: Attempt, others: Sequence[Attempt] = ()) -> int:
        """About how many octets the attempt's message holds, before they are encoded."""
        self._fetch(attempt, others)
        message = self._rows[attempt.message_id]
        files = 0
        if message.attachments:
            with read():
                files = attachments.size(message.id)
        return _size(message) + files

    def _fetch(self, attempt: Attempt, others: Sequence[Attempt]) -> None:
        if attempt.message_id in self._rows:
            return
        found = _read([attempt.message_id, *(other.message_id for other in others)][: self.AHEAD])
        self._rows, kept = {attempt.message_id: found.pop(attempt.message_id)}, 0
        for message_id, row in found.items():
            kept += _size(row)
            if kept > self.KEPT:
                break
            self._rows[message_id] = row

    def sender(self, tenant_id: int) -> Sender:
        """The sender in force now: the facts are looked up each time, what follows from them only when they change."""
        facts = senders.facts(tenant_id)
        known = self._senders.get(tenant_id)
        if known is None or known[0] != facts:
            known = self._senders[tenant_id] = (facts, senders.decide(facts))
        return known[1]


_COLUMNS: dict[str, Any] = {
    "is_expired": Message.expires_at <= statement_time(),
    "has_body": MessageBody.message_id,
} | {
    name: getattr(MessageBody, name)
    for name in ("text", "html", "to_name", "reply_to", "locale", "thread", "attachments")
}


_FOLLOWED = Statement(select(literal(1).label("one")).where(IS_FOLLOWED))


def _column(name: str) -> Any:
    return _COLUMNS[name] if name in _COLUMNS else getattr(Message, name)


@cache
def _rows_of(count: int) -> Statement:
    return Statement(
        select(*(_column(name).label(name) for name in Row._fields))
        .outerjoin(MessageBody, MessageBody.message_id == Message.id)
        .where(Message.id.in_([bindparam(f"id{number}") for number in range(count)]))
    )


def _size(message: Row) -> int:
    return len(message.text or "") + len(message.html or "")


def _read(ids: list[int]) -> dict[int, Row]:
    found = _rows_of(len(ids)).rows(**{f"id{number}": one for number, one in enumerate(ids)})
    return {row.id: Row._make(row) for row in found}


def prepare(attempt: Attempt, bench: Workbench | None = None, others: Sequence[Attempt] = ()) -> Outgoing | None:
    """Make a claimed message's bytes, by the sender in force now.

    None when it is settled without being sent: expired, no longer wanted, or gone to another route.
    """
    bench = bench or Workbench()
    message = bench.row(attempt, others)
    if message.is_expired and _FOLLOWED.rows():
        outcomes.expired(attempt, message.ambiguous)
        return None
    sender = _sender(attempt, message, bench)
    if sender.held_reason:
        with transaction():
            reroute.look_again(attempt.tenant_id)  # somebody may have let it go in this moment
            outcomes.held(attempt, sender.held_reason)
        return None
    if sender.route != message.route:
        outcomes.moved(attempt, sender.route, stands_in=sender.stands_in)
        lanes.wake(sender.route)
        return None
    try:
        return _outgoing(attempt, message, sender, _content(message))
    except NotPending:
        outcomes.cancelled(attempt, Reason.NO_LONGER_WANTED)
    except SQLAlchemyError:
        raise
    except Exception:
        log.exception("message %s could not be made", message.public_id)
        outcomes.deferred(attempt, message.retries, _DEFECT, Reply(0, "internal"), str(sender.mailbox))
    return None


def _sender(attempt: Attempt, message: Row, bench: Workbench) -> Sender:
    if message.route == INTERACTIVE:
        return senders.interactive(senders.facts(attempt.tenant_id))
    in_force = bench.sender(attempt.tenant_id)
    dot = _recorded(message)
    if not dot or in_force.held_reason == Reason.TENANT_SUSPENDED:
        return in_force
    recorded = Sender.from_json(dot)
    with read():
        allowed = senders.still_allowed(attempt.tenant_id, recorded, in_force)
    if allowed:
        return recorded
    outcomes.log_sender_changed(attempt, str(in_force.mailbox))
    return in_force


def _content(message: Row) -> MailContent:
    if message.has_body is not None:
        if not message.attachments:
            return contents.stored(message)
        with read():
            files = attachments.load(message.id)
        return contents.stored(message, files)
    with read() as session:
        whole = session.get_one(Message, message.id, populate_existing=True)
        return _BUILT_AT_SENDING[Kind(message.kind)](whole)


def _outgoing(attempt: Attempt, message: Row, sender: Sender, content: MailContent) -> Outgoing:
    """The mail: for a second copy after an unknown fate, the same bytes as before."""
    again = _recorded(message)
    date = again["date"] if again else _second(int(utcnow().timestamp()))
    boundary = again["boundary"] if again else secrets.token_hex(16)
    if sender.reply_to and not content.reply_to:
        content = replace(content, reply_to=sender.reply_to)
    stamp = Stamp(_moment(date), message.message_id, boundary)
    to = Mailbox(message.to_name or "", message.to_address)
    mail = compose(content, sender.mailbox, sender.reverse_path, to, stamp)
    dot = sender.to_json() | {"shown": str(sender.mailbox), "date": date, "boundary": boundary}
    return Outgoing(attempt, message, sender, mail, dot)


@lru_cache(maxsize=2)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()


@lru_cache(maxsize=16)
def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _recorded(message: Row) -> dict[str, Any]:
    """What was kept at the dot of the copy whose fate is unknown; nothing where there is none."""
    if not message.ambiguous or not message.dot:
        return {}
    return dict(json.loads(message.dot) if isinstance(message.dot, str) else message.dot)
