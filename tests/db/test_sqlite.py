"""SQLite's files: nobody but the portal's own user reads them, and what SQLAlchemy reads is written nowhere."""

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import Tenant, User
from portal.services.accounts import tenants
from tests.conftest import POSTGRES, Environment, made_app
from tests.support import processes
from tests.support.processes import ROOT

pytestmark = pytest.mark.skipif(bool(POSTGRES), reason="PostgreSQL has files of its own")


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {path.name: oct(path.stat().st_mode & 0o777) for path in sorted(folder.glob("portal.db*"))}


def test_a_migration_makes_a_database_that_only_its_user_reads(environment: Environment, tmp_path: Path) -> None:
    folder = tmp_path / "instance"
    folder.mkdir()
    values = environment(database_url=f"sqlite:///{folder / 'portal.db'}")
    command = ["sh", "-c", 'umask 000 && exec "$@"', "sh", *processes.python("-m", "flask", "db", "upgrade")]
    subprocess.run(command, cwd=ROOT, env=values, check=True, capture_output=True, timeout=300)
    assert modes(folder) == {"portal.db": "0o600"}


@pytest.mark.usefixtures("open_umask")
def test_the_files_of_an_older_installation_are_closed_to_others(options: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "portal.db"
    file.chmod(0o664)
    with made_app(**options) as app, app.app_context():
        tenants.upsert("acme", name="Acme")
        assert modes(tmp_path) == dict.fromkeys(("portal.db", "portal.db-shm", "portal.db-wal"), "0o600")


def test_no_row_is_logged_whatever_the_level(ctx: Flask, user: User, caplog: pytest.LogCaptureFixture) -> None:
    engine = logging.getLogger("sqlalchemy.engine.Engine")
    with caplog.at_level(logging.DEBUG, "sqlalchemy"), caplog.at_level(logging.DEBUG, engine.name):
        tenants.upsert("acme", name="canary-name")
        db.session.expire_all()
        assert db.session.scalars(select(Tenant.name)).all() == ["canary-name"]
        assert db.session.scalars(select(User.email).where(User.email == user.email)).one() == user.email
    text = caplog.text + "".join(repr(record.args) for record in caplog.records)
    assert "SELECT" in text, "the level was low enough"
    assert "canary-name" not in text and user.email not in text
