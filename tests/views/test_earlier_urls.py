"""Addresses of the version before lead to today's."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.views import earlier_urls


@pytest.mark.parametrize(
    ("earlier", "todays"),
    [
        ("/settings/users", "/settings/people"),
        ("/settings/email/driver?test=3", "/settings/email/service?test=3"),
        ("/settings/email/driver/status", "/settings/email/service/status"),
    ],
)
def test_a_page_is_found_at_its_new_address(client: FlaskClient, earlier: str, todays: str) -> None:
    answer = client.get(earlier)
    assert (answer.status_code, answer.location) == (302, todays)


@pytest.mark.parametrize(("shop", "quoted"), [("users", "users"), ("a b", "a%20b")])
def test_supports_pages_move_along(app: Flask, shop: str, quoted: str) -> None:
    with app.test_request_context(f"/support/tenants/{quoted}/users"):
        answer = earlier_urls.to_support(shop)
        assert answer.location == f"/support/tenants/{quoted}/people"
