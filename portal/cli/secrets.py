"""`flask secrets`: secrets at rest."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from portal import encryption
from portal.services.operations import secret_rotation

group = AppGroup("secrets", help="Secrets at rest.")


@group.command("rotate")
def rotate_secrets() -> None:
    """Encrypt all stored secrets again, with the first of PORTAL_ENCRYPTION_KEYS; the others can go afterwards."""
    try:
        click.echo(f"Encrypted {secret_rotation.rotate()} stored secrets with the first key")
    except encryption.Unreadable:
        raise click.ClickException("A secret was encrypted with a key that PORTAL_ENCRYPTION_KEYS lacks.") from None
