"""Retention: bodies go some days after a message's end, rows by plan, waiting mail never."""

import time
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select, text, update

from jobs import clock
from portal.extensions import db
from portal.models import IdempotencyKey, LogEntry, Message, MessageAttachment, MessageBody, Tenant, utcnow
from portal.models.message import ENDED, STATES
from portal.services.accounts import tenants
from portal.services.operations import heartbeat, message_retention
from portal.services.outbox import accept as outbox
from portal.transport.mime.attachments import Attachment
from tests.support.settings import configure
from tests.support.statements import recorded
from tests.support.steps import execute

DAY = 24 * 3600
FILE = Attachment("a.pdf", "application/pdf", b"x")


def accept(tenant: Tenant, state: str = "sent", *, ended: float | None = 0, **fields: Any) -> int:
    """A message that was accepted now; `ended` is how many days later it came to its end."""
    message = outbox.accept(tenant, kind="order_update", to="a@b.example", subject="Hi", text="Hi", **fields)
    finished = utcnow() + timedelta(days=ended) if ended is not None else None
    execute(update(Message).where(Message.id == message.id).values(state=state, finished_at=finished))
    return message.id


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round does all; what is about its limit sets its own."""
    monkeypatch.setattr(message_retention, "_SECONDS", 600)


def after(days: float) -> Any:
    return time_machine.travel(time.time() + days * DAY, tick=True)


def left(model: Any) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def kept() -> list[int]:
    db.session.rollback()
    return list(db.session.scalars(select(Message.id).order_by(Message.id)))


def test_a_body_and_its_files_go_a_week_after_the_end_and_the_row_stays(tenant: Tenant) -> None:
    accept(tenant, attachments=[FILE])
    accept(tenant)
    with after(6.9):
        message_retention.clean_up()
    assert (left(MessageBody), left(MessageAttachment)) == (2, 1)
    with after(7.1):
        message_retention.clean_up()
    assert (left(MessageBody), left(MessageAttachment), left(Message)) == (0, 0, 2)
    assert left(LogEntry) == 2


def test_the_week_begins_at_the_end_and_not_at_the_acceptance(tenant: Tenant) -> None:
    accept(tenant, ended=5)
    with after(8):
        message_retention.clean_up()
        assert left(MessageBody) == 1
    with after(12.1):
        message_retention.clean_up()
        assert left(MessageBody) == 0


def test_the_operator_says_how_long_bodies_are_kept(app: Flask, tenant: Tenant) -> None:
    configure(app, body_retention_days=1)
    accept(tenant)
    with after(1.1):
        message_retention.clean_up()
    assert left(MessageBody) == 0


@pytest.mark.parametrize(("plan", "days"), [("basic", 30), ("pro", 90), ("enterprise", 365)])
def test_a_row_is_kept_as_long_as_the_plan_says(ctx: Flask, plan: str, days: int) -> None:
    tenant, _ = tenants.upsert("acme", name="Acme", plan=plan)
    accept(tenant)
    with after(days - 0.1):
        message_retention.clean_up()
        assert left(Message) == 1
    with after(days + 0.1):
        message_retention.clean_up()
    assert (left(Message), left(LogEntry), left(MessageBody)) == (0, 0, 0)


def test_one_tenants_plan_says_nothing_about_another_ones_log(ctx: Flask) -> None:
    short = accept(tenants.upsert("short", name="Short", plan="basic")[0])
    long = accept(tenants.upsert("long", name="Long", plan="enterprise")[0])
    gone = accept(tenants.upsert("gone", name="Gone", plan="basic")[0])
    execute(update(Tenant).where(Tenant.external_id == "gone").values(plan="no longer in the file"))
    with after(31):
        message_retention.clean_up()
    assert short not in kept() and kept() == [long, gone]


def test_what_waits_is_never_touched_however_old(tenant: Tenant) -> None:
    ids = {state: accept(tenant, state, ended=0 if state in ENDED else None) for state in STATES}
    waiting = sorted(number for state, number in ids.items() if state not in ENDED)
    assert len(waiting) == 4
    with after(3000):
        message_retention.clean_up()
    assert kept() == waiting and left(MessageBody) == 4


def test_what_was_held_for_long_is_kept_from_its_end_on(tenant: Tenant) -> None:
    accept(tenant, ended=380)
    with after(400):
        message_retention.clean_up()
        assert left(Message) == 1


def test_a_message_that_waits_is_in_nobodys_way(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_retention, "_LOOK", 3)
    monkeypatch.setattr(message_retention, "_BATCH", 2)
    held = [accept(tenant, "held", ended=None) for _ in range(7)]
    for _ in range(7):
        accept(tenant)
    with after(8):
        message_retention.clean_up()
        assert (left(MessageBody), left(Message)) == (7, 14)
    with after(366):
        message_retention.clean_up()
    assert kept() == held and left(MessageBody) == 7


def test_it_goes_in_small_transactions_and_stops_in_time(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_retention, "_BATCH", 2)
    for _ in range(6):
        accept(tenant)
    with after(8):
        sizes: list[int] = []
        remove = message_retention._delete_bodies
        monkeypatch.setattr(message_retention, "_delete_bodies", lambda ids: sizes.append(len(ids)) or remove(ids))
        monkeypatch.setattr(message_retention, "_SECONDS", 0)
        assert message_retention.delete_bodies() == 2
        monkeypatch.setattr(message_retention, "_SECONDS", 10)
        assert message_retention.delete_bodies() == 4
    assert sizes == [2, 2, 2]


def test_looking_and_deleting_read_no_whole_table(tenant: Tenant) -> None:
    """Each statement's plan: the mail tables are only searched by index, on both databases."""
    accept(tenant, attachments=[FILE])
    with after(366), recorded() as statements:
        message_retention.delete_bodies()
        message_retention.delete_messages()
    postgresql = db.engine.dialect.name == "postgresql"
    plans: list[str] = []
    with db.engine.connect() as connection:
        if postgresql:  # it reads so small a table whole; what is asked here is whether it has another way
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        for statement, parameters in statements:
            if statement.startswith(("SELECT", "DELETE")):
                rows = connection.exec_driver_sql(
                    f"EXPLAIN {'' if postgresql else 'QUERY PLAN '}{statement}", parameters
                ).all()
                plans += [str(row[-1]) for row in rows]
    assert len(plans) >= 8
    mail = ("message", "message_body", "message_attachment", "log_entry")
    whole = [
        line
        for line in plans
        if any(line.strip().startswith((f"SCAN {t}",)) or f"Seq Scan on {t}" in line for t in mail)
    ]
    assert whole == []


def test_a_message_that_goes_finds_what_refers_to_it_by_index(ctx: Flask) -> None:
    """SQLite and PostgreSQL look for rows that refer to a deleted one: without an index that reads a whole table."""
    for model in (IdempotencyKey, LogEntry, MessageBody, MessageAttachment):
        table = db.metadata.tables[model.__tablename__]
        led = {next(iter(index.columns)).name for index in table.indexes} | {next(iter(table.primary_key.columns)).name}
        assert "message_id" in led, table.name


def test_the_clock_does_it_within_ten_ticks(tenant: Tenant) -> None:
    accept(tenant)
    with after(8):
        ticking = clock.Clock()
        for second in range(11):
            ticking.tick(second)
        assert heartbeat.clock_failures() == 0
    assert left(MessageBody) == 0
