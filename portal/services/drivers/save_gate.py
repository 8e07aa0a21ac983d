"""The test gate: settings become a driver only as exactly what a test mail has passed with."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

from sqlalchemy import delete, select

from portal import encryption, job_queue
from portal.db.transaction import after_commit, transaction
from portal.extensions import db
from portal.job_queue import Work
from portal.models import Driver, DriverTest, Tenant, User, utcnow
from portal.models.driver import PROBED, PROBING, DriverState
from portal.models.message import Kind
from portal.services import entitlements, limits
from portal.services.accounts import tenants
from portal.services.drivers import guesses, lifecycle, quota
from portal.services.drivers.settings import TESTED, DriverSettings
from portal.services.emails import contents, shop_name
from portal.services.errors import AlreadyTesting, InvalidFields, SettingsUntested
from portal.services.limits import Cause
from portal.services.outbox import accept as outbox

PASS_LIFE = timedelta(minutes=30)
GIVE_UP = timedelta(seconds=180)  # longer than any test takes (probe.py), and a while in the queue


def start(tenant: Tenant, user: User, wanted: DriverSettings) -> DriverTest:
    """Try the settings with a mail to the person's own address; a job does it.

    An empty secret means the stored one, as long as host and username are its. Raises InvalidFields, AlreadyTesting,
    PlanLocked, SendLimit, TooManyRefusals.
    """
    entitlements.require(tenant, "own_driver")
    wanted = wanted.cleaned(tenant)
    with transaction() as session:
        tenant = tenants.lock(tenant)
        last = latest(tenant)
        if last is not None and state_of(last) in PROBING:
            raise AlreadyTesting
        driver = lifecycle.find(tenant)
        wanted = _with_stored_secret(wanted, last, driver)
        limits.count(Cause.DRIVER_TEST, limits.account_of(wanted.username, wanted.host), tenant)
        guesses.count(tenant, wanted)
        locale = user.locale or tenant.locale
        subject = contents.subject(Kind.DRIVER_TEST, locale, tenant=shop_name.shown(tenant, locale))
        message = outbox.record_test(tenant, to=user.email, subject=subject)
        test = DriverTest(
            tenant_id=tenant.id, user_id=user.id, message_id=message.id, fingerprint=wanted.fingerprint(tenant),
            driver_version=driver.version if driver and wanted.are_of(driver, tenant) else None,
            **{name: getattr(wanted, name) for name in lifecycle.FIELDS if name != "secret"},
            secret=encryption.encrypt(wanted.secret),
        )  # fmt: skip
        session.add(test)
        session.flush()
        after_commit(partial(job_queue.enqueue_interactive, Work.PROBE, test.id))
    return test


def latest(tenant: Tenant) -> DriverTest | None:
    """The tenant's newest test, as it is now."""
    return db.session.scalar(
        select(DriverTest)
        .where(DriverTest.tenant_id == tenant.id)
        .order_by(DriverTest.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )


def state_of(test: DriverTest) -> str:
    """queued, running, passed, failed or unfinished: a test whose worker died ends by itself."""
    if test.state in PROBING and test.created_at + GIVE_UP <= utcnow():
        return "unfinished"
    return test.state


def is_good(test: DriverTest, driver: Driver | None) -> bool:
    """Whether what it tested may still be saved: passed lately, and not before the server refused the account."""
    if test.state != "passed" or test.finished_at is None or utcnow() >= test.finished_at + PASS_LIFE:
        return False
    refused = driver.paused_at if driver is not None and driver.state == DriverState.STOPPED else None
    return refused is None or refused < test.finished_at


def discard(tenant: Tenant) -> None:
    """Forget what was tested and not saved, its password with it. Raises AlreadyTesting while a test is under way."""
    with transaction() as session:
        tenant = tenants.lock(tenant)
        last = latest(tenant)
        if last is not None and state_of(last) in PROBING:
            raise AlreadyTesting
        session.execute(delete(DriverTest).where(DriverTest.tenant_id == tenant.id, DriverTest.state.in_(PROBED)))


def tried(test: DriverTest, tenant: Tenant, wanted: DriverSettings) -> bool:
    """Whether the test tried exactly these settings; an empty secret means the tested one, if it can be read."""
    if wanted.secret:
        return wanted.fingerprint(tenant) == test.fingerprint
    same = all(getattr(wanted, name) == getattr(test, name) for name in TESTED if name != "secret")
    return same and encryption.can_read(test.secret)


def save(tenant: Tenant, user: User, wanted: DriverSettings, version: int) -> Driver:
    """Make the tested settings the tenant's driver. What is stored is the tested row, never the form.

    Raises InvalidFields, SettingsUntested, EditConflict, PlanLocked, TooManyRefusals.
    """
    entitlements.require(tenant, "own_driver")
    wanted = wanted.cleaned(tenant)
    _count_guess(tenant, wanted)
    with transaction():
        tenant = tenants.lock(tenant)
        test = latest(tenant)
        if test is None or not tried(test, tenant, wanted):
            raise SettingsUntested("changed" if test else "missing")
        if test.state != "passed":
            raise SettingsUntested("missing")
        if not is_good(test, lifecycle.find(tenant)):
            raise SettingsUntested("expired")
        values = {name: getattr(test, name) for name in lifecycle.FIELDS} | {
            "from_name": wanted.from_name,
            "preset": wanted.preset,
            # Anew, with the key of today: a rotation that runs meanwhile may be past the drivers already.
            "secret": encryption.encrypt(encryption.decrypt(test.secret)),
        }
        driver = lifecycle.put(tenant, user, version, values)
        test.driver_version = driver.version
        quota.count_tests(driver)
        return driver


def _count_guess(tenant: Tenant, wanted: DriverSettings) -> None:
    """Count a typed password as a test: the answer tells whether it is the tested one. Raises TooManyRefusals."""
    test = latest(tenant)
    if not wanted.secret or test is None or not tried(test, tenant, replace(wanted, secret="")):
        return
    guesses.count(tenant, wanted)
    if tried(test, tenant, wanted):
        guesses.take_back(tenant, wanted)


def _with_stored_secret(wanted: DriverSettings, *accounts: DriverTest | Driver | None) -> DriverSettings:
    """With the secret of the first of these accounts that has this host and username. Raises InvalidFields."""
    if wanted.secret:
        return wanted
    for stored in accounts:
        if stored is not None and (stored.host, stored.username) == (wanted.host, wanted.username):
            try:
                return replace(wanted, secret=encryption.decrypt(stored.secret))
            except encryption.Unreadable:
                raise InvalidFields([("secret", "unreadable")]) from None
    raise InvalidFields([("secret", "empty")])
