"""The log: newest first, keyset pages, filters, and nobody else's mail."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import update

from portal.extensions import db
from portal.models import Message, Tenant, utcnow
from portal.models.route import RELAY
from portal.services.accounts import tenants
from portal.services.errors import NotFound
from portal.services.outbox import message_log
from portal.services.outbox.message_log import LogFilter
from tests.support.backlog import backlog
from tests.support.statements import recorded
from tests.support.steps import accept, execute

ALL = LogFilter()


def ids(page: message_log.LogPage) -> list[str]:
    return [message.public_id for message in page.rows]


def test_the_newest_message_comes_first(tenant: Tenant) -> None:
    older, newer = accept(tenant), accept(tenant)
    assert ids(message_log.page(tenant, ALL)) == [newer.public_id, older.public_id]


def test_pages_follow_one_another_without_gap_or_repetition(tenant: Tenant) -> None:
    accepted = [accept(tenant).public_id for _ in range(7)]
    seen: list[str] = []
    before = None
    for _ in range(4):
        page = message_log.page(tenant, ALL, before=before, limit=2)
        seen += ids(page)
        before = page.next_before
        accept(tenant)  # mail that comes in while somebody reads must not shift the pages
    assert before is None
    assert seen == accepted[::-1]


def test_rows_up_to_a_message_count_what_came_after_it(tenant: Tenant) -> None:
    first = accept(tenant)
    accept(tenant)
    accept(tenant, kind="customer_message")
    page = message_log.page(tenant, ALL, until=first.public_id)
    assert (ids(page), page.newer) == ([first.public_id], 2)
    assert message_log.page(tenant, LogFilter(kind="customer_message"), until=first.public_id).newer == 1


def test_filters_narrow_and_combine(tenant: Tenant) -> None:
    accept(tenant)
    wanted = accept(tenant, kind="customer_message", to="bob@customer.example")
    accept(tenant, kind="customer_message")
    assert ids(message_log.page(tenant, LogFilter(kind="customer_message", recipient="bob@"))) == [wanted.public_id]
    assert ids(message_log.page(tenant, LogFilter(state="failed"))) == []
    assert len(message_log.page(tenant, LogFilter(state="queued")).rows) == 3


def test_a_period_leaves_out_what_is_older(tenant: Tenant) -> None:
    old = accept(tenant)
    execute(update(Message).where(Message.id == old.id).values(accepted_at=utcnow() - timedelta(days=2)))
    new = accept(tenant)
    assert ids(message_log.page(tenant, LogFilter(period="24h"))) == [new.public_id]
    assert ids(message_log.page(tenant, LogFilter(period="7d"))) == [new.public_id, old.public_id]


def test_a_period_in_which_nothing_came_is_empty(tenant: Tenant) -> None:
    accept(tenant)
    execute(update(Message).values(accepted_at=utcnow() - timedelta(days=2)))
    page = message_log.page(tenant, LogFilter(period="1h"))
    assert page.rows == [] and page.any


@pytest.mark.parametrize("text", ["jane@customer.example", "JANE@customer.example", "jane", "customer.exam", " jane@ "])
def test_a_recipient_is_found_by_its_address_or_a_part_of_it(tenant: Tenant, text: str) -> None:
    message = accept(tenant)
    accept(tenant, to="bob@other.example")
    assert ids(message_log.page(tenant, LogFilter(recipient=text))) == [message.public_id]


@pytest.mark.parametrize("text", ["%", "_", "ja%e", "\\"])
def test_a_search_takes_signs_literally(tenant: Tenant, text: str) -> None:
    accept(tenant)
    assert message_log.page(tenant, LogFilter(recipient=text)).rows == []


def test_another_tenants_mail_is_never_seen(tenant: Tenant) -> None:
    message = accept(tenant)
    other, _ = tenants.upsert("other", name="Other")
    for unknown in (message.public_id, "msg_x"):
        with pytest.raises(NotFound):
            message_log.get_message(other, unknown)
    page = message_log.page(other, ALL)
    assert page.rows == [] and not page.any
    assert ids(message_log.page(tenant, ALL, before=accept(other).public_id)) == [message.public_id]
    assert message_log.latest_entry_id(other) > 0 and message_log.latest_entry_id(tenant) > 0


def test_the_logs_version_is_read_from_one_index(tenant: Tenant) -> None:
    accept(tenant)
    with recorded() as statements:
        message_log.latest_entry_id(tenant)
    (query,) = [statement for statement, _ in statements if statement.startswith("SELECT")]
    if db.engine.dialect.name == "sqlite":
        plan = db.session.connection().exec_driver_sql("EXPLAIN QUERY PLAN " + query, (tenant.id, 1, 0)).all()
        assert "USING COVERING INDEX ix_log_entry_tenant" in str(plan)


def test_the_newest_entry_of_each_row_comes_in_one_query(tenant: Tenant) -> None:
    messages = [accept(tenant) for _ in range(3)]
    last = message_log.last_entries([message.id for message in messages])
    assert {message_id: entry.event for message_id, entry in last.items()} == {m.id: "queued" for m in messages}


def test_a_part_of_an_address_is_looked_for_in_the_newest_and_a_whole_one_in_all(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_log, "MOST_SEARCHED", 3)
    oldest = accept(tenant, "jane@customer.example")
    newer = [accept(tenant, f"bob{number}@customer.example") for number in range(3)]
    part = message_log.page(tenant, LogFilter(recipient="@customer"))
    assert [row.id for row in part.rows] == [message.id for message in reversed(newer)] and not part.whole
    found = message_log.page(tenant, LogFilter(recipient="jane@customer.example"))
    assert [row.id for row in found.rows] == [oldest.id] and found.whole


def test_a_search_that_finds_nothing_reads_so_many_messages_and_no_more(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processor time with four times as many messages, so that even linear work would show."""
    monkeypatch.setattr(message_log, "MOST_SEARCHED", 500)

    def best() -> float:
        times = []
        for _ in range(5):
            began = time.process_time()
            assert message_log.page(tenant, LogFilter(recipient="nobody")).rows == []
            times.append(time.process_time() - began)
        return min(times)

    backlog(tenant, RELAY, 10_000)
    once = best()
    backlog(tenant, RELAY, 30_000)
    assert best() < 3 * once
