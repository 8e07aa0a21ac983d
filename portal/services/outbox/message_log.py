"""The log: a tenant's messages, newest first, by keyset pages, and each one's timeline."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, bindparam, false, func, or_, select

from portal.db.bounded_count import count_up_to
from portal.extensions import db
from portal.models import LogEntry, Message, Tenant, utcnow
from portal.models.log import Event
from portal.models.message import WAITING, State, is_public_id
from portal.models.route import Route
from portal.services.errors import NotFound
from portal.services.routing import refusals
from portal.services.routing.lanes import Wait
from portal.transport.mime.addresses import MAX_ADDRESS, readable_address, searched_address
from portal.transport.mime.characters import in_one_line
from portal.typed import trimmed

PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
PAGE = 50
_OF_TENANT = LogEntry.tenant_id == bindparam("tenant")
_LATEST_ENTRY = select(LogEntry.id).where(_OF_TENANT).order_by(LogEntry.id.desc()).limit(1)
MOST_SEARCHED = 100_000  # messages, the newest, that are read for a part of an address
_MOST_CODED = 1000  # addresses with letters beyond ASCII in their domain, among which a part is looked for
_MOST_NEWER = 100  # beyond it the page says "more than", and counting stops


@dataclass(frozen=True)
class LogFilter:
    """What the reader wants to see; None means all."""

    state: str | None = None
    kind: str | None = None
    period: str | None = None  # a key of PERIODS
    recipient: str | None = None  # an address, or a part of one, or a reference

    @property
    def is_set(self) -> bool:
        return any((self.state, self.kind, self.period, self.recipient))


class Listed(NamedTuple):
    """What a list shows of a message: read as it stands, since nobody changes it."""

    id: int
    public_id: str
    kind: str
    to_address: str
    subject: str
    state: str
    reason: str | None
    sender: str | None
    accepted_at: datetime
    due_at: datetime
    send_at: datetime | None
    reference: str | None
    ambiguous: int
    route: Route


@dataclass(frozen=True)
class LogPage:
    """One page of the log."""

    rows: list[Listed]
    next_before: str | None  # public id to go on before; None: that was all
    newest: str | None  # public id of the newest row of this page
    newer: int  # matching messages above the page (at most _MOST_NEWER are counted)
    any: bool  # whether the tenant has any message at all
    whole: bool = True  # whether all messages were looked at: a part of an address is looked for in MOST_SEARCHED


# Begun once: to name a dozen columns costs as much as to read them.
_LISTED = select(*(getattr(Message, name) for name in Listed._fields)).order_by(Message.id.desc())


def page(
    tenant: Tenant, wanted: LogFilter, *, before: str | None = None, until: str | None = None, limit: int = PAGE
) -> LogPage:
    """The newest matching messages; older than `before`, or not newer than `until` (public ids).

    Keyset, not offset: a page costs the same wherever it is. An unknown `before` or `until` counts as none.
    """
    matching = _matching(tenant, wanted)
    below = _id(tenant, before)
    top = _id(tenant, until)
    bounds: list[ColumnElement[bool]] = []
    if below is not None:
        bounds.append(Message.id < below)
    if top is not None:
        bounds.append(Message.id <= top)
    rows = [Listed._make(row) for row in db.session.execute(_LISTED.where(*matching, *bounds).limit(limit + 1))]
    more, rows = len(rows) > limit, rows[:limit]
    return LogPage(
        rows=rows,
        next_before=rows[-1].public_id if more else None,
        newest=rows[0].public_id if rows else None,
        newer=_newer(matching, top) if top is not None else 0,
        any=bool(rows) or _has_any(tenant),
        whole=not _is_part(wanted.recipient) or db.session.scalar(_beyond_searched(tenant)) is None,
    )


def _has_any(tenant: Tenant) -> bool:
    return db.session.scalar(select(Message.id).where(Message.tenant_id == tenant.id).limit(1)) is not None


def keyset(tenant: Tenant, wanted: LogFilter, limit: int) -> Callable[[int | None], Select[Message]]:
    """How to select the matching messages, newest first, `limit` at a time: those below an id, or the first ones."""
    query = select(Message).where(*_matching(tenant, wanted)).order_by(Message.id.desc()).limit(limit)
    return lambda before: query if before is None else query.where(Message.id < before)


def get_message(tenant: Tenant, public_id: str) -> Message:
    """The tenant's message of this id. Raises NotFound."""
    query = select(Message).where(Message.tenant_id == tenant.id, Message.public_id == public_id)
    message = db.session.scalar(query) if is_public_id(public_id) else None
    if message is None:
        raise NotFound("message")
    return message


def is_scheduled(message: Message | Listed) -> bool:
    """Whether it waits for the time that was set for it."""
    return message.state == "queued" and message.send_at is not None and message.due_at == message.send_at > utcnow()


def entries(message: Message) -> list[LogEntry]:
    """What happened to the message, oldest first; at the end why it is on hold, which its row says and no entry."""
    query = select(LogEntry).where(LogEntry.message_id == message.id).order_by(LogEntry.id)
    found = list(db.session.scalars(query))
    last = found[-1] if found else None
    if message.state == State.HELD and (last is None or (last.event, last.reason) != (Event.HELD, message.reason)):
        about = {"tenant_id": message.tenant_id, "message_id": message.id, "reason": message.reason}
        found.append(LogEntry(**about, event=Event.HELD, at=message.held_at or message.accepted_at))
    return found


