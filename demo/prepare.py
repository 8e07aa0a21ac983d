"""Brings the database up to date and seeds the demo: in one process, because starting one takes most of the time."""

from __future__ import annotations

import sys

from flask_migrate import upgrade

from portal import create_app
from portal.config import SettingsError


def main() -> int:
    try:
        app = create_app()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    with app.app_context():
        upgrade()
        app.cli.main(args=["demo"], standalone_mode=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
