"""A key that is gone: the pages say that the password can't be read, nothing ends with a defect, the mail waits."""

import html
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import select

from portal import create_app
from portal.extensions import db
from portal.models import Driver, DriverTest, LogEntry, Message, Tenant, User
from portal.services.drivers import lifecycle, probe, save_gate
from portal.services.drivers.settings import DriverSettings
from portal.services.outbox import accept as outbox
from tests.support.driver_steps import allow, saved
from tests.support.mail_service import MailService
from tests.support.person import Person
from tests.support.steps import drain

WORDS = "can't read the password that is stored"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[MailService]:
    with MailService(tmp_path) as service:
        yield service


@pytest.fixture
def form(service: MailService) -> dict[str, Any]:
    return {
        "preset": "other", "host": "127.0.0.1", "port": service.port, "encryption": "starttls",
        "username": "shop@acme.example", "secret": "", "from_address": "shop@acme.example", "from_name": "Acme Shop",
        "version": 1,
    }  # fmt: skip


@pytest.fixture
def without_key(
    ctx: Flask, tenant: Tenant, user: User, service: MailService, form: dict[str, Any], options: dict[str, Any]
) -> Flask:
    """The application after its key was lost; a driver was saved before."""
    allow(ctx, service)
    values = {name: value for name, value in form.items() if name != "version"}
    saved(tenant, user, DriverSettings(**values | {"secret": service.password}))
    service.sink.clear()
    changed = create_app(**options | {"encryption_keys": [Fernet.generate_key().decode()]})
    allow(changed, service)
    return changed


@pytest.fixture
def person(without_key: Flask) -> Person:
    return Person(without_key, "acme", {"email": "admin@shop.example"})


@pytest.fixture(params=["the test is open", "the test is over"])
def age(request: pytest.FixtureRequest, without_key: Flask) -> None:
    if request.param == "the test is over":
        with without_key.app_context():
            db.session.query(DriverTest).delete()
            db.session.commit()


def test_the_page_says_that_the_password_must_be_typed_again(person: Person, age: None) -> None:
    page = person.get("/settings/email/service")
    assert page.status_code == 200 and WORDS in html.unescape(page.text)
    assert "A password is stored" not in page.text and 'placeholder="stored"' not in page.text
    assert person.get("/settings/email").status_code == 200


@pytest.mark.parametrize("path", ["/settings/email/service/test", "/settings/email/service/again"])
def test_a_test_of_the_stored_password_asks_for_it(person: Person, form: dict[str, Any], age: None, path: str) -> None:
    answer = person.post(path, form)
    assert answer.status_code == 422 and "The stored password can't be read any more" in html.unescape(answer.text)


@pytest.mark.parametrize(
    "path", ["/settings/email/service", "/settings/email/service/form", "/settings/email/service/test"]
)
def test_nothing_ends_with_a_defect(person: Person, form: dict[str, Any], age: None, path: str) -> None:
    for answer in (person.as_htmx("GET", path), person.as_htmx("POST", path, data=form), person.post(path, form)):
        assert answer.status_code < 500, path


def test_mail_waits_with_a_reason_and_the_page_says_what_to_do(
    without_key: Flask, person: Person, service: MailService
) -> None:
    with without_key.app_context():
        tenant = db.session.scalars(select(Tenant)).one()
        ids = [
            outbox.accept(tenant, kind="order_update", to=f"c{n}@customer.example", subject="Order", text="Hi").id
            for n in range(3)
        ]
        driver = lifecycle.get(tenant)
        assert drain(driver.route) == 0
        db.session.rollback()
        messages = [db.session.get_one(Message, number) for number in ids]
        assert [(m.state, m.reason) for m in messages] == [("held", "unreadable_secret")] * 3
        assert db.session.scalars(select(Driver.state)).one() == "stopped"
        entry = db.session.scalars(select(LogEntry).where(LogEntry.message_id == ids[0], LogEntry.event == "held"))
        assert entry.first() is not None
        notice = db.session.scalars(select(Message).where(Message.kind == "notice")).one()
        assert notice.to_address == "admin@shop.example"
    assert service.sign_ins == 1, "only the test before the key was lost"
    page = html.unescape(person.get("/settings/email").text)
    assert "can't be read any more" in page and "3 messages wait" in page
    assert "refuses our mail" not in page and "usual causes" not in page


def test_typed_again_it_sends(without_key: Flask, person: Person, service: MailService, form: dict[str, Any]) -> None:
    test_mail_waits_with_a_reason_and_the_page_says_what_to_do(without_key, person, service)
    typed = form | {"secret": service.password}
    assert person.post("/settings/email/service/test", typed).status_code == 303
    with without_key.app_context():
        tenant = db.session.scalars(select(Tenant)).one()
        test = save_gate.latest(tenant)
        assert test is not None
        probe.run(test.id)
    assert person.post("/settings/email/service", typed).status_code == 303
    with without_key.app_context():
        tenant = db.session.scalars(select(Tenant)).one()
        assert drain(lifecycle.get(tenant).route) == 3
    assert [mail.message["Subject"] for mail in service.sink.received].count("Order") == 3


def test_a_test_under_way_then_ends(app: Flask, options: dict[str, Any], arrive_form: Callable[[Flask], int]) -> None:
    number = arrive_form(app)
    with create_app(**options | {"encryption_keys": [Fernet.generate_key().decode()]}).app_context():
        probe.run(number)
        test = db.session.get_one(DriverTest, number)
        assert (test.state, test.reason) == ("failed", "unreadable_secret")


@pytest.fixture
def arrive_form(form: dict[str, Any], service: MailService) -> Callable[[Flask], int]:
    def start(app: Flask) -> int:
        allow(app, service)
        person = Person(app, "acme", {"plan": "enterprise", "tenant_name": "Acme Shop"})
        assert person.post("/settings/email/service/test", form | {"secret": "typed", "version": 0}).status_code == 303
        with app.app_context():
            return db.session.scalars(select(DriverTest.id)).one()

    return start
