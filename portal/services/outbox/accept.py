"""The outbox: accepting a message is one transaction; sending it is somebody else's work."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, bindparam, case, delete, literal_column, select, update

from portal.config import settings
from portal.db.bulk_insert import insert_rows
from portal.db.prepared import Statement
from portal.db.transaction import after_commit, connection, transaction
from portal.extensions import db
from portal.models import LogEntry, Message, MessageBody, Tenant, now, utcnow
from portal.models.message import WAITING, Kind, State, is_public_id, new_public_id
from portal.models.route import RELAY, TEST, Route
from portal.reasons import GIVE_UP, Reason
from portal.services import message_state
from portal.services.errors import NotCancellable, NotFound
from portal.services.message_state import CHANGED, ENTRY, MESSAGE, change
from portal.services.outbox import attachments
from portal.services.routing import lanes
from portal.services.routing import sender as senders
from portal.services.routing.sender import Sender, Shop
from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.attachments import Attachment
from portal.transport.mime.build import is_message_id

_BODY = db.metadata.tables[MessageBody.__tablename__]
_WRITTEN_OUT = {
    "due_at": now(),  # the database's clock, like whoever asks what is due
    "expires_at": now(GIVE_UP.total_seconds()),
    "attempt": literal_column("0"),
    "retries": literal_column("0"),
    "ambiguous": literal_column("0"),
}


_ID_OF = select(MESSAGE.c.public_id, MESSAGE.c.id)
_ID_OF_ONE = Statement(_ID_OF.where(MESSAGE.c.public_id == bindparam("public_id")))
# The list is bound as one, so that the statement is made once.
_IDS_OF_MANY = _ID_OF.where(MESSAGE.c.public_id.in_(bindparam("public_ids", expanding=True)))


# What a draft says and a body keeps under the same names.
SAID = ("text", "html", "locale", "thread")
# What the row keeps of a draft, where any of them has it.
_OPTIONAL = {"metadata": "remarks"} | {name: name for name in ("data", "resent_of", "reference", "send_at")}


@dataclass(frozen=True)
class Draft:
    """A message that is to be accepted; `to` and `reply_to` were checked.

    `data` instead of a body: the body is built at sending (for a link with power). `route` is for interactive mail; the
    rest goes by the tenant's sender. `resent_of` is the id of the message that this one repeats. Nothing is sent before
    `send_at`. `thread` is the Message-ID of what it answers.
    """

    tenant: Tenant | Shop
    kind: str
    to: Mailbox
    subject: str
    text: str | None = None
    html: str | None = None
    reply_to: Mailbox | None = None
    locale: str | None = None
    data: dict[str, Any] | None = None
    route: Route | None = None
    attachments: Sequence[Attachment] = ()
    resent_of: int | None = None
    reference: str | None = None
    remarks: dict[str, str] | None = None
    send_at: datetime | None = None
    thread: str | None = None


@dataclass(frozen=True)
class Accepted:
    """What whoever hands a message in gets to know of it."""

    public_id: str
    state: str
    id: int
    reason: str | None = None  # why it is held


def accept(tenant: Tenant, *, to: Mailbox | str, **fields: Any) -> Message:
    """Take responsibility for a message: its row, its body with its files, and its first log entry, or nothing.

    `to`: a mailbox or a mere address; `fields`: see Draft.
    """
    with transaction() as session:
        (accepted,) = write([Draft(tenant, to=Mailbox("", to) if isinstance(to, str) else to, **fields)])
        message = session.get(Message, accepted.id)
    assert message is not None
    return message


def write(drafts: Sequence[Draft]) -> list[Accepted]:
    """Take responsibility for many, in a few statements; answers in their order. Within a transaction."""
    if not drafts:
        return []
    in_force = _senders(drafts)
    rows = _rows(drafts, in_force)
    insert_rows(MESSAGE, rows, _WRITTEN_OUT)
    ids = _ids([row["public_id"] for row in rows])
    accepted = [Accepted(row["public_id"], row["state"], ids[row["public_id"]], row.get("reason")) for row in rows]
    bodies = [_body(a.id, draft) for a, draft in zip(accepted, drafts, strict=True) if draft.data is None]
    if bodies:
        insert_rows(_BODY, bodies)
    for made, draft in zip(accepted, drafts, strict=True):
        attachments.store(made.id, draft.attachments)
    later = [(made.id, draft.send_at) for made, draft in zip(accepted, drafts, strict=True) if draft.send_at]
    if later:
        _postpone(later)
    written = list(zip(accepted, rows, strict=True))
    insert_rows(ENTRY, [_entry(a, row, "queued") for a, row in written])
    held = [_entry(a, row, "held", row["reason"]) for a, row in written if a.state == "held"]
    if held:
        insert_rows(ENTRY, held)
    if any(sender.stands_in for sender in in_force.values()):
        replaced = [one for one, draft in zip(written, drafts, strict=True) if _stands_in(draft, in_force)]
        insert_rows(ENTRY, [_entry(a, row, "sender_changed", Reason.DRIVER_STOPPED) for a, row in replaced])
    for route in sorted({row["route"] for row in rows if row["state"] == "queued"}):
        after_commit(partial(lanes.wake, route))
    return accepted


def _postpone(later: Sequence[tuple[int, datetime]]) -> None:
    """Have messages wait for a time of their own, from which on their time to be sent counts."""
    for message_id, at in later:
        due = {"due_at": at, "expires_at": at + GIVE_UP}
        connection().execute(update(MESSAGE).where(MESSAGE.c.id == message_id, MESSAGE.c.due_at < at).values(due))


def thread_id(tenant: Tenant | Shop, thread: str) -> str:
    """The Message-ID that all mails of a thread answer: the one that it is, or one made of its name."""
    if is_message_id(thread):
        return thread
    digest = hashlib.sha256(f"{tenant.id} {thread}".encode()).hexdigest()[:40]
    return f"<thread-{digest}@{settings().message_id_domain}>"


def take_back(accepted: Sequence[Accepted]) -> None:
    """Undo `write` for some of what it wrote. Within the same transaction, so that nobody ever saw them."""
    connection().execute(delete(MESSAGE).where(MESSAGE.c.id.in_([a.id for a in accepted])))


def _senders(drafts: Sequence[Draft]) -> dict[int, Sender]:
    """The sender in force of each tenant, by its id, where one is needed."""
    by_tenant = {draft.tenant.id: draft.tenant for draft in drafts if draft.route is None}
    found = {
        number: senders.in_force(tenant) if isinstance(tenant, Shop) else senders.resolve(tenant)
        for number, tenant in by_tenant.items()
    }
    held = [number for number, sender in found.items() if sender.held_reason]
    if held:
        # Whoever lets held mail go on holds the tenant: what is held here is there before that, or isn't held.
        lock = select(Tenant.id).where(Tenant.id.in_(held)).order_by(Tenant.id).with_for_update(read=True)
        connection().execute(lock).all()
        found |= {number: senders.resolve(by_tenant[number]) for number in held}
    return found


def _stands_in(draft: Draft, in_force: dict[int, Sender]) -> bool:
    return draft.route is None and in_force[draft.tenant.id].stands_in


def _rows(drafts: Sequence[Draft], in_force: dict[int, Sender]) -> list[dict[str, Any]]:
    at, domain = utcnow(), settings().message_id_domain
    rows = [_row(draft, in_force.get(draft.tenant.id), at, domain) for draft in drafts]
    # Each column costs each row some microseconds, and most batches have none of these.
    for column, name in _OPTIONAL.items():
        if any(getattr(draft, name) is not None for draft in drafts):
            for row, draft in zip(rows, drafts, strict=True):
                row[column] = getattr(draft, name)
    if any(row["state"] == "held" for row in rows):
        for row, draft in zip(rows, drafts, strict=True):
            held = row["state"] == "held"
            reason = in_force[draft.tenant.id].held_reason if held else None
            row |= {"reason": reason, "held_at": at if held else None}
    return rows


def _row(draft: Draft, sender: Sender | None, at: datetime, domain: str) -> dict[str, Any]:
    public_id = new_public_id()
    held = draft.route is None and sender is not None and sender.held_reason is not None
    return {
        "public_id": public_id,
        "tenant_id": draft.tenant.id,
        "kind": draft.kind,
        "to_address": draft.to.address,
        "subject": draft.subject,
        "message_id": f"<{public_id.removeprefix('msg_')}@{domain}>",
        "route": draft.route or (sender.route if sender else RELAY),
        "state": "held" if held else "queued",
        "accepted_at": at,
    }


def _ids(public_ids: list[str]) -> dict[str, int]:
    rows: Sequence[Any]
    if len(public_ids) == 1:
        rows = _ID_OF_ONE.here(public_id=public_ids[0])
    else:
        rows = connection().execute(_IDS_OF_MANY, {"public_ids": public_ids}).all()
    return {row.public_id: row.id for row in rows}


def _body(message_id: int, draft: Draft) -> dict[str, Any]:
    return {name: getattr(draft, name) for name in SAID} | {
        "message_id": message_id,
        "to_name": draft.to.name or None,
        "reply_to": draft.reply_to and draft.reply_to.as_header(),
        "attachments": len(draft.attachments),
    }


def _entry(accepted: Accepted, row: dict[str, Any], event: str, reason: str | None = None) -> dict[str, Any]:
    at = row["accepted_at"]
    return {"tenant_id": row["tenant_id"], "message_id": accepted.id, "at": at, "event": event, "reason": reason}


def record_test(tenant: Tenant, *, to: str, subject: str) -> Message:
    """The row of a driver's test mail: in the log like any other, but sent by its own job. Within a transaction."""
    draft = Draft(tenant, Kind.DRIVER_TEST, Mailbox("", to), subject, route=TEST)
    row = _row(draft, None, utcnow(), settings().message_id_domain) | {"state": "sending"}
    message = Message(**row, due_at=now(), expires_at=now(GIVE_UP.total_seconds()))
    db.session.add(message)
    db.session.flush()
    db.session.add(LogEntry(tenant_id=message.tenant_id, message_id=message.id, event="queued"))
    return message


