"""A message's state changes in one place: legally, once, and with everybody told."""

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import LogEntry, Message, Tenant
from portal.models.message import ENDED, WAITING, State
from portal.services import message_state
from portal.services.message_state import LEGAL, MESSAGE, Change, IllegalChange, change
from portal.services.outbox import accept as outbox

PORTAL = Path(__file__).parents[2] / "portal"


@pytest.fixture
def told() -> Iterator[list[Change]]:
    heard: list[Change] = []

    def hear(changes: Sequence[Change]) -> None:
        heard.extend(changes)

    message_state.subscribe(hear)
    yield heard
    message_state.subscribers.remove(hear)


@pytest.fixture
def message(tenant: Tenant) -> Message:
    return outbox.accept(tenant, kind="order_update", to="b@customer.example", subject="Order", text="x")


@pytest.mark.parametrize("ended", ENDED)
def test_what_has_ended_stays_so(ended: State) -> None:
    for state in State:
        with pytest.raises(IllegalChange):
            change([ended], state)


def test_only_a_claimed_message_can_be_accepted_by_a_server() -> None:
    assert [state for state in State if State.SENT in LEGAL[state]] == [State.SENDING]


def test_no_state_follows_itself() -> None:
    assert not [state for state in State if state in LEGAL[state]]


def test_one_state_that_cannot_get_there_makes_the_change_illegal() -> None:
    with pytest.raises(IllegalChange, match="held -> failed"):
        change([State.QUEUED, State.HELD], State.FAILED)


def test_every_state_can_be_reached_and_left_for_an_end() -> None:
    reached = set(itertools.chain.from_iterable(LEGAL.values()))
    assert reached == set(State)
    assert all(set(LEGAL[state]) & set(ENDED) for state in State if state not in ENDED)


def test_of_two_changes_at_a_time_one_finds_nothing(message: Message) -> None:
    with transaction() as session:
        fail = change(WAITING, State.FAILED).where(MESSAGE.c.id == message.id)
        assert [session.execute(fail).rowcount for _ in range(2)] == [1, 0]  # type: ignore[attr-defined]


def test_an_end_is_logged_and_told(message: Message, told: list[Change]) -> None:
    assert message_state.end(WAITING, State.FAILED, "expired", MESSAGE.c.id == message.id) == 1
    last = db.session.scalars(select(LogEntry).order_by(LogEntry.id.desc())).first()
    assert last is not None and (last.event, last.reason) == ("failed", "expired")
    assert db.session.scalar(select(Message.state)) == "failed"
    assert [(c.public_id, c.state, c.reason) for c in told] == [(message.public_id, "failed", "expired")]


def test_a_withdrawal_is_told(message: Message, told: list[Change]) -> None:
    outbox.cancel(message.public_id)
    assert [(c.public_id, c.state, c.reason) for c in told] == [(message.public_id, "cancelled", "withdrawn")]


def test_nobody_is_told_of_what_was_rolled_back(message: Message, told: list[Change]) -> None:
    with pytest.raises(ZeroDivisionError), transaction():
        message_state.end(WAITING, State.FAILED, "expired", MESSAGE.c.id == message.id)
        raise ZeroDivisionError
    assert told == []


def test_a_subscriber_that_fails_keeps_nothing_from_happening(message: Message, told: list[Change]) -> None:
    def broken(changes: Sequence[Change]) -> None:
        raise ValueError

    message_state.subscribers.insert(0, broken)
    try:
        assert outbox.cancel(message.public_id).state == "cancelled"
    finally:
        message_state.subscribers.remove(broken)
    assert len(told) == 1


@pytest.mark.any_database
def test_nothing_else_changes_a_messages_state() -> None:
    elsewhere = re.compile(
        r"update\((Message|MESSAGE)\)(?:.(?!\n\n))*?\bstate=|\bmessage\.state(, [\w.]+)* = ", re.DOTALL
    )
    texts = {path.name: path.read_text() for path in PORTAL.rglob("*.py") if path.name != "message_state.py"}
    assert elsewhere.search('update(Message)\n.values(state="sent")')
    assert [name for name, text in texts.items() if elsewhere.search(text)] == []
