"""The platform's backend: a client with an API key, and a tenant."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from portal.services.accounts import api_keys

MESSAGE = {
    "tenant": "acme",
    "kind": "order_update",
    "to": "jane@customer.example",
    "subject": "Your order 1001",
    "text": "It is on its way.\n",
}


@pytest.fixture
def key(app: Flask) -> str:
    with app.app_context():
        return api_keys.create("backend")


@pytest.fixture
def api(client: FlaskClient, key: str) -> FlaskClient:
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    assert client.put("/api/v1/tenants/acme", json={"name": "Acme Shop"}).status_code == 201
    return client


def problem(response: TestResponse, status: int) -> dict[str, Any]:
    """The problem document that a refusal must be."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    document = response.get_json()
    assert document["status"] == status and document["title"] and document["detail"]
    assert response.headers.get("Retry-After") == (str(document["retry_after"]) if "retry_after" in document else None)
    return dict(document)
