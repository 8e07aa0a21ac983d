"""Rows written without a session: as durable, as whole and as visible as by one."""

import json
import sqlite3
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import bindparam, func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from portal.db.bulk_insert import insert_rows
from portal.db.prepared import Statement
from portal.db.transaction import after_commit, connection, plain_transaction, transaction
from portal.extensions import db
from portal.models import EndedSession, Message, Tenant, now, utcnow
from portal.services.message_state import MESSAGE
from tests.conftest import POSTGRES
from tests.support.at_once import at_once
from tests.support.locked import locked

ENDED = db.metadata.tables[EndedSession.__tablename__]
_PLAN = Statement(select(Tenant.plan, Tenant.name).where(Tenant.id == bindparam("tenant")))


def row(number: int = 1) -> dict[str, Any]:
    return {"id": f"session-{number}", "ends_at": utcnow()}


def count() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(ENDED)) or 0


def test_nobody_sees_it_before_the_commit_and_everybody_afterwards(ctx: Flask) -> None:
    seen = []
    with plain_transaction():
        insert_rows(ENDED, [row()])
        seen.append(count())
        after_commit(lambda: seen.append(count()))
    assert seen == [0, 1]


def test_an_exception_leaves_nothing_behind_and_nothing_to_be_done(ctx: Flask) -> None:
    done: list[str] = []
    with pytest.raises(ZeroDivisionError), plain_transaction():
        insert_rows(ENDED, [row()])
        after_commit(lambda: done.append("woken"))
        raise ZeroDivisionError
    assert (count(), done) == (0, [])
    with plain_transaction():
        insert_rows(ENDED, [row()])
    assert count() == 1


def test_what_fails_after_the_commit_undoes_nothing(ctx: Flask) -> None:
    with plain_transaction():
        insert_rows(ENDED, [row()])
        after_commit(lambda: 1 / 0)
    assert count() == 1


def test_a_commit_waits_for_the_disk(ctx: Flask) -> None:
    """202 means that the message stays through a power cut: no connection of drains, which commit at less."""
    with plain_transaction():
        as_the_server_has_it = "SELECT setting = reset_val FROM pg_settings WHERE name = 'synchronous_commit'"
        asked = as_the_server_has_it if POSTGRES else "PRAGMA synchronous"
        assert connection().scalar(text(asked)) == (True if POSTGRES else 2)


def test_a_session_cannot_write_in_the_midst_of_it(ctx: Flask) -> None:
    with pytest.raises(RuntimeError), plain_transaction(), transaction():
        pass


def test_those_who_read_first_and_write_then_wait_for_one_another(app: Flask) -> None:
    def read_and_write(number: int) -> None:
        for turn in range(10):
            with plain_transaction():
                connection().execute(select(func.count()).select_from(ENDED)).scalar()
                insert_rows(ENDED, [row(100 * number + turn)])

    at_once(*(partial(read_and_write, number) for number in range(4)), app=app)
    with app.app_context():
        assert count() == 40


def test_a_statement_sees_what_the_session_has_changed_and_not_written(tenant: Tenant) -> None:
    with transaction():
        tenant.name = "Changed"
        (found,) = _PLAN.here(tenant=tenant.id)
        assert (found.plan, found.name) == ("enterprise", "Changed")


def test_the_drivers_errors_are_sqlalchemys(ctx: Flask) -> None:
    for kind in (plain_transaction, transaction):
        with pytest.raises(IntegrityError), kind():
            insert_rows(ENDED, [row(), row()])
        with pytest.raises(IntegrityError), kind():
            insert_rows(ENDED, [row()])
            insert_rows(ENDED, [row()])
    assert count() == 0


@pytest.mark.skipif(bool(POSTGRES), reason="PostgreSQL has no one lock for all writers")
def test_a_lock_that_another_holds_is_an_operational_error(ctx: Flask) -> None:
    with locked():
        for kind in (plain_transaction, transaction):
            with pytest.raises(OperationalError) as refused, kind():
                pass
            assert isinstance(refused.value.orig, sqlite3.OperationalError)
    with plain_transaction():
        insert_rows(ENDED, [row()])
    assert count() == 1


@pytest.mark.parametrize("together", [True, False], ids=["together", "one-by-one"])
def test_one_row_and_many_are_stored_alike(tenant: Tenant, together: bool) -> None:
    at = utcnow() - timedelta(days=1)

    def message(number: int, **more: Any) -> dict[str, Any]:
        given = {
            "public_id": f"msg_{number:026d}", "tenant_id": tenant.id, "kind": "order_update", "subject": "A",
            "to_address": "a@b.example", "message_id": f"<{number}@b.example>", "route": "relay", "state": "queued",
            "accepted_at": at,
        }  # fmt: skip
        return given | {"due_at": at, "metadata": None, "send_at": None} | more

    written_out = {"expires_at": now(60), "attempt": text("0"), "retries": text("0"), "ambiguous": text("0")}
    rows = [message(1), message(2, metadata={"vendor": "v-17"}, send_at=at)]
    with plain_transaction():
        for part in [rows] if together else [[one] for one in rows]:
            assert insert_rows(MESSAGE, part, written_out) == len(part)  # type: ignore[arg-type]
    plain, full = db.session.scalars(select(Message).order_by(Message.id))
    assert (plain.remarks, plain.send_at, plain.accepted_at) == (None, None, at)
    assert (full.remarks, full.send_at, json.dumps(full.remarks)) == ({"vendor": "v-17"}, at, '{"vendor": "v-17"}')
    assert full.route.startswith("relay") and full.expires_at > utcnow()
