"""The log as a file: all matching messages, newest first, in batches that leave nothing open between them."""

from __future__ import annotations

from collections.abc import Iterator

from portal.db.transaction import read
from portal.models import Message, Tenant
from portal.services.outbox import message_log
from portal.services.outbox.message_log import LogFilter

BATCH = 500


def messages(tenant: Tenant, wanted: LogFilter) -> Iterator[list[Message]]:
    """The matching messages in batches; what is accepted meanwhile doesn't come.

    Each batch is a read of its own: a download that takes minutes holds no transaction open and one batch in memory.
    """
    select_batch = message_log.keyset(tenant, wanted, BATCH)
    before: int | None = None
    while True:
        with read() as session:
            rows = list(session.scalars(select_batch(before)))
        last = rows[-1].id if rows else None
        session.expunge_all()
        yield rows
        if len(rows) < BATCH:
            return
        before = last