def last_entries(ids: list[int]) -> dict[int, LogEntry]:
    """The newest entry of each message, by message id: in one query."""
    if not ids:
        return {}
    newest = select(func.max(LogEntry.id)).where(LogEntry.message_id.in_(ids)).group_by(LogEntry.message_id)
    return {entry.message_id: entry for entry in db.session.scalars(select(LogEntry).where(LogEntry.id.in_(newest)))}


def waits(tenant: Tenant, messages: Iterable[Message | Listed]) -> dict[Route, Wait]:
    """The routes on which the tenant's messages have to wait, of these; where none of them waits, nothing is asked."""
    return refusals.waits({message.route for message in messages if message.state in WAITING}, tenant.id)


def latest_entry_id(tenant: Tenant) -> int:
    """The log's version: one index look-up."""
    return db.session.scalar(_LATEST_ENTRY, {"tenant": tenant.id}) or 0


def _matching(tenant: Tenant, wanted: LogFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [Message.tenant_id == tenant.id]
    if wanted.state:
        conditions.append(Message.state == wanted.state)
    if wanted.kind:
        conditions.append(Message.kind == wanted.kind)
    if wanted.period:
        conditions.append(Message.id >= _first_id_since(tenant, PERIODS[wanted.period]))
    if wanted.recipient:
        too_long = len(wanted.recipient) > MAX_ADDRESS  # SQLite takes no pattern of 50,000 characters
        conditions += [false()] if too_long else _searched_for(tenant, wanted.recipient)
    return conditions


def _beyond_searched(tenant: Tenant) -> Select[int]:
    """The id of the newest message that isn't read for a part of an address, by the index alone."""
    newest = select(Message.id).where(Message.tenant_id == tenant.id).order_by(Message.id.desc())
    return newest.offset(MOST_SEARCHED).limit(1)


def _first_id_since(tenant: Tenant, period: timedelta) -> Any:
    """Ids follow time, so a period is a lower bound on ids, found by one index look-up, and the page stays a keyset."""
    first = (
        select(Message.id)
        .where(Message.tenant_id == tenant.id, Message.accepted_at >= utcnow() - period)
        .order_by(Message.accepted_at, Message.id)
        .limit(1)
    )
    return func.coalesce(first.scalar_subquery(), 2**62)


def _searched_for(tenant: Tenant, text: str) -> list[ColumnElement[bool]]:
    """A whole address is looked up by index; anything else is a part of a recent one, or the whole of a reference."""
    if not _is_part(text):
        return [func.lower(Message.to_address) == searched_address(_searched(text))]
    is_named_so = Message.reference == in_one_line(text)
    part = func.lower(Message.to_address).contains(_searched(text), autoescape=True)
    # One lower bound for both: the messages before it are not read at all.
    beyond = db.session.scalar(_beyond_searched(tenant)) or 0
    found = _read_as(tenant, beyond, _searched(text))
    oldest = db.session.scalar(select(func.min(Message.id)).where(Message.tenant_id == tenant.id, is_named_so))
    since = beyond if oldest is None else min(beyond, oldest - 1)
    return [Message.id > since, or_(and_(Message.id > beyond, or_(part, *found)), is_named_so)]


def _read_as(tenant: Tenant, beyond: int, part: str) -> list[ColumnElement[bool]]:
    """Whose address has the part as people read it: `bücher` in jane@xn--bcher-kva.example, which no pattern finds."""
    coded = select(Message.to_address).where(
        Message.tenant_id == tenant.id, Message.id > beyond, Message.to_address.contains("xn--")
    )
    addresses = db.session.scalars(coded.distinct().limit(_MOST_CODED))
    part = unicodedata.normalize("NFC", part)  # a Mac copies ü as two characters
    found = [address for address in addresses if part in readable_address(address).lower()]
    return [Message.to_address.in_(found)] if found else []


def _searched(text: str) -> str:
    return trimmed(text).lower().replace("\x00", "")  # PostgreSQL knows no NUL


def _is_part(text: str | None) -> bool:
    """Whether it is less than an address."""
    local, _, domain = _searched(text or "").rpartition("@")
    return bool(text) and not (local and "." in domain)


def _id(tenant: Tenant, public_id: str | None) -> int | None:
    if public_id is None or not is_public_id(public_id):
        return None
    return db.session.scalar(select(Message.id).where(Message.tenant_id == tenant.id, Message.public_id == public_id))


def _newer(matching: list[ColumnElement[bool]], top: int) -> int:
    newer = select(Message.id).where(*matching, Message.id > top)
    return count_up_to(_MOST_NEWER + 1, newer)


def find_message(public_id: str, among: list[str] | None = None) -> tuple[Message, Tenant] | None:
    """The message, and whose it is. `among`: only if it is one of these tenants' (the platform's ids of them)."""
    if not is_public_id(public_id):
        return None
    query = select(Message, Tenant).join(Tenant, Tenant.id == Message.tenant_id).where(Message.public_id == public_id)
    if among is not None:
        query = query.where(Tenant.external_id.in_(among))
    row = db.session.execute(query).one_or_none()
    return (row[0], row[1]) if row else None
