"""`flask staff`: who may look at the shops as support, beside those whom the platform launches as such."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from portal.services import audit
from portal.services.accounts import staff
from portal.transport.mime.addresses import InvalidAddress

group = AppGroup("staff", help="The platform's support, who look at all shops.")


@group.command("add")
@click.argument("address")
@click.option("--name", default="", help="What the shops' activity lists call the person.")
def add(address: str, name: str) -> None:
    """Let whoever reads the mailbox ADDRESS sign in as support, by a mailed link."""
    try:
        user, added = staff.add(address, name)
    except InvalidAddress:
        raise click.ClickException(f"{address} is no email address.") from None
    click.echo(f"{'Added' if added else 'Updated'} {audit.shown(user)}")


@group.command("remove")
@click.argument("address")
def remove(address: str) -> None:
    """Take the right from everybody with ADDRESS; their sessions end at once."""
    if not staff.remove(address):
        raise click.ClickException(f"Nobody of the staff has the address {address}.")
    click.echo(f"Removed {address}")


@group.command("list")
def list_() -> None:
    """Print the staff, one a line."""
    for user in staff.everybody():
        click.echo(audit.shown(user))
