"""`flask api-key`: keys of the platform's backend."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from portal.services.accounts import api_keys

group = AppGroup("api-key", help="Keys of the platform's backend.")


@group.command("create")
@click.option("--name", required=True, help="Who uses it, to tell keys apart.")
def create_api_key(name: str) -> None:
    """Make an API key and print it as the last word: it is shown this once."""
    click.echo(f"API key {name}: {api_keys.create(name)}")
