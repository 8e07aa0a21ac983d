"""What another site's page sends is told from what our own does."""

import pytest
from flask import Flask
from werkzeug.exceptions import Forbidden

from portal.web.access import refuse_cross_site
from tests.support.settings import configure


def is_refused(app: Flask, headers: dict[str, str]) -> bool:
    with app.test_request_context("/verify/x", method="POST", base_url="http://inner:8000", headers=headers):
        try:
            refuse_cross_site()
        except Forbidden:
            return True
    return False


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": "https://portal.example.evil.example"}, True),
        ({"Origin": "https://portal.example"}, False),
        ({"Origin": "http://inner:8000"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://another-name.example"}, False),
        ({}, False),
    ],
)
def test_another_sites_request_is_refused(app: Flask, headers: dict[str, str], refused: bool) -> None:
    configure(app, base_url="https://portal.example")
    assert is_refused(app, headers) == refused
