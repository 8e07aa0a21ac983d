"""Idempotency keys: one message each, however often, at once or mixed they come, and whatever others hold."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, insert, select, text, update

from portal.extensions import db
from portal.models import IdempotencyKey, LogEntry, Message, MessageBody, Tenant, utcnow
from portal.models.api_key import KeyInForce
from portal.models.tenant import PLATFORM_ID
from portal.services.accounts import api_keys, tenants
from portal.services.errors import Busy
from portal.services.operations import housekeeping
from portal.services.outbox import accept as outbox
from portal.services.outbox import idempotency
from portal.services.outbox.accept import Accepted
from portal.services.outbox.idempotency import Answer, HandedIn
from portal.transport.mime.addresses import Mailbox
from tests.conftest import POSTGRES
from tests.support.at_once import at_once
from tests.support.locked import locked
from tests.support.statements import recorded
from tests.support.steps import execute

FIELDS = {"kind": "order_update", "to": Mailbox("", "jane@customer.example"), "subject": "Your order", "text": "Hello"}
ON_POSTGRES = pytest.mark.skipif(not POSTGRES, reason="SQLite has one writer at a time: nobody waits for a key")


@pytest.fixture
def api_key(ctx: Flask) -> KeyInForce:
    return new_key("backend")


def new_key(name: str, **limits: Any) -> KeyInForce:
    key = api_keys.authenticate(api_keys.create(name, **limits))
    assert key is not None
    return key


def item(tenant: Tenant, key: str | None, **changes: Any) -> HandedIn:
    fields = FIELDS | changes
    return HandedIn(tenant.external_id, fields, key, idempotency.digest(fields))


def ask(api_key: KeyInForce, *items: HandedIn) -> list[Answer]:
    return idempotency.accept_each(api_key, items)


def accepted(answer: Answer) -> Accepted:
    assert isinstance(answer, Accepted), answer
    return answer


def count(model: type) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_the_same_key_and_body_make_one_message(tenant: Tenant, api_key: KeyInForce) -> None:
    (first,) = ask(api_key, item(tenant, "order-1"))
    (second,) = ask(api_key, item(tenant, "order-1"))
    assert first == second and count(Message) == count(LogEntry) == count(MessageBody) == 1


def test_the_same_key_with_another_body_is_a_conflict(tenant: Tenant, api_key: KeyInForce) -> None:
    ask(api_key, item(tenant, "order-1"))
    assert ask(api_key, item(tenant, "order-1", subject="Other")) == ["conflict"]
    assert count(Message) == 1


def test_two_backends_may_use_the_same_key(tenant: Tenant, api_key: KeyInForce) -> None:
    ask(api_key, item(tenant, "order-1"))
    ask(new_key("other"), item(tenant, "order-1"))
    assert count(Message) == 2


def test_a_digest_tells_bodies_apart_and_orders_of_fields_not() -> None:
    digest = idempotency.digest
    assert digest(FIELDS) == digest(dict(reversed(FIELDS.items()))) == digest(FIELDS | {"html": None})
    others = [{"text": "Hello "}, {"html": "Hello"}, {"data": {"text": "Hello"}}, {"text": None}, {"text": "Hellö"}]
    assert len({digest(FIELDS | other) for other in others} | {digest(FIELDS)}) == len(others) + 1


def test_a_batch_answers_each_for_itself_in_order(tenant: Tenant, api_key: KeyInForce) -> None:
    (old,) = ask(api_key, item(tenant, "old"))
    answers = ask(
        api_key,
        item(tenant, "new"),
        item(tenant, None),
        item(tenant, "old", subject="Other"),
        item(tenant, "old"),
        item(tenant, None),
        item(tenant, "new"),
        item(tenant, "new", subject="Other"),
    )
    assert answers[2] == answers[6] == "conflict" and answers[3] == old and answers[5] == answers[0]
    assert len({accepted(answers[n]).public_id for n in (0, 1, 4)} | {accepted(old).public_id}) == 4
    assert count(Message) == count(MessageBody) == count(LogEntry) == 4 and count(IdempotencyKey) == 2


def test_a_batch_goes_by_each_tenants_sender(tenant: Tenant, api_key: KeyInForce) -> None:
    other, _ = tenants.upsert("rival", name="Rival")
    answers = ask(api_key, *(item(t, f"{t.id}-{n}", subject=f"{n}") for n in range(3) for t in (tenant, other)))
    rows = db.session.execute(select(Message.tenant_id, Message.subject).order_by(Message.id)).all()
    assert [tuple(row) for row in rows] == [(t.id, str(n)) for n in range(3) for t in (tenant, other)]
    assert [accepted(a).id for a in answers] == sorted(accepted(a).id for a in answers)


def test_a_key_is_kept_for_24_hours_and_then_free(tenant: Tenant, api_key: KeyInForce) -> None:
    (first,) = ask(api_key, item(tenant, "order-1"))

    def age(hours: float) -> None:
        execute(update(IdempotencyKey).values(created_at=utcnow() - timedelta(hours=hours)))

    age(23.9)
    housekeeping.clean_up()
    assert ask(api_key, item(tenant, "order-1")) == [first]
    age(24.1)
    (later,) = ask(api_key, item(tenant, "order-1", subject="Other"))
    assert accepted(later).id != accepted(first).id and count(IdempotencyKey) == 1
    assert ask(api_key, item(tenant, "order-1", subject="Other")) == [later]
    age(24.1)
    housekeeping.clean_up()
    assert count(IdempotencyKey) == 0 and count(Message) == 2


def test_batches_at_once_with_the_same_keys_make_one_message_each(app: Flask) -> None:
    """Each in another order and with keys of its own beside: nothing lost, nothing doubled, nobody waits for ever."""
    with app.app_context():
        tenant, api_key = tenants.upsert("acme", name="Acme")[0], new_key("backend")
    shared = [f"shared-{number}" for number in range(40)]
    answers: dict[tuple[int, str], Answer] = {}

    def batch(number: int) -> None:
        turned = shared[number * 7 :] + shared[: number * 7]
        keys = [key for n, k in enumerate(turned if number % 2 else turned[::-1]) for key in (k, f"{number}-{n}")]
        for key, answer in zip(keys, ask(api_key, *(item(tenant, k, subject=k) for k in keys)), strict=True):
            answers[number, key] = answer

    at_once(*(partial(batch, number) for number in range(6)), app=app)
    made = {(number, key): accepted(answer).public_id for (number, key), answer in answers.items()}
    with app.app_context():
        assert count(Message) == count(IdempotencyKey) == count(LogEntry) == count(MessageBody) == 40 + 6 * 40
        subjects = dict(db.session.execute(select(Message.public_id, Message.subject)).all())
    assert all(subjects[public_id] == key for (_, key), public_id in made.items()) and len(made) == 6 * 80


@ON_POSTGRES
def test_a_key_that_somebody_holds_is_in_progress_and_keeps_no_other(tenant: Tenant, api_key: KeyInForce) -> None:
    """The first request stands still between its insert and its commit."""
    message = outbox.accept(tenant, **FIELDS)
    held = {"api_key_id": api_key.id, "key": "m", "digest": "d", "message_id": message.id, "created_at": utcnow()}
    with db.engine.connect() as first:
        first.execute(insert(IdempotencyKey), [held])
        answers = ask(api_key, item(tenant, "a"), item(tenant, "m"), item(tenant, "z"), item(tenant, None))
        assert answers[1] == "in_progress" and all(accepted(answers[n]) for n in (0, 2, 3))
        assert ask(api_key, item(tenant, "m")) == ["in_progress"]
        first.rollback()
    assert count(Message) == 4 and count(LogEntry) == count(MessageBody) == 4
    assert accepted(ask(api_key, item(tenant, "m"))[0]) and accepted(ask(api_key, item(tenant, "a"))[0]) == answers[0]
    assert count(Message) == 5


@ON_POSTGRES
def test_a_request_that_waits_gets_the_first_ones_message(tenant: Tenant, api_key: KeyInForce, app: Flask) -> None:
    message = outbox.accept(tenant, **FIELDS)
    digest = item(tenant, "m").digest
    held = {"api_key_id": api_key.id, "key": "m", "digest": digest, "message_id": message.id, "created_at": utcnow()}
    answers: list[Answer] = []
    with db.engine.connect() as first:
        first.execute(insert(IdempotencyKey), [held])

        def second() -> None:
            answers.extend(ask(api_key, item(tenant, "m"), item(tenant, "other")))

        def commit_once_it_waits() -> None:
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            for _ in range(1000):
                if db.session.scalar(waiting):
                    break
            first.commit()

        at_once(second, commit_once_it_waits, app=app)
    assert accepted(answers[0]).public_id == message.public_id
    assert count(Message) == 2 and count(IdempotencyKey) == 2


@pytest.mark.skipif(bool(POSTGRES), reason="PostgreSQL has no one lock for all writers")
def test_a_database_that_another_writes_to_is_busy_and_nothing_is_accepted(tenant: Tenant, api_key: KeyInForce) -> None:
    with locked(), pytest.raises(Busy):
        ask(api_key, item(tenant, "order-1"))
    assert count(Message) == count(IdempotencyKey) == 0
    assert accepted(ask(api_key, item(tenant, "order-1"))[0]) and count(Message) == 1


def test_a_tenant_that_the_api_key_is_not_for_is_none_even_for_a_key_that_made_a_message(tenant: Tenant) -> None:
    limited = new_key("limited", tenants=["acme"])
    (first,) = ask(limited, item(tenant, "order-1"))
    assert ask(limited._replace(tenants=["rival"]), item(tenant, "order-1"), item(tenant, None)) == ["no_tenant"] * 2
    assert ask(limited, item(tenant, "order-1")) == [first] and count(Message) == 1


def test_those_without_a_tenant_leave_the_others_answers_in_their_places(tenant: Tenant, api_key: KeyInForce) -> None:
    nobodys = HandedIn("nobody", FIELDS, "order-1", "digest")
    first, mine, last, own = ask(
        api_key, nobodys, item(tenant, "order-1"), nobodys, HandedIn(PLATFORM_ID, FIELDS, "order-2", "digest")
    )
    assert first == last == own == "no_tenant" and accepted(mine)
    assert count(Message) == count(IdempotencyKey) == 1


def test_one_message_asks_the_database_for_little(tenant: Tenant, api_key: KeyInForce) -> None:
    ask(api_key, item(tenant, "order-1"))
    with recorded() as statements:
        ask(api_key, item(tenant, "order-2"))
    what = [text.split()[0] for text, _ in statements]
    assert what == ["BEGIN"] * (not POSTGRES) + ["SELECT", "SELECT", "INSERT", "SELECT", "INSERT", "INSERT", "INSERT"]
