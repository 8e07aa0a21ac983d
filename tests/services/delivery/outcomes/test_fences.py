"""At the dot and as sent a message is marked by the drain that has its lane and its newest claim; else nothing is."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, Executable, delete, func, select, text, update

from portal.extensions import db
from portal.models import Lane, LogEntry, Message, MessageBody, Tenant, now
from portal.services.delivery import claims, outcomes
from portal.services.delivery.outcomes import Attempt
from portal.services.routing import lanes
from portal.services.routing.lanes import LeaseLost
from portal.transport.base import Receipt
from tests.conftest import POSTGRES
from tests.support.steps import accept, events, execute, lane_id

only_on_postgres = pytest.mark.skipif(not POSTGRES, reason="SQLite has one writer at a time")

Write = Callable[[Attempt], None]
WRITES: list[Write] = [
    lambda attempt: outcomes.mark_dot(attempt, {"shown": "x"}, 1),
    lambda attempt: outcomes.sent(attempt, Receipt(250, "ok"), "x"),
]
LOSSES: dict[str, list[Executable]] = {
    "the lane is another's": [update(Lane).values(lease_token="another")],
    "the lease is over": [update(Lane).values(leased_until=now(-1))],
    "the lane is gone": [update(Message).values(lane_id=None), delete(Lane)],
    "a later claim has it": [update(Message).values(attempt=Message.attempt + 1)],
    "it was returned": [update(Message).values(state="queued")],
    "it is gone": [delete(MessageBody), delete(LogEntry), delete(Message)],
}
both = pytest.mark.parametrize("write", WRITES, ids=["dot", "sent"])


@pytest.fixture
def attempt(tenant: Tenant) -> Attempt:
    accept(tenant)
    lease = lanes.take(lane_id("relay"))
    assert lease is not None
    (attempt,) = claims.claim(lease)
    return attempt


def everything() -> list[Any]:
    db.session.rollback()
    tables = [model.__table__ for model in (Lane, Message, LogEntry)]
    rows = [db.session.execute(select(table).order_by(table.c.id)).all() for table in tables]
    db.session.rollback()
    return rows


@both
@pytest.mark.parametrize("loss", list(LOSSES))
def test_what_was_lost_is_not_written(attempt: Attempt, write: Write, loss: str) -> None:
    execute(*LOSSES[loss])
    before = everything()
    with pytest.raises(LeaseLost):
        write(attempt)
    assert everything() == before


@both
def test_after_a_loss_the_next_is_written(attempt: Attempt, write: Write, tenant: Tenant) -> None:
    with pytest.raises(LeaseLost):
        write(Attempt(attempt.lease, attempt.message_id, attempt.tenant_id, attempt.number - 1, attempt.public_id))
    write(attempt)
    message = db.session.scalars(select(Message)).one()
    assert (message.dot == {"shown": "x"}) is (write is WRITES[0])
    assert events(message) == (["queued"] if write is WRITES[0] else ["queued", "sent"])


@contextmanager
def written_while_held(ctx: Flask, write: Write, attempt: Attempt) -> Iterator[tuple[Connection, list[type]]]:
    """The block holds rows, in a transaction that is committed at its end, once the write waits for them."""
    ended: list[type] = []

    def run() -> None:
        with ctx.app_context():
            try:
                write(attempt)
                ended.append(type(None))
            except Exception as error:
                ended.append(type(error))

    writing = threading.Thread(target=run)
    with db.engine.connect() as holder:
        yield holder, ended
        writing.start()
        for _ in range(5000):
            if db.session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                break
            db.session.rollback()
        else:
            raise AssertionError("it waits for nobody")
        with db.engine.connect() as third:  # whoever waits for the lane has not locked the message
            if holder.info.pop("lane", False):
                third.execute(select(Message.id).with_for_update(nowait=True)).all()
        holder.commit()
    writing.join(30)


@both
@only_on_postgres
def test_a_message_that_changes_hands_in_this_moment_is_not_written(ctx: Flask, attempt: Attempt, write: Write) -> None:
    with written_while_held(ctx, write, attempt) as (holder, ended):
        holder.execute(update(Message).values(attempt=Message.attempt + 1))
    assert ended == [LeaseLost]
    message = db.session.scalars(select(Message)).one()
    assert message.state == "sending" and message.dot_at is None and events(message) == ["queued"]


@both
@only_on_postgres
def test_a_message_that_is_touched_in_this_moment_is_written(ctx: Flask, attempt: Attempt, write: Write) -> None:
    with written_while_held(ctx, write, attempt) as (holder, ended):
        holder.execute(update(Message).values(subject="touched"))
    assert ended == [type(None)]
    message = db.session.scalars(select(Message)).one()
    assert message.dot_at is not None or message.state == "sent"


@both
@only_on_postgres
def test_the_lane_is_locked_before_the_message(ctx: Flask, attempt: Attempt, write: Write) -> None:
    """As everywhere else, or two might wait for one another."""
    with written_while_held(ctx, write, attempt) as (holder, ended):
        holder.info["lane"] = True
        holder.execute(update(Lane).values(lease_token="another"))
    assert ended == [LeaseLost]
    assert db.session.scalar(select(func.count()).where(Message.dot_at.is_not(None))) == 0
