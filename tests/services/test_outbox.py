"""Accepting: one transaction, whatever Redis does; the same key makes one message."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.extensions import db
from portal.models import ApiKey, IdempotencyKey, LogEntry, Message, MessageBody, Tenant
from portal.services import api_keys, outbox, tenants
from portal.services.errors import IdempotencyConflict
from portal.services.transaction import transaction
from tests.services.steps import drain
from tests.support.smtp_sink import SMTPSink
from tests.support.valkey import Valkey

ACCEPT = {"kind": "order_update", "to": "jane@customer.example", "subject": "Your order", "text": "Hello"}


def count(model: type) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


@pytest.fixture
def api_key(ctx: Flask) -> ApiKey:
    key = api_keys.authenticate(api_keys.create("backend"))
    assert key is not None
    return key


def test_accepting_writes_message_body_and_first_entry(tenant: Tenant) -> None:
    message = outbox.accept(tenant, **ACCEPT)
    assert (message.state, message.route) == ("queued", "relay")
    assert message.message_id.endswith("@marketplace.example>")
    assert (count(Message), count(MessageBody), count(LogEntry)) == (1, 1, 1)


def test_a_failure_half_way_leaves_nothing_behind(tenant: Tenant) -> None:
    with pytest.raises(RuntimeError), transaction():
        outbox.accept(tenant, **ACCEPT)
        raise RuntimeError
    assert (count(Message), count(MessageBody), count(LogEntry)) == (0, 0, 0)


def test_without_redis_mail_is_accepted_all_the_same(tenant: Tenant, valkey: Valkey) -> None:
    valkey.kill()
    try:
        assert outbox.accept(tenant, **ACCEPT).state == "queued"
    finally:
        valkey.start()


def test_accepting_wakes_a_lane_by_its_id_and_puts_no_address_into_redis(tenant: Tenant, valkey: Valkey) -> None:
    outbox.accept(tenant, **ACCEPT)
    assert valkey.command("LLEN", "rq:queue:mail") == b":1\r\n"
    job = valkey.command("LINDEX", "rq:queue:mail", "0").split(b"\r\n")[1].decode()
    assert b"customer.example" not in valkey.command("HGETALL", f"rq:job:{job}")


def test_a_burst_wakes_each_lane_once(tenant: Tenant, valkey: Valkey) -> None:
    for _ in range(30):
        outbox.accept(tenant, **ACCEPT)
    assert valkey.command("LLEN", "rq:queue:mail") in (b":1\r\n", b":2\r\n")


def test_the_same_key_and_body_make_one_message(tenant: Tenant, api_key: ApiKey) -> None:
    make = partial(outbox.accept, tenant, **ACCEPT)
    first = outbox.accept_once(api_key, "order-1", outbox.digest(ACCEPT), make)
    second = outbox.accept_once(api_key, "order-1", outbox.digest(dict(reversed(ACCEPT.items()))), make)
    assert first.id == second.id and count(Message) == 1


def test_the_same_key_with_another_body_is_a_conflict(tenant: Tenant, api_key: ApiKey) -> None:
    make = partial(outbox.accept, tenant, **ACCEPT)
    outbox.accept_once(api_key, "order-1", outbox.digest(ACCEPT), make)
    with pytest.raises(IdempotencyConflict):
        outbox.accept_once(api_key, "order-1", outbox.digest(ACCEPT | {"subject": "Other"}), make)
    assert count(Message) == 1


def test_two_backends_may_use_the_same_key(tenant: Tenant, api_key: ApiKey) -> None:
    other = api_keys.authenticate(api_keys.create("other"))
    assert other is not None
    make = partial(outbox.accept, tenant, **ACCEPT)
    outbox.accept_once(api_key, "order-1", outbox.digest(ACCEPT), make)
    outbox.accept_once(other, "order-1", outbox.digest(ACCEPT), make)
    assert count(Message) == 2


def test_of_many_equal_requests_at_once_one_makes_the_message(app: Flask) -> None:
    with app.app_context():
        tenant, _ = tenants.upsert("acme", name="Acme")
        api_key = api_keys.authenticate(api_keys.create("backend"))
        assert api_key is not None
    made: list[str] = []
    start = threading.Barrier(10)

    def ask() -> None:
        with app.app_context():
            start.wait()
            make = partial(outbox.accept, tenant, **ACCEPT)
            made.append(outbox.accept_once(api_key, "order-1", outbox.digest(ACCEPT), make).public_id)

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with app.app_context():
        assert (count(Message), count(IdempotencyKey)) == (1, 1)
    assert len(made) == 10 and len(set(made)) == 1


@pytest.mark.parametrize(
    ("kind", "header"),
    [("order_update", "auto-generated"), ("vendor_notification", "auto-generated"), ("customer_message", None)],
)
def test_what_a_program_makes_says_so_and_what_a_person_wrote_does_not(
    tenant: Tenant, smtp: SMTPSink, kind: str, header: str | None
) -> None:
    outbox.accept(tenant, **ACCEPT | {"kind": kind})
    drain()
    assert smtp.received[0].message["Auto-Submitted"] == header
