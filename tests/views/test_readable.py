"""What people type, search and read is jane@bücher.example; what is stored is jane@xn--bcher-kva.example."""

from collections.abc import Iterator
from html import unescape

import pytest
from flask import Flask

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Message, SenderIdentity, Tenant, User
from portal.services.accounts import tenants
from portal.services.drivers import lifecycle
from portal.services.emails import contents
from portal.services.senders import mails, verification
from tests.services.test_audit import store_driver
from tests.support.person import Arrive, Person
from tests.views.log.test_export import rows
from tests.views.log.test_page import LOG, accept, subjects

CODED, READ = "xn--bcher-kva.example", "bücher.example"


def page(person: Person, path: str, **options: object) -> str:
    answer = person.get(path, **options)
    assert answer.status_code == 200, answer.text
    return unescape(answer.text)


def test_the_log_shows_it(app: Flask, person: Person) -> None:
    number = accept(app, "Order 1", to=f"jane@{CODED}")
    shown = page(person, f"{LOG}?open={number}")
    assert f"jane@{READ}" in shown and CODED not in shown
    assert rows(person.get("/settings/email/logs.csv"))[0]["Recipient"] == f"jane@{READ}"


@pytest.mark.parametrize(
    "typed",
    [
        f"jane@{READ}", f"Jane@{READ.upper()}", f"jane@{CODED}", f"\u200bjane@{READ}\ufeff", "bücher", "BÜCHER", "üch",
        "@bücher", "jane@bü", "bu\u0308cher", "jane@bu\u0308cher.example", "xn--bcher", "b\u00fccher.example\u00a0",
    ],
)  # fmt: skip
def test_it_is_found_as_it_is_read_and_as_it_is_stored(app: Flask, person: Person, typed: str) -> None:
    accept(app, "Order 1", to=f"jane@{CODED}")
    accept(app, "Order 2", to="jane@buecher.example")
    accept(app, "Order 3", to="jane@xn--kse-qla.example")
    assert subjects(person.post(f"{LOG}/search", {"recipient": typed}).text) == ["Order 1"]


def test_a_search_that_fits_nobody_finds_nobody(app: Flask, person: Person) -> None:
    accept(app, "Order 1", to=f"jane@{CODED}")
    for typed in ("bücherei", "bûcher", f"john@{READ}"):
        assert subjects(person.post(f"{LOG}/search", {"recipient": typed}).text) == []


def test_support_finds_message_and_shop_by_it(app: Flask, arrive: Arrive) -> None:
    with app.app_context():
        tenant = tenants.upsert("acme", name="Acme Shop")[0]
        with transaction() as session:
            session.add(
                SenderIdentity(tenant_id=tenant.id, address=f"shop@{CODED}", address_key=f"shop@{CODED}", nonce="n")
            )
    accept(app, "Order 1", to=f"jane@{CODED}")
    sam = arrive("", role="support", email="sam@marketplace.example", tenant_name="", plan=None)
    for typed in (f"jane@{READ}", f"jane@{CODED}", f"\u2060Jane@{READ}"):
        found = unescape(sam.post("/support/messages", {"message": typed}).text)
        assert "Order 1" in found and f"jane@{READ}" in found
    assert "Acme Shop" in sam.post("/support/shops", {"shop": f"shop@{READ}"}).text


@pytest.fixture
def shop(app: Flask, person: Person) -> Iterator[Tenant]:
    """A shop that asks for an address and has a mail service."""
    with app.app_context():
        tenant = tenants.upsert("acme")[0]
        user = db.session.query(User).one()
        store_driver(tenant, user, host=f"smtp.{CODED}", from_address=f"shop@{CODED}")
        verification.start_verification(tenant, user, f"hello@{READ}", "Acme")
        yield tenant


def test_so_do_settings_mail_service_and_activity(shop: Tenant, person: Person) -> None:
    settings, service, activity = (
        page(person, path) for path in ("/settings/email", "/settings/email/service", "/settings/activity")
    )
    assert f"hello@{READ}" in settings and f"smtp.{READ}" in settings and f"shop@{READ}" in settings
    assert f'value="smtp.{READ}"' in service and f'value="shop@{READ}"' in service
    assert f"hello@{READ}" in activity and f"smtp.{READ}" in activity
    assert CODED not in settings + service + activity


def test_and_the_mails_about_them(shop: Tenant) -> None:
    message = db.session.query(Message).filter_by(kind="verification").one()
    asked = mails.request(message)
    assert f"hello@{READ}" in asked.text and CODED not in asked.text + asked.html
    driver = lifecycle.find(shop)
    assert driver is not None
    told = contents.driver_stopped(shop, driver, "en")
    assert f"smtp.{READ}" in told.text + told.subject and CODED not in told.text + told.html
