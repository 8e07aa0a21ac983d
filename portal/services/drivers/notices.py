"""Notices: mail to a tenant's admins about what needs them, through the relay and in their language."""

from __future__ import annotations

from sqlalchemy import select

from portal.extensions import db
from portal.models import Driver, Tenant, User
from portal.models.lane import INTERACTIVE
from portal.services.emails import contents
from portal.services.outbox import accept as outbox


def driver_broke(tenant: Tenant, driver: Driver) -> None:
    """Tell each admin once that the driver stands still. Within a transaction."""
    admins = db.session.scalars(select(User).where(User.tenant_id == tenant.id, User.role == "admin")).all()
    by_address = {admin.email.lower(): admin for admin in admins}
    for admin in by_address.values():
        locale = admin.locale or tenant.locale
        content = contents.driver_broke(tenant, driver, locale)
        outbox.accept(
            tenant, kind="notice", to=admin.email, subject=content.subject, text=content.text, html=content.html,
            route=INTERACTIVE,
        )  # fmt: skip
