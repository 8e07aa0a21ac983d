"""A person at work: launched into a tenant, with a bearer as portal.js sends it, or with the cookie alone."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from portal.extensions import db
from portal.models import User
from portal.services.accounts import launches
from portal.web.session import Session

PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial"}


@pytest.fixture
def staff(app: Flask) -> FlaskClient:
    """Somebody of the platform's support, whose every request carries a bearer."""
    with app.app_context():
        user = User(subject="staff:sam", email="sam@marketplace.example", name="Sam", role="support")
        db.session.add(user)
        db.session.commit()
        bearer = Session.of(user, "en").renewed().signed()
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {bearer}"
    return client


class Person:
    """One browser. `get` and `post` go by cookie; `as_htmx` adds the bearer and asks for a fragment."""

    def __init__(self, app: Flask, tenant: str, claims: dict[str, Any]) -> None:
        self.app = app
        self.client: FlaskClient = app.test_client()
        with app.app_context():
            launch_token = launches.make_token(tenant, **claims)
        self.landing = self.client.post("/launch", data={"token": launch_token})
        assert self.landing.status_code == 200, self.landing.text
        found = re.search(r'name="portal-session" content="([^"]+)"', self.landing.text)
        assert found
        self.bearer = found.group(1)
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.landing.text)
        assert found
        self.csrf = found.group(1)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, **options)

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> TestResponse:
        """As a plain form of our page posts."""
        return self.client.post(path, data={"csrf_token": self.csrf} | (data or {}), **options)

    def as_htmx(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> TestResponse:
        """As htmx asks with every cookie blocked."""
        client = self.app.test_client(use_cookies=False)
        return client.open(
            path,
            method=method,
            headers=PARTIAL | {"Authorization": f"Bearer {self.bearer}"} | (headers or {}),
            **options,
        )


Arrive = Callable[..., Person]


@pytest.fixture
def arrive(app: Flask) -> Arrive:
    def make(tenant: str = "acme", **claims: Any) -> Person:
        return Person(app, tenant, {"tenant_name": "Acme Shop", "plan": "enterprise"} | claims)

    return make


@pytest.fixture
def person(arrive: Arrive) -> Person:
    return arrive()
