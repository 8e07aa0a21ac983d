"""`flask delivery`: what an operator sees of it. (What a restored back-up must not send again: services/delivery.)"""

from click.testing import Result
from flask import Flask
from sqlalchemy import update

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Lane, Message, Tenant, now
from portal.services.operations import heartbeat
from tests.support.steps import accept_many, execute
from tests.support.valkey import Valkey


def run(app: Flask, *arguments: str) -> Result:
    db.session.rollback()
    return app.test_cli_runner().invoke(args=["delivery", *arguments])


def make_well(valkey: Valkey) -> None:
    """A clock and two workers, as they show themselves in Redis."""
    from redis import Redis

    heartbeat.tick()
    client = Redis.from_url(valkey.url)
    for name in ("mail", "interactive"):
        client.set(f"rq:worker:{name}", 1)
        client.sadd(f"rq:workers:{name}", f"rq:worker:{name}")


def test_where_all_is_well_it_says_so_and_ends_with_0(tenant: Tenant, app: Flask, valkey: Valkey) -> None:
    make_well(valkey)
    result = run(app, "status")
    assert result.exit_code == 0 and result.output.endswith("All is well.\n"), result.output
    for sentence in ("No message waits.", "All 6 lanes are free.", "None of 0 drivers", "1 alive, 0 jobs wait"):
        assert sentence in result.output


def test_mail_that_nobody_sends_needs_attention(tenant: Tenant, app: Flask, valkey: Valkey) -> None:
    make_well(valkey)
    accept_many(tenant, 2)
    with transaction() as session:
        session.execute(update(Message).values(due_at=now(-3665)))
        session.execute(
            update(Lane).where(Lane.route == "relay").values(failures=4, reason="dns_failure", not_before=now(250))
        )
    result = run(app, "status")
    assert result.exit_code == 1
    words = [line.split() for line in result.output.splitlines()]
    assert ["relay", "2", "0", "0", "0", "2", "1", "h", "1", "min"] in words
    assert any(row[1:3] == ["relay/0", "waiting"] and row[-2:] == ["dns_failure", "4"] for row in words if len(row) > 3)
    assert "! Due mail on relay has waited for 36" in result.output
    assert "! The route relay has failed 4 times in a row (dns_failure) and waits." in result.output
    assert "@" not in result.output and "acme" not in result.output.lower()


def test_processes_that_are_missing_need_attention(tenant: Tenant, app: Flask, valkey: Valkey) -> None:
    result = run(app, "status")
    assert result.exit_code == 1
    for sentence in ("! No clock has ticked", "python -m jobs.worker interactive", "python -m jobs.worker mail"):
        assert sentence in result.output
    with valkey.away():
        result = run(app, "status")
    assert result.exit_code == 1 and "! Redis does not answer" in result.output


def test_a_dead_lane_that_nobody_ends_needs_attention(tenant: Tenant, app: Flask, valkey: Valkey) -> None:
    make_well(valkey)
    execute(update(Lane).where(Lane.route == "interactive").values(lease_token="x", leased_until=now(-60)))
    result = run(app, "status")
    assert result.exit_code == 1 and "ran out and no clock has ended them" in result.output
