"""The platform ends people and shops: at once, and no mail is lost by it."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.models.api_key import Scope
from portal.services.accounts import api_keys, launches
from tests.support.person import Arrive
from tests.views.api.conftest import MESSAGE, problem

SETTINGS = "/settings/email"
JO = "/api/v1/tenants/acme/users"


def test_a_removed_person_is_out_with_the_next_request(api: FlaskClient, arrive: Arrive) -> None:
    jo = arrive(sub="17", email="jo@shop.example")
    assert jo.get(SETTINGS).status_code == 200
    removed = api.delete(f"{JO}/17")
    assert (removed.status_code, removed.data) == (204, b"")
    assert jo.get(SETTINGS).status_code == 401
    assert jo.as_htmx("GET", "/settings/email/sender").status_code == 401
    problem(api.delete(f"{JO}/17"), 404)
    assert arrive(sub="17", email="jo@shop.example").get(SETTINGS).status_code == 200


@pytest.mark.parametrize("subject", ["auth0|17", "a/b", "https://id.example//17", "jo@shop.example", "ü 1", "a%2Fb"])
def test_an_id_may_have_any_signs(api: FlaskClient, arrive: Arrive, subject: str) -> None:
    jo = arrive(sub=subject, email="jo@shop.example")
    path = "".join(f"%{octet:02X}" for octet in subject.encode())
    assert api.delete(f"{JO}/{path}").status_code == 204
    assert jo.get(SETTINGS).status_code == 401


@pytest.mark.parametrize("subject", ["nobody", "x" * 201, "%00", "a%0Ab"])
def test_nobody_is_answered_404(api: FlaskClient, subject: str) -> None:
    problem(api.delete(f"{JO}/{subject}"), 404)
    problem(api.delete(f"/api/v1/tenants/none/users/{subject}"), 404)
    problem(api.delete(f"/api/v1/tenants/@platform/users/{subject}"), 404)


def test_another_shops_person_of_the_same_id_stays(api: FlaskClient, arrive: Arrive) -> None:
    rival = arrive("rival", sub="17", email="jo@shop.example")
    problem(api.delete(f"{JO}/17"), 404)
    assert rival.get(SETTINGS).status_code == 200


def test_it_needs_the_scope_and_the_tenant(app: Flask, client: FlaskClient, arrive: Arrive) -> None:
    arrive(sub="17", email="jo@shop.example")
    with app.app_context():
        reads = api_keys.create("reads", scopes=[Scope.READ, Scope.SEND])
        others = api_keys.create("others", tenants=["rival"])
    for key in (reads, others):
        for subject in ("17", "nobody"):
            problem(client.delete(f"{JO}/{subject}", headers={"Authorization": f"Bearer {key}"}), 403)


def test_a_suspended_shops_people_are_out_and_its_mail_is_accepted_and_held(api: FlaskClient, arrive: Arrive) -> None:
    boss = arrive()
    waiting = api.post("/api/v1/messages", json=MESSAGE, headers={"Idempotency-Key": "1"}).get_json()
    assert waiting["state"] == "queued" and "reason" not in waiting
    shop = api.put("/api/v1/tenants/acme", json={"state": "suspended"}).get_json()
    assert shop["state"] == "suspended"
    assert boss.get(SETTINGS).status_code == 401
    accepted = api.post("/api/v1/messages", json=MESSAGE)
    assert accepted.status_code == 202
    held = {"state": "held", "reason": "tenant_suspended"}
    assert accepted.get_json() == held | {"id": accepted.get_json()["id"]}
    batch = api.post("/api/v1/messages/batch", json={"messages": [MESSAGE]}).get_json()["results"]
    assert {name: batch[0][name] for name in ("status", *held)} == held | {"status": 202}
    repeated = api.post("/api/v1/messages", json=MESSAGE, headers={"Idempotency-Key": "1"}).get_json()
    assert repeated == held | {"id": waiting["id"]}
    for message in (waiting, accepted.get_json()):
        read = api.get(f"/api/v1/messages/{message['id']}").get_json()
        assert (read["state"], read["reason"]) == ("held", "tenant_suspended")
        assert [entry["event"] for entry in read["log"]] == ["queued", "held"]


def test_an_active_shops_mail_goes_on_and_its_people_come_in_again(api: FlaskClient, arrive: Arrive) -> None:
    boss = arrive()
    api.put("/api/v1/tenants/acme", json={"state": "suspended"})
    message = api.post("/api/v1/messages", json=MESSAGE).get_json()["id"]
    api.put("/api/v1/tenants/acme", json={"state": "active"})
    read = api.get(f"/api/v1/messages/{message}").get_json()
    assert (read["state"], read["reason"]) == ("queued", None)
    assert [entry["event"] for entry in read["log"]] == ["queued", "held"]
    assert boss.get(SETTINGS).status_code == 401  # ended for good
    assert arrive().get(SETTINGS).status_code == 200


def test_the_state_is_one_of_two(api: FlaskClient) -> None:
    refused = problem(api.put("/api/v1/tenants/acme", json={"state": "gone"}), 422)
    assert refused["errors"][0]["pointer"] == "#/state"
    assert api.put("/api/v1/tenants/new", json={"name": "New", "state": "suspended"}).get_json()["state"] == "suspended"


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "Your marketplace has suspended your shop"), ("de", "Ihr Marktplatz hat Ihren Shop gesperrt")],
)
def test_a_launch_into_a_suspended_shop_is_a_page_in_words(
    api: FlaskClient, app: Flask, arrive: Arrive, language: str, words: str
) -> None:
    arrive()
    api.put("/api/v1/tenants/acme", json={"state": "suspended"})
    with app.app_context():
        token = launches.make_token("acme")
    page = app.test_client().post("/launch", data={"token": token}, headers={"Accept-Language": language})
    assert page.status_code == 401 and words in page.text
