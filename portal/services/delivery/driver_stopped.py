"""A provider refuses a driver: it is stopped first, and its tenant's admins are told afterwards.

Two transactions, so that no text, template or mail can keep a refused driver active, which would sign in again at each
drain. What was not told, because the process died or a template is broken, the clock tells later.
"""

from __future__ import annotations

import logging
from functools import partial

from sqlalchemy import select, update

from portal.db.transaction import after_commit, transaction
from portal.extensions import db
from portal.models import Driver, Tenant, User, utcnow
from portal.models.driver import BROKEN, DriverState
from portal.models.route import INTERACTIVE
from portal.models.user import Role
from portal.services.accounts import tenants
from portal.services.delivery import outcomes
from portal.services.delivery.outcomes import Attempt
from portal.services.drivers import lifecycle
from portal.services.emails import contents
from portal.services.outbox import accept as outbox
from portal.services.routing.reroute import reroute
from portal.transport.base import Reply

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
    """Tell each admin that the driver is stopped: once for each time that it was, however often this is called."""
    with transaction() as session:
        found = session.get(Driver, driver_id)
        if found is None:
            return
        tenant = tenants.lock(session.get_one(Tenant, found.tenant_id))
        driver = lifecycle.find(tenant)
        if driver is None or driver.state != DriverState.STOPPED or driver.told_at is not None:
            return
        admins = session.scalars(select(User).where(User.tenant_id == tenant.id, User.role == Role.ADMIN))
        for admin in {admin.email_key: admin for admin in admins}.values():
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
    untold = select(Driver.id).where(Driver.state == DriverState.STOPPED, Driver.told_at.is_(None))
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