def cancel(public_id: str, among: list[str] | None = None) -> Accepted:
    """Withdraw a message that waits. Once cancelled it stays so, and the answer too.

    `among`: only if it is one of these tenants' (the platform's ids of them). One conditional UPDATE, as a claim is: of
    the two exactly one finds the message waiting. Raises NotFound, or NotCancellable where it is too late.
    """
    if not is_public_id(public_id):
        raise NotFound
    meant: list[ColumnElement[bool]] = [MESSAGE.c.public_id == public_id]
    if among is not None:
        meant.append(MESSAGE.c.tenant_id.in_(select(Tenant.id).where(Tenant.external_id.in_(among))))
    with transaction() as session:
        withdraw = change((*WAITING, State.HELD), State.CANCELLED, held_at=None, finished_at=utcnow())
        # What may have arrived once can't be withdrawn altogether, and the log says so.
        why = case((MESSAGE.c.ambiguous > 0, Reason.WITHDRAWN_LATE), else_=Reason.WITHDRAWN)
        withdraw = withdraw.values(reason=why).where(*meant)
        cancelled = session.execute(withdraw.returning(*CHANGED, MESSAGE.c.reason)).all()
        if cancelled:
            message_state.write(cancelled, State.CANCELLED, State.CANCELLED, cancelled[0].reason)
            return Accepted(public_id, State.CANCELLED, cancelled[0].id)
        found = session.execute(select(MESSAGE.c.id, MESSAGE.c.state).where(*meant)).one_or_none()
    if found is None:
        raise NotFound
    if found.state != "cancelled":
        raise NotCancellable(found.state)
    return Accepted(public_id, "cancelled", found.id)
