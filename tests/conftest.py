"""What most tests need: the application on a migrated database, a real Valkey, a real SMTP server on loopback."""

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Dialect, Engine, NullPool, create_engine, event, make_url, text

from portal import create_app, redis_client
from portal.config import load_settings
from portal.extensions import db
from portal.models import Base, Tenant
from portal.models.base import keep_time_by
from portal.services.accounts import launches, tenants
from portal.services.routing import lanes
from portal.web import rate_limits
from tests.support.smtp_sink import SMTPSink
from tests.support.valkey import Valkey
from tests.support.warm import Nursery, Warm, WarmProcess

pytest_plugins = ["tests.support.figures", "tests.support.moved_time", "tests.support.person"]

POSTGRES = os.environ.get("PORTAL_TEST_DATABASE_URL", "")
SECRETS = {
    "secret_key": "kQ3v-Zr8Yx1Tn5Wc7Hb2Lp9Md4Fs6Gj0",
    "launch_secret": "lB6n-Kd2Rw9Vq4Xt8Zc1Jm7Hs3Pf5Gy0",
    "encryption_keys": [Fernet.generate_key().decode()],
}
USUAL = SECRETS | {
    "default_sender": "Marketplace <notifications@marketplace.example>",
    "support_email": "help@marketplace.example",
    "support_url": "https://marketplace.example/tickets",
}


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither the environment nor a checkout's instance/ may decide what a test sees."""
    for name in [name for name in os.environ if name.startswith("PORTAL_") and not name.startswith("PORTAL_TEST_")]:
        del os.environ[name]
    os.environ["PORTAL_INSTANCE_PATH"] = str(tmp_path_factory.mktemp("no-instance"))


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery


@pytest.fixture
def warm(nursery: Nursery) -> Warm:
    """Like tests.support.processes.Process, where it doesn't matter how the process came to be."""
    return functools.partial(WarmProcess, nursery)


@pytest.fixture
def smtp() -> Iterator[SMTPSink]:
    with SMTPSink() as server:
        yield server


@contextmanager
def made_app(**options: Any) -> Iterator[Flask]:
    """An application of the caller's own, with no connection left at the end."""
    app = create_app(**options)
    keep_time_by(None)
    try:
        yield app
    finally:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()
            redis_client.line().client.close()


@pytest.fixture(scope="session")
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with our tables and no rows: made once in each process, by the real migrations."""
    url = POSTGRES or f"sqlite:///{tmp_path_factory.mktemp('database') / 'empty.db'}"
    if POSTGRES and (worker := os.environ.get("PYTEST_XDIST_WORKER")):  # with pytest -n each process has its own
        url = make_url(POSTGRES).set(database=f"absender_{worker}").render_as_string(hide_password=False)
        with create_engine(POSTGRES, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS absender_{worker} WITH (FORCE)"))
            connection.execute(text(f"CREATE DATABASE absender_{worker}"))
    with made_app(database_url=url, **SECRETS) as app, app.app_context():
        flask_migrate.upgrade()
    return url


# TRUNCATE makes new files for each table and index, and takes ten times as long as deleting a few rows. As replica, no
# trigger runs: the audit trail refuses a DELETE, and foreign keys have nothing to say when everything goes.
_EMPTY = """
DO $$
DECLARE
    name text;
    filled boolean;
BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
    FOREACH name IN ARRAY ARRAY[{names}] LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO filled;
        IF pg_relation_size(quote_ident(name)::regclass) > 1000000 THEN
            EXECUTE format('TRUNCATE %I CASCADE', name);
        ELSIF filled THEN
            EXECUTE format('DELETE FROM %I', name);
        END IF;
    END LOOP;
    PERFORM setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S';
END $$
"""


@functools.cache
def _postgres(url: str) -> Engine:
    return create_engine(url, pool_pre_ping=True)


def empty_postgres(url: str) -> None:
    """No rows, and ids from 1 again. Only a superuser may do it the quick way."""
    names = [table.name for table in Base.metadata.sorted_tables]
    with _postgres(url).begin() as connection:
        if connection.scalar(text("SELECT current_setting('is_superuser')")) == "on":
            connection.execute(text(_EMPTY.format(names=", ".join(f"'{name}'" for name in names))))
        else:
            everything = ", ".join(f'"{name}"' for name in names)
            connection.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))  # its owner may
            connection.execute(text(f"TRUNCATE {everything} RESTART IDENTITY CASCADE"))
            connection.execute(text("ALTER TABLE audit ENABLE TRIGGER USER"))


@pytest.fixture
def database_url(_migrated: str, tmp_path: Path) -> str:
    """An empty database for one test: a copy of the SQLite file, or the tables of the one PostgreSQL emptied."""
    if not POSTGRES:
        copy = tmp_path / "portal.db"
        shutil.copy(_migrated.removeprefix("sqlite:///"), copy)
        return f"sqlite:///{copy}"
    empty_postgres(_migrated)
    return _migrated


@pytest.fixture
def options(database_url: str, valkey: Valkey, smtp: SMTPSink, tmp_path: Path) -> dict[str, Any]:
    """What the application is made with; a subprocess gets the same as PORTAL_* variables."""
    valkey.flush()
    return USUAL | {"instance_path": tmp_path, "database_url": database_url, "redis_url": valkey.url, "relay": smtp.url}


@pytest.fixture(scope="session")
def _one_app(_migrated: str, valkey: Valkey) -> Iterator[Flask]:
    """Made once, because that takes longer than most tests; it connects to the database that its settings name."""
    with made_app(database_url=_migrated, redis_url=valkey.url, **USUAL) as app:
        with app.app_context():
            engine = db.engine

        @event.listens_for(engine, "do_connect")
        def own_file(_dialect: Dialect, _record: Any, arguments: list[Any], _keywords: dict[str, Any]) -> None:
            if not POSTGRES:
                arguments[0] = app.extensions["settings"].database_url.removeprefix("sqlite:///")

        yield app


@pytest.fixture
def app(_one_app: Flask, options: dict[str, Any]) -> Iterator[Flask]:
    """The session's one application, with the settings, the database and the counts of this test."""
    app = _one_app
    app.extensions["settings"] = load_settings(**options)
    keep_time_by(None)  # where a test travels in time, it takes the database along
    redis_client.init_app(app)
    rate_limits.init_app(app)
    with app.app_context():
        lanes.forget()
        lanes.ensure()
        db.session.remove()
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
        redis_client.line().client.close()


@pytest.fixture
def app_to_change(options: dict[str, Any]) -> Iterator[Flask]:
    """An application of the test's own, for what no other may see: a route more, another configuration."""
    with made_app(**options) as app:
        yield app


@pytest.fixture
def ctx(app: Flask) -> Iterator[Flask]:
    """The application with its context pushed: for tests of services. Requests need `app` alone."""
    with app.app_context():
        yield app
        db.session.remove()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def tenant(ctx: Flask) -> Tenant:
    return tenants.upsert("acme", name="Acme Shop", plan="enterprise")[0]


@pytest.fixture
def user(tenant: Tenant) -> Any:
    return launches.accept(launches.make_token("acme")).user


Environment = Callable[..., dict[str, str]]


@pytest.fixture
def environment(options: dict[str, Any]) -> Environment:
    """The environment of a process that runs the same application: `environment(relay=...)`."""

    def make(**changes: Any) -> dict[str, str]:
        values = options | changes | {"encryption_keys": ",".join(options["encryption_keys"])}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
        return kept | {f"PORTAL_{name.upper()}": str(value) for name, value in values.items()}

    return make
