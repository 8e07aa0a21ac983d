"""`flask demo`: the demo's tenants and API key."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from portal.services.operations import demo_data
from portal.services.routing import lanes


@click.command("demo")
@with_appcontext
def demo() -> None:
    """Seed the demo: a tenant per plan, and an API key for the demo dashboard."""
    lanes.ensure()
    demo_data.seed()
    click.echo("Seeded: " + ", ".join(demo_data.TENANTS))
