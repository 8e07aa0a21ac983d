"""`flask tenant`: merchant companies."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from portal.services.accounts import tenants
from portal.services.entitlements import LOCALES
from portal.services.errors import InvalidField

group = AppGroup("tenant", help="Merchant companies.")


@group.command("create")
@click.argument("tenant")
@click.option("--name", help="What merchants and their customers read; the id if not given.")
@click.option("--plan", help="A plan of PORTAL_PLANS; the smallest if not given.")
@click.option("--locale", type=click.Choice(LOCALES), default="en", show_default=True)
@click.option("--timezone", default="UTC", show_default=True, help="A name of the IANA database.")
@click.option("--frame-ancestor", multiple=True, help="An origin that may embed the portal; may be repeated.")
def create_tenant(
    tenant: str, name: str | None, plan: str | None, locale: str, timezone: str, frame_ancestor: tuple[str, ...]
) -> None:
    """Create TENANT (the platform's own id of it), or bring it up to date."""
    try:
        row, created = tenants.upsert(
            tenant,
            name=name or tenant,
            plan=plan,
            locale=locale,
            timezone=timezone,
            frame_ancestors=frame_ancestor or None,
        )
    except InvalidField as error:
        raise click.ClickException(f"--{error.field.replace('_', '-')} can't be used: {error.reason}.") from None
    click.echo(f"{'Created' if created else 'Updated'} tenant {row.external_id}")
