"""What an API key may do: within its scopes, for its tenants, until its end; beyond it nothing is done or told."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal.extensions import db
from portal.models import Message, Tenant, utcnow
from portal.models.api_key import Scope
from portal.services.accounts import api_keys
from tests.views.api.conftest import MESSAGE, problem

UNKNOWN = "msg_" + 26 * "a"


class Backend:
    """Somebody who asks with a key of their own."""

    def __init__(self, app: Flask, **limits: Any) -> None:
        with app.app_context():
            self.key = api_keys.create("limited", **limits)
        self.client = app.test_client()
        self.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {self.key}"

    def send(self, tenant: str = "acme", key: str = "order-1") -> TestResponse:
        return self.client.post("/api/v1/messages", json=MESSAGE | {"tenant": tenant}, headers={"Idempotency-Key": key})

    def batch(self, *tenants: str) -> TestResponse:
        messages = [MESSAGE | {"tenant": tenant} for tenant in tenants]
        return self.client.post("/api/v1/messages/batch", json={"messages": messages})

    def read(self, public_id: str) -> TestResponse:
        return self.client.get(f"/api/v1/messages/{public_id}")

    def cancel(self, public_id: str) -> TestResponse:
        return self.client.post(f"/api/v1/messages/{public_id}/cancel")

    def put(self, tenant: str, **fields: Any) -> TestResponse:
        return self.client.put(f"/api/v1/tenants/{tenant}", json=fields)

    def everything(self, tenant: str, public_id: str) -> dict[str, TestResponse]:
        """All five operations, each once."""
        return {
            "put": self.put(tenant, name="Renamed"),
            "send": self.send(tenant),
            "batch": self.batch(tenant),
            "read": self.read(public_id),
            "cancel": self.cancel(public_id),
        }


NEEDS = {"put": Scope.MANAGE, "send": Scope.SEND, "batch": Scope.SEND, "read": Scope.READ, "cancel": Scope.SEND}


def stored(app: Flask) -> list[Any]:
    """All tenants and messages, as far as the API can change them."""
    with app.app_context():
        tenants = db.session.execute(select(Tenant.external_id, Tenant.name).order_by(Tenant.id))
        return [*tenants, *db.session.execute(select(Message.public_id, Message.state).order_by(Message.id))]


@pytest.fixture
def other(api: FlaskClient) -> str:
    """A waiting message of a tenant that the limited keys here are not for."""
    api.put("/api/v1/tenants/other", json={"name": "Other"})
    return str(api.post("/api/v1/messages", json=MESSAGE | {"tenant": "other"}).get_json()["id"])


@pytest.fixture
def limited(app: Flask, other: str) -> Backend:
    return Backend(app, tenants=["acme", "later"])


def refused_like_an_unknown_key(app: Flask, backend: Backend) -> None:
    stranger = Backend(app)
    stranger.client.environ_base["HTTP_AUTHORIZATION"] = "Bearer absender_" + "x" * 43
    known, unknown = (asker.everything("acme", UNKNOWN) for asker in (backend, stranger))
    before = stored(app)
    for name, answer in known.items():
        assert problem(answer, 401) == problem(unknown[name], 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert stored(app) == before


def test_a_key_works_until_its_end_and_then_is_like_an_unknown_one(app: Flask, api: FlaskClient) -> None:
    end = utcnow() + timedelta(hours=1)
    backend = Backend(app, until=end)
    with time_machine.travel(end - timedelta(seconds=1), tick=False):
        assert backend.send().status_code == 202
    with time_machine.travel(end, tick=False):
        refused_like_an_unknown_key(app, backend)


def test_a_revoked_key_is_like_an_unknown_one_from_the_next_request_on(app: Flask, api: FlaskClient) -> None:
    backend = Backend(app)
    assert backend.send().status_code == 202
    with app.app_context():
        api_keys.revoke(api_keys.everything()[-1].id)
    refused_like_an_unknown_key(app, backend)


@pytest.mark.parametrize("missing", list(Scope))
def test_a_key_without_a_scope_is_told_which_and_may_do_the_rest(app: Flask, other: str, missing: Scope) -> None:
    backend = Backend(app, scopes=set(Scope) - {missing})
    for name, answer in backend.everything("acme", other).items():
        if NEEDS[name] == missing:
            assert problem(answer, 403)["detail"] == f"This API key lacks the scope {missing}."
        else:
            assert answer.status_code < 300, name


def test_a_key_without_scopes_changes_and_reads_nothing(app: Flask, other: str) -> None:
    before = stored(app)
    for answer in Backend(app, scopes=()).everything("acme", other).values():
        problem(answer, 403)
    assert stored(app) == before


def test_for_another_tenant_nothing_is_accepted_nor_told_whether_it_exists(app: Flask, limited: Backend) -> None:
    before = stored(app)
    foreign, nobodys = limited.send("other"), limited.send("nobody")
    assert problem(foreign, 422) == problem(nobodys, 422) and "There is no tenant of this id" in foreign.text
    assert stored(app) == before


def test_in_a_batch_another_tenants_message_is_answered_like_one_of_nobodys(app: Flask, limited: Backend) -> None:
    results = limited.batch("other", "acme", "nobody").get_json()["results"]
    foreign, mine, nobodys = results
    assert foreign["errors"][0].pop("pointer") == "#/messages/0/tenant"
    assert nobodys["errors"][0].pop("pointer") == "#/messages/2/tenant"
    assert foreign == nobodys and (foreign["status"], mine["status"]) == (422, 202)
    assert len([row for row in stored(app) if row[1] == "queued"]) == 2  # the fixture's and this one


def test_another_tenants_message_is_read_like_one_of_nobodys(limited: Backend, other: str) -> None:
    assert problem(limited.read(other), 404) == problem(limited.read(UNKNOWN), 404)


@pytest.mark.parametrize("already", ["queued", "cancelled"])
def test_another_tenants_message_cannot_be_cancelled_waiting_or_not(
    app: Flask, api: FlaskClient, limited: Backend, other: str, already: str
) -> None:
    if already == "cancelled":
        api.post(f"/api/v1/messages/{other}/cancel")
    assert problem(limited.cancel(other), 404) == problem(limited.cancel(UNKNOWN), 404)
    assert (other, already) in stored(app)


@pytest.mark.parametrize("fields", [{"name": "Mine now"}, {"plan": "none"}, {"unknown": 1}])
def test_another_tenant_is_neither_changed_nor_made_nor_told_to_exist(
    app: Flask, limited: Backend, fields: dict[str, Any]
) -> None:
    before = stored(app)
    foreign, *others = (limited.put(tenant, **fields) for tenant in ("other", "nobody", "-bad-", "ACME"))
    assert problem(foreign, 403)["detail"] == "This API key is limited to other tenants."
    assert [problem(answer, 403) for answer in others] == [foreign.get_json()] * 3
    assert stored(app) == before


def test_a_limited_key_does_everything_for_its_tenants_and_may_create_them(limited: Backend) -> None:
    assert limited.put("later", name="Later").status_code == 201
    public_id = limited.send("later", key="order-2").get_json()["id"]
    answers = limited.everything("acme", public_id)
    assert [answer.status_code for answer in answers.values()] == [200, 202, 200, 200, 200]
    assert answers["batch"].get_json()["results"][0]["status"] == 202
    assert answers["read"].get_json()["tenant"] == "later"


def test_an_idempotency_key_tells_nothing_of_what_another_api_key_sent_by_it(app: Flask, limited: Backend) -> None:
    everybodys = Backend(app)
    theirs, mine, wider = everybodys.send("other", "one"), limited.send("acme", "one"), everybodys.send("acme", "one")
    assert (theirs.status_code, mine.status_code, wider.status_code) == (202, 202, 409)
    assert theirs.get_json()["id"] != mine.get_json()["id"]
    problem(limited.send("other", "one"), 422)
