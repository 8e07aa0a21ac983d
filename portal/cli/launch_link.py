"""`flask launch-link`: open the portal without the platform."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from portal.config import settings
from portal.models.user import Role
from portal.services.accounts import launches, tenants
from portal.services.entitlements import LOCALES
from portal.services.errors import NoLaunchSecret


@click.command("launch-link")
@click.option("--tenant", default="", help="The platform's id of the tenant; support belongs to none.")
@click.option("--role", type=click.Choice([role.value for role in Role]), default="admin", show_default=True)
@click.option("--email", default="admin@shop.example", show_default=True, help="Whom test mails go to.")
@click.option("--locale", type=click.Choice(LOCALES), help="The tenant's own if not given.")
@with_appcontext
def launch_link(tenant: str, role: str, email: str, locale: str | None) -> None:
    """Print a URL that opens the portal as a person of the tenant, or as support: once, within a minute."""
    if not tenant and role != Role.SUPPORT:
        raise click.UsageError("Missing option '--tenant'.")
    claims = {"locale": locale} if locale else {}
    row = tenants.find(tenant)
    try:
        token = launches.make_token(tenant, tenant_name=row.name if row else "", role=role, email=email, **claims)
    except NoLaunchSecret:
        raise click.ClickException(
            "Only the platform can sign a launch here: PORTAL_LAUNCH_JWKS is set and PORTAL_LAUNCH_SECRET is not."
        ) from None
    click.echo(f"{settings().base_url}/launch?token={token}")
