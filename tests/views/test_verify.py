"""The public confirmation page, in each of its states."""

import time

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from portal.extensions import db
from portal.models import MailCount, SenderIdentity
from portal.services.accounts import tenants
from portal.services.senders import verification
from tests.support.person import Person


@pytest.fixture
def token(app: Flask, person: Person) -> str:
    person.post("/settings/email/verification", {"address": "hello@acme.example", "display_name": "Acme"})
    return current_token(app)


def current_token(app: Flask) -> str:
    with app.app_context():
        return verification._token(db.session.query(SenderIdentity).one())


def state(app: Flask) -> str:
    with app.app_context():
        return db.session.query(SenderIdentity).one().state


def test_opening_the_link_only_names_tenant_and_address(app: Flask, client: FlaskClient, token: str) -> None:
    for _ in range(2):
        answer = client.get(f"/verify/{token}")
        assert answer.status_code == 200 and "Acme Shop" in answer.text and "hello@acme.example" in answer.text
        assert "Verify email" in answer.text
    assert client.head(f"/verify/{token}").status_code == 200
    assert state(app) == "pending"


def test_the_page_needs_no_cookie_no_script_and_no_csrf_token(client: FlaskClient, token: str) -> None:
    answer = client.get(f"/verify/{token}")
    assert "Set-Cookie" not in answer.headers and "<script" not in answer.text
    assert "csrf_token" not in answer.text and "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_the_button_verifies_and_then_says_so(app: Flask, client: FlaskClient, person: Person, token: str) -> None:
    assert "Confirmed. Thank you!" in client.post(f"/verify/{token}").text
    assert state(app) == "verified"
    again = client.post(f"/verify/{token}")
    assert again.status_code == 200 and "Already confirmed" in again.text
    assert "Already confirmed" in client.get(f"/verify/{token}").text
    assert "Acme &lt;hello@acme.example&gt;" in person.get("/settings/email?notice=in_use").text


def test_an_expired_link_offers_a_new_one(app: Flask, client: FlaskClient, token: str) -> None:
    with time_machine.travel(time.time() + 25 * 3600):
        expired = client.get(f"/verify/{token}")
        assert expired.status_code == 410
        assert "This link has expired" in expired.text and "Send a new link" in expired.text
        assert "This link has expired" in client.post(f"/verify/{token}").text
        assert state(app) == "pending"
        sent = client.post(f"/verify/{token}/resend")
        assert sent.status_code == 200 and "A new email is on its way" in sent.text
        assert "There is a newer link" in client.get(f"/verify/{token}").text
        assert "Confirmed. Thank you!" in client.post(f"/verify/{current_token(app)}").text


def test_too_many_new_links_name_the_next_time(app: Flask, client: FlaskClient, token: str) -> None:
    with time_machine.travel(time.time() + 25 * 3600):
        with app.app_context():
            tenant = tenants.upsert("acme")[0]
            db.session.add(MailCount(tenant_id=tenant.id, kind="verification", mailbox="hello@acme.example"))
            db.session.commit()
        answer = client.post(f"/verify/{token}/resend")
        assert answer.status_code == 429 and "The next email is possible at" in answer.text


def test_a_valid_link_cannot_be_used_to_send_more_mail(client: FlaskClient, token: str) -> None:
    assert "Verify email" in client.post(f"/verify/{token}/resend").text


def test_a_cancelled_change_has_nothing_to_confirm(app: Flask, client: FlaskClient, person: Person, token: str) -> None:
    with app.app_context():
        number = db.session.query(SenderIdentity).one().id
    person.post(f"/settings/email/identities/{number}/cancel")
    answer = client.post(f"/verify/{token}")
    assert answer.status_code == 410 and "This request was cancelled" in answer.text
    assert state(app) == "revoked"


def test_a_stranger_stops_the_asking_before_the_button(app: Flask, client: FlaskClient, token: str) -> None:
    assert "I didn't ask for this" in client.get(f"/verify/{token}").text
    for look in (client.get, client.head):
        look(f"/verify/{token}/take-back")
    assert state(app) == "pending"
    stopped = client.post(f"/verify/{token}/take-back")
    assert stopped.status_code == 200 and "This shop can't use your address" in stopped.text
    assert "can't ask you again for 30 days" in stopped.text and state(app) == "revoked"
    again = client.get(f"/verify/{token}")
    assert again.status_code == 410 and "This shop can't use your address" in again.text
    assert "<button" not in again.text
    assert client.post(f"/verify/{token}").status_code == 410 and state(app) == "revoked"


def test_a_stranger_takes_it_back_after_the_button(app: Flask, client: FlaskClient, token: str, person: Person) -> None:
    for page in (client.post(f"/verify/{token}"), client.get(f"/verify/{token}")):
        assert page.status_code == 200 and "I didn't ask for this" in page.text
    assert "This shop can't use your address" in client.post(f"/verify/{token}/take-back").text
    assert state(app) == "revoked"
    assert "notifications@marketplace.example" in person.get("/settings/email").text
    assert "Said that they didn't ask for this" in person.get("/settings/activity").text


def test_the_page_shows_a_shops_name_as_the_mail_does(app: Flask, client: FlaskClient, token: str) -> None:
    with app.app_context():
        tenants.upsert("acme", name="Refunds at evil.example")
    page = client.get(f"/verify/{token}").text
    assert "Shop acme, a shop on Marketplace" in page and "evil" not in page


@pytest.mark.parametrize("path", ["", "/take-back", "/resend"])
@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
def test_another_sites_page_presses_no_button(
    app: Flask, client: FlaskClient, token: str, path: str, headers: dict[str, str]
) -> None:
    assert client.post(f"/verify/{token}{path}", headers=headers).status_code == 403
    assert state(app) == "pending"
    ours = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:8000"}
    assert client.post(f"/verify/{token}{path}", headers=ours).status_code == 200


@pytest.mark.parametrize("junk", ["x", "a.b.c", "%00", "x" * 3000])
def test_junk_is_a_page_that_says_what_to_do(client: FlaskClient, junk: str) -> None:
    for answer in (
        client.get(f"/verify/{junk}"),
        client.post(f"/verify/{junk}"),
        client.post(f"/verify/{junk}/resend"),
        client.post(f"/verify/{junk}/take-back"),
    ):
        assert answer.status_code == 404 and "This link doesn't work" in answer.text
        assert "help@marketplace.example" in answer.text


def test_a_session_token_is_no_verification_token(client: FlaskClient, person: Person) -> None:
    assert client.post(f"/verify/{person.bearer}").status_code == 404


def test_the_page_speaks_the_tenants_language(app: Flask, client: FlaskClient, token: str) -> None:
    with app.app_context():
        tenants.upsert("acme", locale="de")
    answer = client.get(f"/verify/{token}", headers={"Accept-Language": "en"})
    assert "E-Mail bestätigen" in answer.text and '<html lang="de"' in answer.text
    assert "Dieser Link funktioniert nicht" in client.get("/verify/x", headers={"Accept-Language": "de-AT,de"}).text


def test_while_the_shop_is_suspended_there_is_nothing_to_confirm(app: Flask, client: FlaskClient, token: str) -> None:
    with app.app_context():
        tenants.upsert("acme", state="suspended")
    for answer in (client.get(f"/verify/{token}"), client.post(f"/verify/{token}")):
        assert answer.status_code == 403 and "This shop is suspended" in answer.text
    assert client.post(f"/verify/{token}/resend").status_code == 403
    with app.app_context():
        tenants.upsert("acme", state="active")
    assert "Confirmed" in client.post(f"/verify/{token}").text
