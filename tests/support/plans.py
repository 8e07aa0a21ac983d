"""Plans with daily limits, and tenants that have used them up."""

from pathlib import Path

from flask import Flask

from portal.db.transaction import transaction
from portal.models import Tenant, TenantUsage, utcnow
from portal.plan_file import SHIPPED
from tests.support.settings import configure


def limit_plans(app: Flask, directory: Path, **mails_per_day: int) -> None:
    """The shipped plans with these limits: `basic=10`."""
    text = SHIPPED.read_text()
    for plan, most in mails_per_day.items():
        text = text.replace(f"[{plan}]\n", f"[{plan}]\nmails_per_day = {most}\n")
    file = directory / "plans.toml"
    file.write_text(text)
    configure(app, plans=file)


def use_up(tenant: Tenant | None, mails: int) -> None:
    """As if so many had been sent today."""
    assert tenant is not None
    with transaction() as session:
        session.merge(TenantUsage(tenant_id=tenant.id, day=utcnow().date(), mails=mails))
