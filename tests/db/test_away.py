"""What says that the database is away, and what says that we have made a mistake."""

import sqlite3
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from sqlalchemy import create_engine, literal, select
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft

from portal.db.away import is_away
from portal.db.prepared import Statement
from tests.support.unwell import no_connection_left


@pytest.mark.parametrize(
    "code", ["53300", "53100", "53200", "57P01", "57P02", "57P03", "08006", "58030", "25006", "55P03", "40P01"]
)
def test_postgresql_says_that_it_is_away(code: str) -> None:
    error = psycopg.errors.lookup(code)("server says so")
    assert is_away(error) and is_away(OperationalError("SELECT", None, error))


@pytest.mark.parametrize("code", ["23505", "42P01", "42601", "22001", "23503", "XX000"])
def test_postgresql_says_that_we_are_wrong(code: str) -> None:
    error = psycopg.errors.lookup(code)("server says so")
    assert not is_away(error) and not is_away(ProgrammingError("SELECT", None, error))


def test_a_server_that_is_not_there_is_away() -> None:
    with pytest.raises(OperationalError) as caught:
        create_engine("postgresql+psycopg://nobody@127.0.0.1:9/x", connect_args={"connect_timeout": 2}).connect()
    assert is_away(caught.value) and is_away(psycopg.InterfaceError("the connection is closed"))


def test_a_pool_that_has_none_left_is_away() -> None:
    assert is_away(NoConnectionLeft("QueuePool limit reached"))


def test_sqlite_without_its_folder_or_its_lock_is_away_and_a_missing_table_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as no_folder:
        sqlite3.connect(tmp_path / "gone" / "x.db")
    first, second = (sqlite3.connect(tmp_path / "x.db", isolation_level=None, timeout=0) for _ in range(2))
    first.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError) as locked:
        second.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError) as no_table:
        first.execute("SELECT * FROM nothing")
    assert is_away(no_folder.value) and is_away(locked.value) and not is_away(no_table.value)
    assert not is_away(ValueError())


def test_a_drain_that_gets_no_connection_is_told_so_as_by_a_broken_one_and_dials_anew(app: Flask) -> None:
    """By SQLAlchemy's error, for which the outcome of a mail is written again some seconds later."""
    one = Statement(select(literal(1).label("one")))
    with app.app_context():
        with no_connection_left(app):
            for ask in (one.rows, one.glance):
                with pytest.raises(OperationalError) as caught:
                    ask()
                assert is_away(caught.value)
        assert one.rows() == [(1,)]
