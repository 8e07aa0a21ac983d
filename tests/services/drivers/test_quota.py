"""A provider's pace: what its limits make of a day, an hour, a minute."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select, update

from portal import providers
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Driver, Lane, Message, Tenant, User, now
from portal.providers.base import Limits
from portal.services.drivers import lifecycle, quota
from portal.services.drivers.settings import DriverSettings
from portal.services.senders.settings_page import driver_status
from tests.support.driver_steps import accept, drain_driver, run_test, states
from tests.support.mail_service import MailService


def test_a_daily_quota_makes_the_driver_wait_then_go_on(tenant: Tenant, driver: Driver, service: MailService) -> None:
    service.reply = lambda: "550 5.4.5 Daily user sending limit exceeded. https://support.google.com/a/answer/166852"
    accept(tenant)
    drain_driver(driver)
    status = driver_status(tenant)
    assert status is not None and status.waits_until is not None and status.waits_for == "quota_daily"
    assert states() == {"deferred": 1} and lifecycle.get(tenant).state == "active"
    service.reply = lambda: None
    with transaction() as session:
        session.execute(update(Lane).values(not_before=None))
        session.execute(update(Message).where(Message.state == "deferred").values(due_at=now(-1)))
    drain_driver(driver)
    assert states() == {"sent": 1}


def test_a_full_day_holds_mail_back_instead_of_running_into_the_providers_block(
    tenant: Tenant, driver: Driver, service: MailService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota, "daily_limit", lambda driver: 4)  # one of them the test mail's
    for number in range(5):
        accept(tenant, number)
    drain_driver(driver)
    assert states() == {"sent": 3, "queued": 2} and len(service.sink.received) == 3
    usage = quota.usage(lifecycle.get(tenant))
    assert (usage.sent, usage.percent, usage.is_near) == (4, 100, True)
    status = driver_status(tenant)
    assert status is not None and status.waits_for == "quota_daily" and status.waits_until is not None


def test_the_minutes_limit_is_kept(tenant: Tenant, driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = replace(providers.OTHER, limits=Limits(per_minute=3))  # one of them the test mail's
    monkeypatch.setattr(quota, "provider", lambda driver: slow)
    for number in range(5):
        accept(tenant, number)
    drain_driver(driver)
    assert states() == {"sent": 2, "queued": 3}


def test_test_mails_count_for_their_account(tenant: Tenant, user: User, driver: Driver, wanted: DriverSettings) -> None:
    assert quota.usage(driver).sent == 1
    assert run_test(tenant, user, wanted).state == "passed"
    assert quota.usage(lifecycle.get(tenant)).sent == 2
    assert run_test(tenant, user, replace(wanted, secret="wrong-password")).state == "failed"
    assert quota.usage(lifecycle.get(tenant)).sent == 2, "what was refused was not sent"


def test_the_pace_is_counted_from_an_index_alone(tenant: Tenant, driver: Driver) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL's plans depend on its statistics")
    compiled = str(
        select(func.count())
        .where(*quota._within(driver, quota.DAY))
        .compile(db.engine, compile_kwargs={"literal_binds": True})
    )
    plan = [row[3] for row in db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")]
    assert plan == [
        "SEARCH message USING COVERING INDEX ix_message_route_finished (route=? AND finished_at>? AND finished_at<?)"
    ]


@pytest.mark.parametrize("host", ["smtp.ionos.de", "smtppro.zoho.eu"])
def test_a_limit_by_the_hour_is_kept_by_the_minute(tenant: Tenant, driver: Driver, host: str) -> None:
    driver.host = host
    assert 0 < (quota.provider(driver).limits.per_minute or 0) * 60 <= 500


def test_a_limit_that_depends_on_the_plan_holds_nothing_back(tenant: Tenant, driver: Driver) -> None:
    driver.host = "smtp.mailgun.org"
    assert quota.daily_limit(driver) is None and quota.usage(driver).limit is None
    assert quota.allowance(driver, 50).count == 50
