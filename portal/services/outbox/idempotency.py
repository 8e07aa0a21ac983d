"""Handing in messages so that sending a request again is safe: a key makes one message, however often it comes.

The database decides, by the unique index on (API key, key): two requests can't both write the same key, and whoever is
second waits for the first to commit. Keys are written in their order, so that no two batches can wait for one another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import bindparam, delete, select, text
from sqlalchemy.exc import OperationalError

from portal.db.bulk_insert import insert_rows
from portal.db.prepared import Statement
from portal.db.transaction import connection, plain_transaction
from portal.extensions import db
from portal.models import IdempotencyKey, Message, utcnow
from portal.models.api_key import KeyInForce
from portal.models.base import UTCDateTime
from portal.services.errors import Busy
from portal.services.outbox import accept as outbox
from portal.services.outbox.accept import Accepted, Draft
from portal.services.routing.sender import Shop, find_shop
from portal.transport.mime.addresses import Mailbox

KEPT = timedelta(hours=24)
# The second time around: somebody has held one of the keys for seconds already.
_IMPATIENT = "20ms"
_NO_LOCK = ("55P03", "40P01")  # lock_not_available, deadlock_detected

_KEY = db.metadata.tables[IdempotencyKey.__tablename__]


@dataclass(frozen=True)
class HandedIn:
    """A message for the tenant that the platform calls so, with the key it came with, if any, and what was said.

    `fields` are those of a Draft; `thread` may be any name of one.
    """

    tenant: str
    fields: dict[str, Any]
    key: str | None = None
    digest: str = ""


_IS_OLD = (_KEY.c.created_at < bindparam("oldest", type_=UTCDateTime)).label("is_old")
_MADE_BY = (
    select(_KEY, _IS_OLD, Message.public_id, Message.state, Message.reason)
    .join(Message, Message.id == _KEY.c.message_id)
    .where(_KEY.c.api_key_id == bindparam("by"))
)
_MADE_BY_ONE = Statement(_MADE_BY.where(_KEY.c.key == bindparam("wanted")))
_MADE_BY_MANY = _MADE_BY.where(_KEY.c.key.in_(bindparam("wanted", expanding=True)))

# conflict: the key came before with another body. in_progress: the request that has the key is not finished yet.
# no_tenant: there is none of this id that mail may be handed in for by this API key.
Refusal = Literal["conflict", "in_progress", "no_tenant"]
Answer = Accepted | Refusal


@dataclass(frozen=True)
class _Known:
    digest: str
    accepted: Accepted


def digest(request: dict[str, Any]) -> str:
    """What a request says, whatever the order of its fields; a field that isn't given counts as none."""
    said = []
    for name in sorted(request):
        value = request[name]
        if isinstance(value, Mailbox):
            value = value.as_header()
        if value is not None:
            # Long texts as they are, with their length: writing them as JSON would cost three times as much.
            kind, words = ("text", value) if isinstance(value, str) else ("json", json.dumps(value, sort_keys=True))
            said.append(f"{name} {kind} {len(words)} {words}")
    return hashlib.sha256("".join(said).encode()).hexdigest()


def accept_each(api_key: KeyInForce, items: Sequence[HandedIn]) -> list[Answer]:
    """Accept all of them in one transaction, each key once; answers in their order.

    Raises Busy where the database is held by somebody else for too long: nothing was accepted then.
    """
    try:
        return _accept_each(api_key, items, patient=True)
    except OperationalError as error:
        if not _waited_in_vain(error):
            raise
        if db.engine.dialect.name == "sqlite":
            raise Busy from None
    try:
        return _accept_each(api_key, items, patient=False)
    except OperationalError as error:
        if not _waited_in_vain(error):
            raise
        raise Busy from None


def _accept_each(api_key: KeyInForce, items: Sequence[HandedIn], *, patient: bool) -> list[Answer]:
    with plain_transaction():
        covered = {item.tenant for item in items if api_key.covers(item.tenant)}
        shops = {name: shop for name in covered if (shop := find_shop(name)) is not None}
        answers = iter(_written(api_key, [item for item in items if item.tenant in shops], shops, patient))
    return [next(answers) if item.tenant in shops else "no_tenant" for item in items]


