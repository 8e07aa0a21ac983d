"""A tenant's driver: saved only as it was tested, paused, resumed, removed, and started again once it is accepted."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select

from portal import encryption
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Driver, DriverTest, Lane, Tenant, User, utcnow
from portal.models.driver import PROBED, DriverState
from portal.services import audit, entitlements
from portal.services.accounts import tenants
from portal.services.errors import EditConflict, NotFound
from portal.services.routing.reroute import reroute

# Fields whose change makes it another account: its provider counts anew.
_ACCOUNT = ("host", "username")
_OF_TENANT = select(Driver).where(Driver.tenant_id == bindparam("tenant")).execution_options(populate_existing=True)
FIELDS = ("preset", "host", "port", "encryption", "username", "secret", "from_address", "from_name")


def find(tenant: Tenant) -> Driver | None:
    """The tenant's driver as it is now."""
    return db.session.scalar(_OF_TENANT, {"tenant": tenant.id})


def get(tenant: Tenant) -> Driver:
    """Raises NotFound."""
    driver = find(tenant)
    if driver is None:
        raise NotFound
    return driver


def put(tenant: Tenant, user: User, version: int, values: dict[str, object]) -> Driver:
    """Store tested values and make the driver the sender. Within a transaction that holds the tenant.

    `version` is the driver's when the page was made (0: there was none). Raises EditConflict, PlanLocked.
    """
    entitlements.require(tenant, "own_driver")
    driver = find(tenant)
    current = driver.version if driver else 0
    if version != current:
        changed = [
            name for name in FIELDS if driver is None or (name != "secret" and getattr(driver, name) != values[name])
        ]
        raise EditConflict(driver.changed_by if driver else "", changed)
    before = _shown(driver)
    secret = driver.secret if driver else None
    if driver is None:
        driver = Driver(tenant_id=tenant.id, version=0)
        db.session.add(driver)
    if any(getattr(driver, name) != values[name] for name in _ACCOUNT):
        driver.account_since = utcnow()
    for name in FIELDS:
        setattr(driver, name, values[name])
    driver.version += 1
    driver.changed_by = user.name or user.email
    tenant.sender_mode = "driver"
    _activate(driver)
    db.session.flush()
    _ensure_lane(driver)
    after = _shown(driver)
    altered = {name: value for name, value in after.items() if before.get(name) != value}
    replaced = {"secret": "replaced"} if secret is not None and _differ(secret, driver.secret) else {}
    subject = f"{driver.username} ({driver.host})"
    audit.record(
        tenant, user, "driver_saved", subject, {name: before[name] for name in altered if before}, altered | replaced
    )
    reroute(tenant)
    return driver


def use(tenant: Tenant, user: User) -> None:
    """Make the stored driver the sender again. Raises NotFound, PlanLocked."""
    with transaction():
        tenant = tenants.lock(tenant)
        entitlements.require(tenant, "own_driver")
        driver = get(tenant)
        tenant.sender_mode = "driver"
        audit.record(tenant, user, "driver_used", driver.username)
        reroute(tenant)


def pause(tenant: Tenant, user: User) -> None:
    """Hold the driver's mail until somebody resumes it. Raises NotFound."""
    with transaction():
        tenant = tenants.lock(tenant)
        driver = get(tenant)
        if driver.state == DriverState.ACTIVE:
            driver.state, driver.reason, driver.text, driver.paused_at = DriverState.PAUSED, None, None, utcnow()
            audit.record(tenant, user, "driver_paused", driver.username)
            reroute(tenant)


def resume(tenant: Tenant, user: User | None = None) -> None:
    """Send again; all that was held goes out in its order. Raises NotFound."""
    with transaction():
        tenant = tenants.lock(tenant)
        driver = get(tenant)
        if user is not None:
            audit.record(tenant, user, "driver_resumed", driver.username)
        _activate(driver)
        _ensure_lane(driver)
        reroute(tenant)


def remove(tenant: Tenant, user: User) -> None:
    """Forget the account; mail goes by the sender before it. Raises NotFound."""
    with transaction() as session:
        tenant = tenants.lock(tenant)
        driver = get(tenant)
        audit.record(tenant, user, "driver_removed", driver.username, before=_shown(driver))
        session.delete(driver)
        session.execute(delete(DriverTest).where(DriverTest.tenant_id == tenant.id, DriverTest.state.in_(PROBED)))
        if tenant.sender_mode == "driver":
            tenant.sender_mode = "brand" if tenant.identity_id else "platform"
        reroute(tenant)  # its lane goes with the clock's next look, once no drain is on it


def set_held_mail(tenant: Tenant, user: User, choice: str) -> None:
    """Whether mail waits while the driver can't send ("wait"), or goes by the default sender ("default")."""
    with transaction():
        tenant = tenants.lock(tenant)
        before, tenant.held_mail = tenant.held_mail, "default" if choice == "default" else "wait"
        if before != tenant.held_mail:
            audit.record(tenant, user, "held_mail", "", {"held_mail": before}, {"held_mail": tenant.held_mail})
            reroute(tenant)


def _shown(driver: Driver | None) -> dict[str, object]:
    """What the audit trail keeps of the settings: all but the secret."""
    return {name: getattr(driver, name) for name in FIELDS if name != "secret"} if driver else {}


def _differ(one: str, other: str) -> bool:
    """Whether two encrypted secrets are not the same; what can't be read any more counts as another."""
    try:
        return encryption.decrypt(one) != encryption.decrypt(other)
    except encryption.Unreadable:
        return True


def _activate(driver: Driver) -> None:
    driver.state, driver.reason, driver.text, driver.paused_at = DriverState.ACTIVE, None, None, None


def _ensure_lane(driver: Driver) -> None:
    """The driver's one lane, free to start at once."""
    lane = db.session.scalar(select(Lane).where(Lane.route == driver.route))
    if lane is None:
        db.session.add(Lane(route=driver.route))
    else:
        lane.not_before, lane.reason, lane.failures = None, None, 0
