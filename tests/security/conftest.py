"""What the tests of the security table share."""

import pytest
from flask import Flask

from tests.security.shops import HERS, MINE, Shop


@pytest.fixture
def hers(app: Flask) -> Shop:
    """The shop that somebody tries to get at."""
    return Shop(app, HERS)


@pytest.fixture
def mine(app: Flask) -> Shop:
    """Another shop, whose admin tries it."""
    return Shop(app, MINE)
