"""`flask api-key`: keys of the platform's backend."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from flask.cli import AppGroup

from portal.cli.table import show_table
from portal.models import ApiKey, utcnow
from portal.models.api_key import Scope
from portal.models.base import MAX_ID
from portal.services.accounts import api_keys
from portal.services.errors import InvalidField, NotFound

group = AppGroup("api-key", help="Keys of the platform's backend.")


@group.command("create")
@click.option("--name", required=True, help="Who uses it, to tell keys apart.")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice([scope.value for scope in Scope]),
    help="What it may do; may be repeated. Everything if not given.",
)  # fmt: skip
@click.option("--tenant", "tenants", multiple=True, help="The only one that it sees; may be repeated.")
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"]),
    help="When it ends (UTC); a date alone is its first moment. Never if not given.",
)  # fmt: skip
def create_api_key(name: str, scopes: tuple[str, ...], tenants: tuple[str, ...], until: datetime | None) -> None:
    """Make an API key and print it as the last word: it is shown this once."""
    try:
        key = api_keys.create(
            name,
            scopes=map(Scope, scopes or Scope),
            tenants=tenants or None,
            until=until.replace(tzinfo=UTC) if until else None,
        )
    except InvalidField as error:
        raise click.ClickException(f"--{error.field} can't be used: {error.reason}.") from None
    click.echo(f"API key {name}: {key}")


@group.command("list")
def list_() -> None:
    """Print all API keys, also those that have ended; never the keys themselves."""
    rows = [
        (key.id, _state(key), key.created_at.date(), ",".join(key.scopes), _tenants(key), _end(key), key.name)
        for key in api_keys.everything()
    ]
    show_table(("id", "state", "created", "scopes", "tenants", "until", "name"), rows, "There are no API keys.")


@group.command("revoke")
@click.argument("key_id", metavar="ID", type=click.IntRange(1, MAX_ID))
def revoke(key_id: int) -> None:
    """End the API key that `flask api-key list` shows as ID. This can't be undone."""
    try:
        key, revoked = api_keys.revoke(key_id)
    except NotFound:
        raise click.ClickException(f"There is no API key {key_id}.") from None
    if revoked:
        click.echo(f"Revoked API key {key_id} ({key.name}): refused from the next request on.")
    else:
        click.echo(f"API key {key_id} ({key.name}) has been revoked since {_time(key.revoked_at)}.")


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "ended" if key.ends_at is not None and key.ends_at <= utcnow() else "active"


def _tenants(key: ApiKey) -> str:
    return "all" if key.tenants is None else ",".join(key.tenants)


def _end(key: ApiKey) -> str:
    """When it stops or has stopped working."""
    ends = [at for at in (key.ends_at, key.revoked_at) if at is not None]
    return _time(min(ends)) if ends else "-"


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}"
