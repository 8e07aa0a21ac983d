"""/metrics: figures from the database and Redis, the same in every process, for the operator alone."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Driver, Lane, Message, Tenant, now, utcnow
from portal.providers import PROVIDERS
from portal.services.accounts import tenants
from portal.services.operations import delivery_status, health_checks, heartbeat, metrics
from tests.conftest import made_app
from tests.support.settings import configure
from tests.support.statements import recorded
from tests.support.steps import accept, accept_many, drain, execute
from tests.support.valkey import Valkey

TOKEN = "t" * 20
Figures = dict[tuple[str, tuple[str, ...]], float]


def figures(text: str) -> Figures:
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read() -> Figures:
    db.session.rollback()
    return figures(metrics.text().decode())


def change(message: Message, **values: Any) -> None:
    execute(update(Message).where(Message.id == message.id).values(**values))


def add_driver(tenant: Tenant, host: str, **values: Any) -> Driver:
    driver = Driver(
        tenant_id=tenant.id, host=host, port=587, encryption="starttls", username="u", secret="s",
        from_address="a@b.example", account_since=utcnow() - timedelta(days=9), **values,
    )  # fmt: skip
    with transaction() as session:
        session.add(driver)
        session.flush()
        session.add(Lane(route=driver.route))
    return driver


def test_messages_are_counted_by_route_and_state(tenant: Tenant) -> None:
    one, two, three, _ = accept_many(tenant, 4)
    change(one, state="deferred", due_at=now(600))
    change(two, state="held", held_at=now())
    change(three, due_at=now(-100))
    found = read()
    assert [found["absender_messages", ("relay", state)] for state in ("queued", "deferred", "held", "sending")] == [
        2, 1, 1, 0,
    ]  # fmt: skip
    assert found["absender_messages_due", ("relay",)] == 2
    assert 100 <= found["absender_oldest_due_seconds", ("relay",)] < 160
    assert found["absender_oldest_due_seconds", ("interactive",)] == 0


def test_mail_that_waits_for_its_provider_is_no_alarm(tenant: Tenant) -> None:
    driver = add_driver(tenant, "smtp.gmail.com")
    message = accept(tenant)
    change(message, route=driver.route, due_at=now(-1000))
    assert read()["absender_oldest_due_seconds", ("driver",)] >= 1000
    execute(update(Lane).where(Lane.route == driver.route).values(not_before=now(60), reason="quota_daily"))
    found = read()
    assert found["absender_oldest_due_seconds", ("driver",)] == 0
    assert found["absender_lanes", ("driver", "waiting")] == 1


def test_deliveries_of_the_last_minutes_by_outcome_and_provider(tenant: Tenant) -> None:
    driver = add_driver(tenant, "smtp.gmail.com")
    accept_many(tenant, 2)
    drain()
    failed, old, by_driver = accept_many(tenant, 3)
    change(failed, state="failed", finished_at=utcnow())
    change(old, state="failed", finished_at=utcnow() - timedelta(minutes=6))
    change(by_driver, state="sent", finished_at=utcnow(), route=driver.route)
    found = read()
    name = "absender_deliveries_last_5m"
    assert (found[name, ("sent", "relay")], found[name, ("failed", "relay")], found[name, ("sent", "gmail")]) == (
        2,
        1,
        1,
    )
    assert found["absender_drain_seconds_count", ("relay",)] == 1
    assert found["absender_drained_messages_total", ("relay",)] == 2
    assert 0 < found["absender_drain_seconds_sum", ("relay",)] < 15
    assert found["absender_drain_seconds_bucket", ("+Inf", "relay")] == 1


def test_lanes_and_drivers_by_state(tenant: Tenant) -> None:
    add_driver(tenant, "smtp.shop.example", state="stopped", reason="bad_credentials")
    ids = [lane.id for lane in delivery_status.read().lanes if lane.route == "relay"]
    with transaction() as session:
        session.execute(update(Lane).where(Lane.id == ids[0]).values(lease_token="x", leased_until=now(30)))
        session.execute(update(Lane).where(Lane.id == ids[1]).values(lease_token="y", leased_until=now(-30)))
    found = read()
    states = ("free", "leased", "waiting", "dead")
    assert [found["absender_lanes", ("relay", state)] for state in states] == [0, 1, 0, 1]
    assert [found["absender_drivers", (state,)] for state in ("active", "paused", "stopped")] == [0, 0, 1]


def test_the_processes_are_seen(ctx: Flask) -> None:
    found = read()
    assert ("absender_clock_age_seconds", ()) not in found and found["absender_workers", ("mail",)] == 0
    heartbeat.tick()
    assert 0 <= read()["absender_clock_age_seconds", ()] < 60


def test_a_redis_that_is_away_is_a_figure(tenant: Tenant, valkey: Valkey) -> None:
    with valkey.away():
        found = read()
    assert (found["absender_redis_up", ()], found["absender_database_up", ()]) == (0, 1)
    assert ("absender_lanes", ("relay", "free")) in found


def test_a_database_that_is_away_is_a_figure(options: dict[str, Any], tmp_path: Any) -> None:
    with made_app(**options | {"database_url": f"sqlite:///{tmp_path}/empty.db"}) as app, app.app_context():
        found = read()
        assert (found["absender_database_up", ()], found["absender_redis_up", ()]) == (0, 1)
        assert health_checks.sentences(None)


def test_two_processes_give_the_same_answer(tenant: Tenant, options: dict[str, Any]) -> None:
    accept_many(tenant, 3)
    drain()
    ours = read()
    with made_app(**options) as other, other.app_context():
        assert read() == ours


def test_labels_are_bounded_and_name_nobody(tenant: Tenant) -> None:
    for number in range(3):
        add_driver(_another(number), "smtp.secret-shop.example")
    accept_many(tenant, 3)
    text = metrics.text().decode()
    values = {value for labels in re.findall(r"\{(.*?)\}", text) for value in re.findall(r'"(.*?)"', labels)}
    allowed = {
        *delivery_status.KINDS, *delivery_status.LANE_STATES, *delivery_status.DRIVER_STATES, *delivery_status.OUTCOMES,
        *metrics.WAITING_STATES,
        *PROVIDERS, "mail", "+Inf", *(f"{bound:g}" for bound in heartbeat.BUCKETS),
    }  # fmt: skip
    assert values - allowed == set()
    for word in ("acme", "Acme", "customer.example", "secret-shop", "@"):
        assert word not in text


def _another(number: int) -> Tenant:
    return tenants.upsert(f"shop-{number}", name=f"Shop {number}")[0]


def test_a_scrape_reads_no_table_of_messages_as_a_whole(tenant: Tenant) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL's plans depend on its statistics")
    add_driver(tenant, "smtp.gmail.com")
    with recorded() as statements:
        metrics.text()
    plans = []
    for sql, arguments in statements:
        if "FROM message" in sql:
            rows = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", arguments).all()
            plans += [row[3] for row in rows if "message" in row[3]]
    assert len(plans) == 5
    for plan in plans:
        assert "USING INDEX ix_message_" in plan or "USING COVERING INDEX ix_message_" in plan, plan
        assert "ix_message_log" not in plan, plan


# Who may ask


def test_this_machine_may_ask_without_a_token(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200 and answer.content_type.startswith("text/plain; version=")
    assert figures(answer.text)["absender_database_up", ()] == 1


@pytest.mark.parametrize(
    ("environ", "headers"),
    [
        ({"REMOTE_ADDR": "203.0.113.9"}, {}),
        ({"REMOTE_ADDR": ""}, {}),  # a unix socket: somebody in front of us
        ({}, {"X-Forwarded-For": "127.0.0.1"}),
        ({}, {"Forwarded": "for=127.0.0.1"}),
        ({}, {"X-Real-IP": "203.0.113.9"}),
        ({}, {"X-Forwarded-Proto": "https"}),
        ({}, {"Host": "mail.marketplace.example"}),
        ({}, {"Via": "1.1 proxy"}),
    ],
)
def test_anybody_else_finds_nothing(client: FlaskClient, environ: dict[str, str], headers: dict[str, str]) -> None:
    answer = client.get("/metrics", environ_overrides=environ, headers=headers)
    assert answer.status_code == 404 and "absender_" not in answer.text


def test_a_proxy_on_this_machine_that_says_nothing_of_itself_makes_nobody_local(
    app: Flask, client: FlaskClient
) -> None:
    """As nginx does by itself: the request comes from loopback, with our own address as its Host."""
    configure(app, base_url="https://mail.marketplace.example")
    answer = client.get("/metrics", headers={"Host": "127.0.0.1:8000"})
    assert answer.status_code == 404 and "absender_" not in answer.text


def test_a_proxy_does_not_make_a_stranger_local(options: dict[str, Any]) -> None:
    with made_app(**options, trusted_proxies=1) as app:
        answer = app.test_client().get(
            "/metrics", environ_overrides={"REMOTE_ADDR": "203.0.113.9"}, headers={"X-Forwarded-For": "127.0.0.1"}
        )
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("authorization", "status"), [(f"Bearer {TOKEN}", 200), ("Bearer wrong", 401), (f"Basic {TOKEN}", 401), ("", 401)]
)
def test_with_a_token_the_token_decides(app: Flask, authorization: str, status: int) -> None:
    configure(app, metrics_token=TOKEN)
    for address in ("127.0.0.1", "203.0.113.9"):
        answer = app.test_client().get(
            "/metrics", environ_overrides={"REMOTE_ADDR": address}, headers={"Authorization": authorization}
        )
        assert answer.status_code == status and ("absender_" in answer.text) == (status == 200)
