"""The operator's commands, one module per `flask` group."""

from __future__ import annotations

from flask import Flask

from portal.cli import api_key, delivery, demo, launch_link, secrets, staff, tenant


def init_app(app: Flask) -> None:
    for group in (tenant, api_key, secrets, delivery, staff):
        app.cli.add_command(group.group)
    for command in (launch_link.launch_link, demo.demo):
        app.cli.add_command(command)
