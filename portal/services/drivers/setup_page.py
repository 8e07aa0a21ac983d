"""What the page of a merchant's own mail service is made from: the driver and the newest test, each read once."""

from __future__ import annotations

from dataclasses import dataclass

from portal.models import Driver, DriverTest, Tenant, utcnow
from portal.models.driver import PROBING, DriverState
from portal.services.drivers import lifecycle, save_gate
from portal.services.drivers.settings import DriverSettings
from portal.services.errors import InvalidFields


@dataclass(frozen=True)
class DriverSetup:
    """One look at the database. Nothing here decrypts a password: no page shows one."""

    tenant: Tenant
    driver: Driver | None
    test: DriverTest | None  # the newest, whenever that was

    @property
    def version(self) -> int:
        """The driver's, which the next Save has to name; 0: there is none."""
        return self.driver.version if self.driver else 0

    @property
    def open_test(self) -> DriverTest | None:
        """The newest test, while it is of interest: it is under way, or ended less than half an hour ago."""
        test = self.test
        ended = test and (test.finished_at or test.created_at)
        return test if ended and utcnow() < ended + save_gate.PASS_LIFE else None

    @property
    def is_saved(self) -> bool:
        """Whether the driver is the account that was tested."""
        return self.driver is not None and self.test is not None and self.test.driver_version == self.driver.version

    @property
    def form_test(self) -> DriverTest | None:
        """The open test, if it tried something that isn't saved, so that the form shows that."""
        test, driver = self.open_test, self.driver
        if test is None or driver is None:
            return test
        if self.is_saved:
            return test if test.created_at > driver.updated_at else None
        # A change of state alone is no saving.
        saved_since = driver.state == DriverState.ACTIVE and driver.updated_at > (test.finished_at or test.created_at)
        return None if saved_since else test

    def gate(self, wanted: DriverSettings) -> str:
        """Whether these settings could be saved now: open, missing, running, changed or expired."""
        try:
            wanted = wanted.cleaned(self.tenant)
        except InvalidFields:
            return "missing"
        test = self.test
        if test is None:
            return "missing"
        if not save_gate.tried(test, self.tenant, wanted):
            return "changed" if test.state == "passed" else "missing"
        if save_gate.state_of(test) in PROBING:
            return "running"
        if test.state != "passed":
            return "missing"
        return "open" if save_gate.is_good(test, self.driver) else "expired"


def read(tenant: Tenant) -> DriverSetup:
    """The tenant's driver and its newest test as they are now."""
    return DriverSetup(tenant, lifecycle.find(tenant), save_gate.latest(tenant))
