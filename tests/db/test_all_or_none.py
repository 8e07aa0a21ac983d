"""What is written together: which of PostgreSQL's commits wait for the disk."""

import pytest
from flask import Flask
from sqlalchemy import bindparam, update
from sqlalchemy.exc import OperationalError

from portal.db.all_or_none import AllOrNone
from portal.models import Lane
from tests.conftest import POSTGRES
from tests.db.connections import one_connection
from tests.support.steps import lane_id

ADD = update(Lane).where(Lane.id == bindparam("lane")).values(failures=Lane.failures + 1)


@pytest.mark.skipif(not POSTGRES, reason="SQLite's commits are all alike")
def test_only_a_durable_one_waits_for_the_disk(ctx: Flask) -> None:
    assert on_the_disk(durable=True) > 10
    assert on_the_disk(durable=False) < 10
    assert on_the_disk(durable=True) > 10, "it held for that statement only"


def on_the_disk(*, durable: bool) -> int:
    """How many of 20 commits had reached the disk when they returned, as far as the server tells.

    Its own writer may be as quick; and what others write in the same moment looks like a commit that has not.
    """
    found = []
    writing, lane = AllOrNone(ADD, durable=durable), lane_id("relay")
    for _ in range(20):
        with one_connection() as kept:  # the same each time
            kept.execute("SET synchronous_commit TO on")
        assert writing.run(lane=lane)
        with one_connection() as kept:
            reached = "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()"
            found.append(kept.execute(reached).fetchone()[0])
    return sum(found)


def test_an_error_of_the_database_is_no_loss(ctx: Flask) -> None:
    wrong = update(Lane).where(Lane.id == bindparam("lane")).values(route=None)
    with pytest.raises(OperationalError):
        AllOrNone(ADD, wrong).run(lane=lane_id("relay"))
