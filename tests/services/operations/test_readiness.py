"""Whether the database is there, with our tables."""

from pathlib import Path
from typing import Any

from flask import Flask

from portal.services.operations import readiness
from tests.conftest import made_app


def test_a_database_without_our_tables_is_not_ready(ctx: Flask, options: dict[str, Any], tmp_path: Path) -> None:
    assert readiness.database_answers()
    with made_app(**options | {"database_url": f"sqlite:///{tmp_path}/empty.db"}) as app, app.app_context():
        assert not readiness.database_answers()
