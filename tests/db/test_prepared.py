"""The connections of prepared statements: few, shared by all threads of a process, and never in two hands."""

import threading
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Dialect, Integer, bindparam, event, select, text, update
from sqlalchemy.exc import OperationalError

from portal.db import prepared, sqlite
from portal.db.prepared import CONNECTIONS, Statement
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane
from tests.conftest import POSTGRES
from tests.db.connections import one_connection
from tests.support.at_once import at_once
from tests.support.steps import lane_id

only_on_sqlite = pytest.mark.skipif(bool(POSTGRES), reason="on PostgreSQL several may write")
only_on_postgres = pytest.mark.skipif(not POSTGRES, reason="a file doesn't go away")

COUNT = Statement(select(Lane.failures).where(Lane.id == bindparam("lane")))
ADD = Statement(
    update(Lane).where(Lane.id == bindparam("lane")).values(failures=Lane.failures + bindparam("more", type_=Integer))
)
WRONG = Statement(text("SELECT * FROM nowhere"))


@pytest.fixture
def lane(ctx: Flask) -> int:
    return lane_id("relay")


def counted(lane: int) -> int:
    return int(COUNT.rows(lane=lane)[0].failures)


def test_a_thread_sees_nothing_of_anothers_transaction(ctx: Flask, lane: int) -> None:
    begun, looked = threading.Event(), threading.Event()

    def write() -> None:
        with prepared.transaction():
            ADD.count(lane=lane, more=1)
            begun.set()
            assert looked.wait(30) and counted(lane) == 1, "its own it sees"

    def look() -> int:
        try:
            assert begun.wait(30)
            return counted(lane)
        finally:
            looked.set()

    assert at_once(write, look, app=ctx) == [None, 0]
    assert counted(lane) == 1


def test_more_threads_than_connections_lose_no_write(ctx: Flask, lane: int) -> None:
    def write() -> None:
        for _ in range(10):
            with prepared.transaction():
                ADD.count(lane=lane, more=1)

    at_once(*[write] * (3 * CONNECTIONS), app=ctx)
    assert counted(lane) == 3 * CONNECTIONS * 10


def test_who_finds_no_connection_waits_for_one(ctx: Flask, lane: int) -> None:
    happened: list[str] = []
    begun = threading.Event()

    def look() -> None:
        with ctx.app_context():
            begun.set()
            counted(lane)
            happened.append("found")

    looking = threading.Thread(target=look)
    with ExitStack() as all_of_them:
        for _ in range(CONNECTIONS):
            all_of_them.enter_context(one_connection())
        looking.start()
        assert begun.wait(30)
        looking.join(0.1)  # the time in which it would fail, or find more
        happened.append("given back")
    looking.join(30)
    assert happened == ["given back", "found"]


def test_sessions_and_statements_write_in_turn(ctx: Flask, lane: int) -> None:
    """On SQLite none of them finds the file locked, where they would sleep, and get their turn by luck."""

    def wait_for_no_lock(connection: Any, _record: object) -> None:
        if not POSTGRES:
            connection.execute("PRAGMA busy_timeout=0")

    db.session.remove()
    db.engine.dispose()
    event.listen(db.engine, "connect", wait_for_no_lock)

    def by_a_session() -> None:
        with transaction() as session:
            session.execute(update(Lane).where(Lane.id == lane).values(failures=Lane.failures + 1))

    def by_a_statement() -> None:
        with prepared.transaction():
            ADD.count(lane=lane, more=1)

    try:
        at_once(*[by_a_session, by_a_statement] * (2 * CONNECTIONS), app=ctx)
    finally:
        event.remove(db.engine, "connect", wait_for_no_lock)
    assert counted(lane) == 4 * CONNECTIONS


def test_what_raises_is_rolled_back_and_its_connection_used_again(lane: int) -> None:
    for _ in range(2 * CONNECTIONS):
        with pytest.raises(ZeroDivisionError), prepared.transaction():
            ADD.count(lane=lane, more=1)
            raise ZeroDivisionError
    assert counted(lane) == 0


def test_after_an_error_nothing_more_is_written_in_its_transaction(lane: int) -> None:
    with pytest.raises(OperationalError), prepared.transaction():
        ADD.count(lane=lane, more=1)
        with suppress(OperationalError):
            WRONG.rows()
        ADD.count(lane=lane, more=1)
    assert counted(lane) == 0
    with prepared.transaction():
        ADD.count(lane=lane, more=1)
    assert counted(lane) == 1, "and the next one dials anew"


@only_on_postgres
def test_connections_that_lost_their_server_unused_are_no_error(lane: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_the_server()
    monkeypatch.setattr(prepared, "_UNUSED", 0)
    with prepared.transaction():
        ADD.count(lane=lane, more=1)
    assert counted(lane) == 1


@only_on_postgres
def test_a_server_lost_in_this_moment_costs_one_error_and_not_one_per_connection(
    lane: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "_UNUSED", 1000)
    lose_the_server()
    with pytest.raises(OperationalError):
        counted(lane)
    with ExitStack() as all_of_them:
        for _ in range(CONNECTIONS):
            kept = all_of_them.enter_context(one_connection())
            assert kept.execute("SELECT 1").fetchall() == [(1,)]


def lose_the_server() -> None:
    """The server ends all connections, as a restart does, while all of the pool's are open."""
    with ExitStack() as all_of_them:
        for _ in range(CONNECTIONS):
            all_of_them.enter_context(one_connection())
    with transaction() as session:
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
        session.execute(text(f"SELECT pg_terminate_backend(pid) {others}"))


def test_a_database_that_cannot_be_reached_is_an_operational_error(lane: int) -> None:
    """The drain writes an outcome again after such an error, and after no other."""

    def refuse(dialect: Dialect, *_more: object) -> None:
        raise dialect.loaded_dbapi.OperationalError("connection refused")

    db.engine.dispose()
    event.listen(db.engine, "do_connect", refuse)
    try:
        with pytest.raises(OperationalError):
            counted(lane)
    finally:
        event.remove(db.engine, "do_connect", refuse)
    assert counted(lane) == 0


@only_on_sqlite
def test_only_drains_forgo_waiting_for_the_disk(lane: int) -> None:
    pragma = "PRAGMA synchronous"
    with ExitStack() as all_of_them:
        for _ in range(CONNECTIONS):
            kept = all_of_them.enter_context(one_connection())
            assert kept.execute(pragma).fetchone() == (1,), "NORMAL"
    with transaction() as session:
        assert session.scalar(text(pragma)) == 2, "FULL"


@only_on_sqlite
def test_a_turn_that_never_comes_is_an_error_as_sqlites_own(
    ctx: Flask, lane: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE", 0.01)

    def by_a_session() -> None:
        with pytest.raises(OperationalError, match="database is locked"), transaction():
            pass

    def by_a_statement() -> None:
        with pytest.raises(OperationalError, match="database is locked"), prepared.transaction():
            pass

    for mine in (transaction, prepared.transaction):
        with mine():
            at_once(by_a_session, by_a_statement, app=ctx)
    by_turns = [ADD.count(lane=lane, more=1) for _ in range(2)]
    assert by_turns == [1, 1] and counted(lane) == 2
