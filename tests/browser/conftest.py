"""A running portal for the browser tests, and Debian's Chromium to look at it with."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from redis import Redis

from portal import create_app
from portal.extensions import db
from portal.services.routing import lanes
from tests.browser.site import Site, dashboard, heartbeat, serve, workers
from tests.conftest import POSTGRES, SECRETS, empty_postgres
from tests.support import chromium
from tests.support.mail_service import MailService
from tests.support.smtp_sink import SMTPSink
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

expect.set_options(timeout=30_000)  # milliseconds, as Playwright waits for everything else: a loaded machine is slow


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return browser_type_launch_args | {"executable_path": chromium.find(), "args": chromium.arguments()}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return browser_context_args | {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB"}


@pytest.fixture(scope="package")
def site(_migrated: str, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One portal for all browser tests; each works with a tenant of its own."""
    folder = tmp_path_factory.mktemp("site")
    url = _migrated
    if POSTGRES:
        empty_postgres(url)
    else:
        shutil.copy(url.removeprefix("sqlite:///"), folder / "portal.db")
        url = f"sqlite:///{folder / 'portal.db'}"
    valkey.flush()
    with SMTPSink() as smtp, MailService(folder) as service:
        options: dict[str, Any] = SECRETS | {
            "instance_path": folder, "database_url": url, "redis_url": valkey.url, "relay": smtp.url,
            "support_email": "help@marketplace.example", "support_url": "https://marketplace.example/tickets",
            "smtp_ca_file": service.ca_file, "smtp_allowed_networks": "127.0.0.0/8",
            "smtp_allowed_ports": str(service.port),
        }  # fmt: skip
        app = create_app(**options)
        with app.app_context():
            lanes.forget()
            lanes.ensure()
        with serve(app) as base_url:
            app.extensions["settings"].base_url = base_url
            site = Site(app, base_url, smtp)
            site.service = service
            environment = _environment(options | {"base_url": base_url})
            with workers(environment), heartbeat(app), dashboard(site) as site.host_url:
                redis = Redis.from_url(valkey.url)
                eventually(lambda: len(redis.smembers("rq:workers")) == 2, "the workers are there")
                yield site
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def _environment(options: dict[str, Any]) -> dict[str, str]:
    values = options | {"encryption_keys": ",".join(options["encryption_keys"])}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    return kept | {f"PORTAL_{name.upper()}": str(value) for name, value in values.items()}


@pytest.fixture
def plain_page(browser: Browser) -> Iterator[Page]:
    """A page without JavaScript."""
    with browser.new_context(java_script_enabled=False) as context:
        yield context.new_page()


@pytest.fixture
def shop(site: Site) -> str:
    """The external id of a tenant of this test's own."""
    external_id = f"shop-{uuid.uuid4().hex[:10]}"
    site.make_tenant(external_id, plan="enterprise")
    return external_id


@pytest.fixture
def address() -> str:
    """A mailbox nobody else uses: the limits on verification mails count per address."""
    return f"hello-{uuid.uuid4().hex[:8]}@basil-books.example"


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """What the browser complained about; a test that asks for this fails when there is anything."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "console",
        lambda message: (
            found.append(message.text) if message.type == "error" and "status of 4" not in message.text else None
        ),
    )
    yield found
    assert found == []
