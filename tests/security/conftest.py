"""What the tests of the security table share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from tests.security.shops import HERS, MINE, Shop
from tests.views.conftest import Person


@pytest.fixture
def hers(app: Flask) -> Shop:
    """The shop that somebody tries to get at."""
    return Shop(app, HERS)


@pytest.fixture
def mine(app: Flask) -> Shop:
    """Another shop, whose admin tries it."""
    return Shop(app, MINE)


@pytest.fixture
def arrive(app: Flask) -> Callable[..., Person]:
    def make(tenant: str = "acme", **claims: object) -> Person:
        return Person(app, tenant, {"tenant_name": "Acme Shop", "plan": "enterprise"} | claims)

    return make


@pytest.fixture
def person(arrive: Callable[..., Person]) -> Person:
    return arrive()
