"""What the page of the own mail service shows: the test that counts, and whether Save is open."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import update

from portal.models import Driver, DriverTest, Tenant, User, utcnow
from portal.services.drivers import setup_page
from portal.services.drivers.settings import DriverSettings
from tests.support.driver_steps import run_test
from tests.support.steps import execute


def test_save_opens_for_exactly_what_was_tested(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    assert setup_page.read(tenant).gate(wanted) == "missing"
    run_test(tenant, user, wanted)
    found = setup_page.read(tenant)
    other = found.gate(replace(wanted, username="other@acme.example"))
    assert (found.gate(wanted), other, found.is_saved) == ("open", "changed", False)
    assert found.form_test == found.test is not None


def test_half_an_hour_later_the_test_is_of_no_interest(tenant: Tenant, user: User, wanted: DriverSettings) -> None:
    run_test(tenant, user, wanted)
    execute(update(DriverTest).values(finished_at=utcnow() - timedelta(minutes=31)))
    found = setup_page.read(tenant)
    assert (found.open_test, found.form_test, found.gate(wanted)) == (None, None, "expired")


def test_what_is_saved_is_shown_instead_of_its_test(tenant: Tenant, driver: Driver, wanted: DriverSettings) -> None:
    found = setup_page.read(tenant)
    assert (found.version, found.form_test) == (driver.version, None) and found.open_test is not None
    assert found.gate(replace(wanted, secret="")) == "open"
