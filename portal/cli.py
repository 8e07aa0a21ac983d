"""The operator's commands: `flask tenant`, `api-key`, `launch-link`, `secrets`, `delivery`, `staff`, `demo`."""

from __future__ import annotations

import click
from flask import Flask
from flask.cli import AppGroup, with_appcontext

from portal import delivery_cli, staff_cli
from portal.config import settings
from portal.services import api_keys, demo_data, lanes, launches, staff, tenants, vault
from portal.services.errors import InvalidField, NoLaunchSecret
from portal.services.plans import LOCALES
from portal.services.users import ROLES

tenant_group = AppGroup("tenant", help="Merchant companies.")
secrets_group = AppGroup("secrets", help="Secrets at rest.")
api_key_group = AppGroup("api-key", help="Keys of the platform's backend.")


def init_app(app: Flask) -> None:
    for command in (tenant_group, api_key_group, secrets_group, delivery_cli.group, staff_cli.group, launch_link, demo):
        app.cli.add_command(command)


@tenant_group.command("create")
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


@api_key_group.command("create")
@click.option("--name", required=True, help="Who uses it, to tell keys apart.")
def create_api_key(name: str) -> None:
    """Make an API key and print it as the last word: it is shown this once."""
    click.echo(f"API key {name}: {api_keys.create(name)}")


@click.command("launch-link")
@click.option("--tenant", default="", help="The platform's id of the tenant; support belongs to none.")
@click.option("--role", type=click.Choice((*ROLES, staff.ROLE)), default="admin", show_default=True)
@click.option("--email", default="admin@shop.example", show_default=True, help="Whom test mails go to.")
@click.option("--locale", type=click.Choice(LOCALES), help="The tenant's own if not given.")
@with_appcontext
def launch_link(tenant: str, role: str, email: str, locale: str | None) -> None:
    """Print a URL that opens the portal as a person of the tenant, or as support: once, within a minute."""
    if not tenant and role != staff.ROLE:
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


@click.command("demo")
@with_appcontext
def demo() -> None:
    """Seed the demo: a tenant per plan, and an API key for the demo dashboard."""
    lanes.ensure()
    demo_data.seed()
    click.echo("Seeded: " + ", ".join(demo_data.TENANTS))


@secrets_group.command("rotate")
def rotate_secrets() -> None:
    """Encrypt all stored secrets anew with the first of PORTAL_ENCRYPTION_KEYS; the others can go afterwards."""
    try:
        click.echo(f"Encrypted {vault.rotate()} stored secrets with the first key")
    except vault.Unreadable:
        raise click.ClickException("A secret was encrypted with a key that PORTAL_ENCRYPTION_KEYS lacks.") from None
