"""A provider refuses a driver: it is stopped first, and its tenant's admins are told afterwards.

Two transactions, so that no text, template or mail can keep a refused driver active, which would sign in again at each
drain. What was not told, because the process died, a template is broken or they were told of the time before shortly
before, the clock tells later.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial

from sqlalchemy import ColumnElement, select, update

from portal.db.transaction import after_commit, transaction
from portal.extensions import db
from portal.models import Driver, MailCount, Tenant, User, utcnow
from portal.models.driver import BROKEN, DriverState
from portal.models.route import INTERACTIVE
from portal.models.user import Role
from portal.services import limits
from portal.services.accounts import tenants
from portal.services.delivery import outcomes
from portal.services.delivery.outcomes import Attempt
from portal.services.drivers import lifecycle
from portal.services.emails import contents
from portal.services.errors import SendLimit
from portal.services.limits import Cause
from portal.services.outbox import accept as outbox
from portal.services.routing.reroute import reroute
from portal.transport.base import Reply

# A driver that is stopped, resumed and stopped again is told of once in this time; the page shows every time.
QUIET = timedelta(hours=6)

log = logging.getLogger(__name__)


class Untold(Exception):
    """The admins of so many stopped drivers could not be told; the log says why."""


def stop(attempt: Attempt, driver_id: int, reason: str, reply: Reply) -> None:
    """Stop the driver after this one attempt and hold its mail; then tell the admins. Raises LeaseLost."""
    with transaction():
        tenant = tenants.lock(db.session.get_one(Tenant, attempt.tenant_id))
        outcomes.held(attempt, reason, reply)
        driver = lifecycle.find(tenant)
        if driver is not None and driver.id == driver_id and driver.state == DriverState.ACTIVE:
            driver.state, driver.reason, driver.text = DriverState.STOPPED, reason, reply.text
            driver.paused_at, driver.told_at = utcnow(), None
            after_commit(partial(tell, driver_id))
        reroute(tenant)


def tell(driver_id: int) -> None:
    """Tell each admin who has been here that the driver is stopped: once for each time that it was, however often this
    is called, and at most once in QUIET.
    """
    with transaction() as session:
        found = session.get(Driver, driver_id)
        if found is None:
            return
        tenant = tenants.lock(session.get_one(Tenant, found.tenant_id))
        driver = lifecycle.find(tenant)
        if driver is None or driver.state != DriverState.STOPPED or driver.told_at is not None:
            return
        if session.scalar(select(Driver.id).where(Driver.id == driver.id, _told_lately())):
            return
        for mailbox, admin in _admins(tenant):
            try:
                limits.count(Cause.NOTICE, mailbox, tenant)
            except SendLimit:
                log.info("user %s gets no notice: the mailbox has had as many as it gets", admin.id)
                continue
            content = contents.driver_stopped(tenant, driver, admin.locale or tenant.locale)
            outbox.accept(
                tenant, kind="notice", to=admin.email, subject=content.subject, text=content.text, html=content.html,
                route=INTERACTIVE,
            )  # fmt: skip
        driver.told_at = utcnow()


def tell_forgotten() -> int:
    """Tell of the drivers whose admins don't know yet; the clock's work. Returns how many there were.

    One that can't be told of keeps no other from being told. Raises Untold afterwards, so that the clock counts it.
    """
    with transaction() as session:  # a worker of the version before may still be at work: for one release (0.2)
        session.execute(update(Driver).where(Driver.state == BROKEN).values(state=DriverState.STOPPED))
    untold = select(Driver.id).where(Driver.state == DriverState.STOPPED, Driver.told_at.is_(None), ~_told_lately())
    ids = db.session.scalars(untold).all()
    failed = 0
    for driver_id in ids:
        try:
            tell(driver_id)
        except Exception:
            log.exception("the admins of driver %s could not be told", driver_id)
            failed += 1
    if failed:
        raise Untold(failed)
    return len(ids)


def _told_lately() -> ColumnElement[bool]:
    """Whether the driver's tenant, which has but one, was told of a stop within QUIET."""
    return (
        select(MailCount.id)
        .where(MailCount.tenant_id == Driver.tenant_id, MailCount.kind == Cause.NOTICE, MailCount.at > utcnow() - QUIET)
        .exists()
    )


def _admins(tenant: Tenant) -> list[tuple[str, User]]:
    """The admins who have come at least once, one for each mailbox; by mailbox, so that counting can't deadlock.

    Whoever was only invited has not asked for anything yet.
    """
    admins = db.session.scalars(
        select(User)
        .where(User.tenant_id == tenant.id, User.role == Role.ADMIN, User.invited_at.is_(None))
        .order_by(User.id)
    )
    return sorted({limits.mailbox_of(admin.email): admin for admin in admins}.items())
