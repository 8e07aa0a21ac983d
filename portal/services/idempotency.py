"""Handing in messages so that sending a request again is safe: a key makes one message, however often it comes.

The database decides, by the unique index on (API key, key): two requests can't both write the same key, and whoever is
second waits for the first to commit. Keys are written in their order, so that no two batches can wait for one another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError

from portal.extensions import db
from portal.models import ApiKey, IdempotencyKey, Message, utcnow
from portal.services import outbox
from portal.services.errors import Busy
from portal.services.outbox import Accepted, Draft
from portal.services.transaction import transaction

KEPT = timedelta(hours=24)
# The second time around: somebody has held one of the keys for seconds already.
_IMPATIENT = "20ms"
_NO_LOCK = ("55P03", "40P01")  # lock_not_available, deadlock_detected

_KEY = db.metadata.tables[IdempotencyKey.__tablename__]


@dataclass(frozen=True)
class HandedIn:
    """A draft with the key it came with, if any, and what the request said."""

    draft: Draft
    key: str | None = None
    digest: str = ""


# conflict: the key came before with another body. in_progress: the request that has the key is not finished yet.
Refusal = Literal["conflict", "in_progress"]
Answer = Accepted | Refusal


@dataclass(frozen=True)
class _Known:
    digest: str
    accepted: Accepted


def digest(request: dict[str, Any]) -> str:
    """What a request says, whatever the order of its fields; a field that isn't given counts as none."""
    said = hashlib.sha256()
    for name in sorted(request):
        value = request[name]
        if value is not None:
            # Long texts as they are: writing them as JSON first would cost three times as much.
            encoded = value.encode() if isinstance(value, str) else json.dumps(value, sort_keys=True).encode()
            said.update(b"%s %s %d " % (name.encode(), type(value).__name__.encode(), len(encoded)) + encoded)
    return said.hexdigest()


def accept_each(api_key: ApiKey, items: Sequence[HandedIn]) -> list[Answer]:
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


def _accept_each(api_key: ApiKey, items: Sequence[HandedIn], *, patient: bool) -> list[Answer]:
    with transaction():
        known = _known(api_key, {item.key for item in items if item.key is not None})
        chosen = _to_write(items, known)
        written = dict(zip(chosen, outbox.write([items[n].draft for n in chosen]), strict=True))
        keyed = {key: n for n in chosen if (key := items[n].key) is not None}
        claims = [_claim(api_key, key, items[n], written[n]) for key, n in sorted(keyed.items())]
        mine = _claimed(claims, patient)
        lost = [n for key, n in keyed.items() if key not in mine]
        if lost:
            outbox.take_back([written.pop(n) for n in lost])
            known |= _known(api_key, keyed.keys() - mine)
        known |= {key: _Known(items[n].digest, written[n]) for key, n in keyed.items() if key in mine}
    return [written[n] if item.key is None else _answer(known.get(item.key), item) for n, item in enumerate(items)]


def _known(api_key: ApiKey, keys: Iterable[str]) -> dict[str, _Known]:
    """The messages that these keys have made and that others can see."""
    if not keys:
        return {}
    query = (
        select(_KEY.c.key, _KEY.c.digest, Message.public_id, Message.state, Message.id)
        .join(Message, Message.id == _KEY.c.message_id)
        .where(_KEY.c.api_key_id == api_key.id, _KEY.c.key.in_(keys), _KEY.c.created_at >= utcnow() - KEPT)
    )
    rows = db.session.execute(query)
    return {row.key: _Known(row.digest, Accepted(row.public_id, row.state, row.id)) for row in rows}


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


def _claim(api_key: ApiKey, key: str, item: HandedIn, made: Accepted) -> dict[str, Any]:
    return {
        "api_key_id": api_key.id,
        "key": key,
        "digest": item.digest,
        "message_id": made.id,
        "created_at": utcnow(),
    }


def _claimed(claims: list[dict[str, Any]], patient: bool) -> set[str]:
    """Write the keys, in their order; those that are ours now. Waits for requests that have written one of them.

    Impatient: one by one, so that a key that somebody doesn't let go of keeps none of the others.
    """
    if not claims:
        return set()
    connection = db.session.connection()
    if patient:
        return set(connection.scalars(_take_key(), claims))
    connection.execute(text(f"SET LOCAL lock_timeout = '{_IMPATIENT}'"))
    mine: set[str] = set()
    for claim in claims:
        try:
            with connection.begin_nested():
                mine |= set(connection.scalars(_take_key(), [claim]))
        except OperationalError as error:
            if not _waited_in_vain(error):
                raise
    return mine


def _take_key() -> Any:
    """Write a key unless it is there; one that is older than it is kept makes way."""
    dialect = postgresql if db.engine.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(_KEY)
    return statement.on_conflict_do_update(
        index_elements=["api_key_id", "key"],
        set_={name: statement.excluded[name] for name in ("digest", "message_id", "created_at")},
        where=_KEY.c.created_at < utcnow() - KEPT,
    ).returning(_KEY.c.key)


def _answer(known: _Known | None, item: HandedIn) -> Answer:
    if known is None:
        return "in_progress"
    return known.accepted if known.digest == item.digest else "conflict"


def _waited_in_vain(error: OperationalError) -> bool:
    """Whether it says that a lock was not to be had in time."""
    busy = getattr(error.orig, "sqlite_errorname", None) == "SQLITE_BUSY"
    return busy or getattr(error.orig, "sqlstate", None) in _NO_LOCK