def _written(api_key: KeyInForce, items: Sequence[HandedIn], shops: dict[str, Shop], patient: bool) -> list[Answer]:
    known = _known(api_key, {item.key for item in items if item.key is not None})
    chosen = _to_write(items, known)
    drafts = [_draft(items[n], shops[items[n].tenant]) for n in chosen]
    written = dict(zip(chosen, outbox.write(drafts), strict=True))
    keyed = {key: n for n in chosen if (key := items[n].key) is not None}
    at = utcnow()
    claims = [_claim(api_key, key, items[n], written[n], at) for key, n in sorted(keyed.items())]
    mine = _claimed(claims, patient)
    lost = [n for key, n in keyed.items() if key not in mine]
    if lost:
        outbox.take_back([written.pop(n) for n in lost])
        known |= _known(api_key, keyed.keys() - mine)
    known |= {key: _Known(items[n].digest, written[n]) for key, n in keyed.items() if key in mine}
    return [written[n] if item.key is None else _answer(known.get(item.key), item) for n, item in enumerate(items)]


def _draft(item: HandedIn, shop: Shop) -> Draft:
    thread = item.fields.get("thread")
    return Draft(shop, **item.fields | {"thread": outbox.thread_id(shop, thread) if thread else None})


def _known(api_key: KeyInForce, keys: Collection[str]) -> dict[str, _Known]:
    """The messages that these keys have made and that others can see; a key that is too old makes way."""
    if not keys:
        return {}
    given = {"by": api_key.id, "oldest": utcnow() - KEPT}
    rows: Sequence[Any]
    if len(keys) == 1:
        rows = _MADE_BY_ONE.here(wanted=next(iter(keys)), **given)
    else:
        rows = connection().execute(_MADE_BY_MANY, {"wanted": list(keys)} | given).all()
    old = [row.id for row in rows if row.is_old]
    if old:
        connection().execute(delete(_KEY).where(_KEY.c.id.in_(old)))
    return {
        row.key: _Known(row.digest, Accepted(row.public_id, row.state, row.message_id, row.reason))
        for row in rows
        if not row.is_old
    }


def _to_write(items: Sequence[HandedIn], known: dict[str, _Known]) -> list[int]:
    """Which of them are messages that aren't there yet: those without a key, and the first of each unknown key."""
    seen = set(known)
    chosen = []
    for number, item in enumerate(items):
        if item.key is None or item.key not in seen:
            chosen.append(number)
        if item.key is not None:
            seen.add(item.key)
    return chosen


def _claim(api_key: KeyInForce, key: str, item: HandedIn, made: Accepted, at: datetime) -> dict[str, Any]:
    return {"api_key_id": api_key.id, "key": key, "digest": item.digest, "message_id": made.id, "created_at": at}


def _claimed(claims: list[dict[str, Any]], patient: bool) -> set[str]:
    """Write the keys, in their order; those that are ours now. Waits for requests that have written one of them.

    Impatient: one by one, so that a key that somebody doesn't let go of keeps none of the others.
    """
    if not claims:
        return set()
    if patient:
        return _write(claims)
    connection().execute(text(f"SET LOCAL lock_timeout = '{_IMPATIENT}'"))
    mine: set[str] = set()
    for claim in claims:
        try:
            with connection().begin_nested():
                mine |= _write([claim])
        except OperationalError as error:
            if not _waited_in_vain(error):
                raise
    return mine


def _write(claims: list[dict[str, Any]]) -> set[str]:
    """Write these keys unless they are there; those that were not."""
    made = {claim["key"]: claim["message_id"] for claim in claims}
    if insert_rows(_KEY, claims, unless_there=("api_key_id", "key")) == len(claims):
        return set(made)
    query = select(_KEY.c.key).where(_KEY.c.message_id.in_(made.values()))
    return set(connection().scalars(query))


def _answer(known: _Known | None, item: HandedIn) -> Answer:
    if known is None:
        return "in_progress"
    return known.accepted if known.digest == item.digest else "conflict"


def _waited_in_vain(error: OperationalError) -> bool:
    """Whether it says that a lock was not to be had in time."""
    busy = getattr(error.orig, "sqlite_errorname", None) == "SQLITE_BUSY"
    return busy or getattr(error.orig, "sqlstate", None) in _NO_LOCK
