"""Custom email setup over HTTP: the test gate against forged Saves, what is said about bad input, plans, roles."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, select, update
from werkzeug.test import TestResponse

from portal import encryption
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Driver, DriverTest, MailCount, Message, Tenant, utcnow
from portal.providers import PROVIDERS
from portal.reasons import words as reasons
from portal.services.accounts import tenants
from portal.services.drivers import probe
from portal.services.drivers.save_gate import GIVE_UP
from portal.transport.base import OTHER_SIGN_IN
from portal.transport.smtp.replies import ACTIONS
from portal.transport.smtp.stream import LOST_IN_HANDSHAKE, OLD_TLS
from portal.views.driver import texts as driver_texts
from portal.views.log import texts as log_texts
from tests.conftest import made_app
from tests.support.driver_steps import allow
from tests.support.mail_service import MailService
from tests.support.person import Arrive, Person
from tests.support.scripted_server import ScriptedServer
from tests.support.settings import configure
from tests.support.statements import recorded
from tests.support.steps import PATIENT

PAGE = "/settings/email/service"
CANARY = "canary-7b1f-password"


@pytest.fixture
def service(app: Flask, tmp_path: Path) -> Iterator[MailService]:
    with MailService(tmp_path) as service:
        service.password = CANARY
        allow(app, service)
        yield service


@pytest.fixture
def admin(arrive: Arrive) -> Person:
    return arrive(plan="enterprise", email="ada@acme.example", name="Ada")


@pytest.fixture
def fields(service: MailService) -> dict[str, str]:
    return {
        "preset": "other", "version": "0", "host": "127.0.0.1", "port": str(service.port), "encryption": "starttls",
        "username": "shop@acme.example", "secret": CANARY, "from_address": "shop@acme.example",
        "from_name": "Acme Shop",
    }  # fmt: skip


def run_test(app: Flask) -> DriverTest:
    """What a worker does with the newest test."""
    with app.app_context():
        test = db.session.scalars(select(DriverTest).order_by(DriverTest.id.desc())).first()
        assert test is not None
        probe.run(test.id, PATIENT)
        db.session.expire_all()
        return db.session.get_one(DriverTest, test.id)


def pass_a_test(app: Flask, person: Person, fields: dict[str, str]) -> None:
    assert person.post(f"{PAGE}/test", fields).status_code == 303
    assert run_test(app).state == "passed"


def saved(app: Flask, person: Person, fields: dict[str, str]) -> None:
    pass_a_test(app, person, fields)
    assert person.post(PAGE, fields).status_code == 303


def stored(app: Flask) -> Driver | None:
    with app.app_context():
        return db.session.scalars(select(Driver)).first()


def change(app: Flask, *statements: Any) -> None:
    with app.app_context(), transaction() as session:
        for statement in statements:
            session.execute(statement)


def text_of(answer: TestResponse) -> str:
    """What a person reads: without tags, with single spaces."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def field(answer: TestResponse, name: str) -> str:
    """The markup of a field with its messages."""
    found = re.search(
        rf'<div id="field-{name}".*?(?=<div id="field-|<fieldset|</fieldset>|<section)', answer.text, re.S
    )
    assert found, name
    return unescape(found[0])


def test_tested_and_saved_the_driver_sends_all_mail(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    pass_a_test(app, admin, fields)
    page = admin.get(PAGE)
    assert "The test message was accepted." in text_of(page)
    assert 'aria-disabled="true"' not in re.search(r"<button id=\"save\"[^>]*>", page.text)[0]  # type: ignore[index]
    answer = admin.post(PAGE, fields)
    assert answer.status_code == 303 and answer.location == "/settings/email?notice=driver_saved"
    settings = admin.get(answer.location)
    assert "Saved. From now on all your mail goes out through your own mail service." in text_of(settings)
    assert "Acme Shop <shop@acme.example>" in text_of(settings)


def test_without_a_test_save_is_locked_and_refused(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    page = admin.get(PAGE)
    assert re.search(r'<button id="save"[^>]*aria-disabled="true"[^>]*aria-describedby="save-reason"', page.text)
    answer = admin.post(PAGE, fields)
    assert answer.status_code == 422
    assert "Nothing was saved. Save unlocks after a test message was accepted." in text_of(answer)
    assert stored(app) is None


def test_support_stands_beside_each_refusal(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    untested = admin.post(PAGE, fields)
    admin.post(f"{PAGE}/test", fields)
    busy = admin.post(f"{PAGE}/test", fields)
    assert run_test(app).state == "passed"
    conflict = admin.post(PAGE, fields | {"version": "7"})
    assert [answer.status_code for answer in (untested, busy, conflict)] == [422, 409, 409]
    for answer in (untested, busy, conflict):
        said = answer.text.partition('id="driver-form"')[2].partition("<fieldset")[0]
        assert 'role="alert"' in said and "help@marketplace.example" in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "localhost"), ("encryption", "tls"), ("username", "other@acme.example"), ("secret", "another"),
        ("from_address", "boss@acme.example"),
    ],
)  # fmt: skip
def test_a_save_with_one_field_changed_after_the_test_is_refused(
    app: Flask, admin: Person, fields: dict[str, str], name: str, value: str
) -> None:
    pass_a_test(app, admin, fields)
    answer = admin.post(PAGE, fields | {name: value})
    assert answer.status_code == 422
    assert "The settings are not the ones that were tested." in text_of(answer)
    if name != "secret":
        assert value in field(answer, name)  # what was typed is kept
    assert stored(app) is None


def test_a_save_of_a_test_passed_31_minutes_ago_is_refused(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    pass_a_test(app, admin, fields)
    change(app, update(DriverTest).values(finished_at=utcnow() - timedelta(minutes=31)))
    answer = admin.post(PAGE, fields)
    assert answer.status_code == 422 and "more than 30 minutes old" in text_of(answer)
    assert stored(app) is None


@pytest.mark.parametrize(
    ("changes", "name", "sentence"),
    [
        ({"host": ""}, "host", "Enter the name of the outgoing server"),
        ({"host": "https://smtp.acme.example"}, "host", "This is not a server's name"),
        ({"host": "smtp.acme.example/mail"}, "host", "This is not a server's name"),
        ({"port": "70000"}, "port", "Mail can't be sent through this port"),
        ({"port": "22"}, "port", "Mail can't be sent through this port"),
        ({"port": "many"}, "port", "Mail can't be sent through this port"),
        ({"port": "465"}, "encryption", "contradict each other"),
        ({"encryption": "none"}, "encryption", "never sent without encryption"),
        ({"preset": "microsoft365", "port": "465", "encryption": "tls"}, "port", "doesn't offer this port"),
        ({"username": " "}, "username", "Enter the username"),
        ({"secret": ""}, "secret", "Enter the password"),
        ({"secret": "x" * 10_000}, "secret", "too long for a password"),
        ({"from_address": "nobody"}, "from_address", "This is not an email address"),
        ({"from_name": "a@b.example"}, "from_name", "must not look like an email address"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence_at_its_field(
    app: Flask, admin: Person, service: MailService, fields: dict[str, str], changes: dict[str, str], name: str,
    sentence: str,
) -> None:  # fmt: skip
    for answer in (
        admin.post(f"{PAGE}/test", fields | changes),
        admin.as_htmx("POST", f"{PAGE}/test", data=fields | changes),
    ):
        assert answer.status_code == 422
        assert sentence in field(answer, name) and 'aria-invalid="true"' in field(answer, name)
        summary = re.search(r'<div class="notice notice-error" role="alert".*?</ul>', answer.text, re.S)
        assert summary and f'href="#{name}"' in summary[0]
        for kept in ("host", "port", "username", "from_address"):
            value = (fields | changes)[kept].strip()
            assert not value or f'value="{value}"' in field(answer, kept)
    assert service.sign_ins == 0
    with app.app_context():
        assert db.session.scalars(select(DriverTest)).first() is None


def test_a_sign_in_that_was_tried_another_way_says_so(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    admin.post(f"{PAGE}/test", fields)
    took = [{"name": name, "seconds": 0.1} for name in ("resolve", "connect", "tls", OTHER_SIGN_IN)]
    change(app, update(DriverTest).values(state="running", steps=took))
    words = text_of(admin.get(PAGE))
    assert "The server refused one way of signing in, so the other one was tried" in words and "Signing in …" in words


def test_a_step_that_may_take_long_says_so(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    admin.post(f"{PAGE}/test", fields)
    change(app, update(DriverTest).values(state="running", steps=[{"name": "resolve", "seconds": 0.1}]))
    assert "Some servers answer only after a minute" in text_of(admin.get(PAGE))


def test_a_failed_test_marks_step_and_field_with_a_way_out(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    admin.post(f"{PAGE}/test", fields | {"secret": "wrong"})
    run_test(app)
    page = admin.get(PAGE)
    assert 'id="step-sign_in" class="step-failed"' in page.text
    assert 'aria-invalid="true"' in field(page, "secret")
    words = text_of(page)
    assert "User name or password of the mail account is wrong." in words and "app password" in words
    assert "535 5.7.8 Username and Password not accepted" in words  # under Details
    assert "Next: correct it" in words


@pytest.mark.parametrize(
    ("answers", "step", "name", "says"),
    [
        (
            {"RCPT": "553 5.7.1 <boss@acme.example>: Sender address rejected: not owned by user shop@acme.example"},
            "recipient", "from_address", "The sender was refused",
        ),
        ({".": "554 5.2.252 SendAsDenied; shop@acme.example not allowed to send as boss@acme.example"},
         "accepted", "from_address", "The sender was refused"),
        ({".": "554 Message rejected: Email address is not verified."}, "accepted", "from_address",
         "The sender was refused"),
        ({"AUTH": "538 5.7.11 Encryption required for requested authentication mechanism"}, "sign_in", "encryption",
         "Signing in failed"),
        ({"MAIL": "530 5.7.0 Authentication required"}, "sender", "secret", "The sender was refused"),
        ({"RCPT": "550 5.1.1 No such user"}, "recipient", None, "The recipient was refused"),
    ],
)  # fmt: skip
def test_the_field_to_change_follows_from_the_reason_and_not_from_the_step_alone(
    app: Flask, admin: Person, service: MailService, fields: dict[str, str], answers: dict[str, str], step: str,
    name: str | None, says: str,
) -> None:  # fmt: skip
    with ScriptedServer(answers, extensions=("STARTTLS", "AUTH PLAIN"), tls=service.context) as server:
        configure(app, smtp_allowed_ports=str(server.port))
        admin.post(f"{PAGE}/test", fields | {"port": str(server.port)})
        run_test(app)
    page = admin.get(PAGE)
    failed = re.search(rf'<li id="step-{step}" class="step-failed">.*?</li>', page.text, re.S)
    assert failed and says in failed[0]
    for field_name in ("host", "encryption", "secret", "from_address"):
        assert ('aria-invalid="true"' in field(page, field_name)) == (field_name == name), field_name
    assert (f'<a href="#{name}">Go to the field</a>' in page.text) == (name is not None)


def test_another_names_certificate_is_told(app: Flask, admin: Person, fields: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with MailService(tmp_path / "other", name="mail.other.example") as other:
        allow(app, other)
        admin.post(f"{PAGE}/test", fields | {"port": str(other.port)})
        run_test(app)
        page = admin.get(PAGE)
        assert "The server's certificate is made out for another name." in text_of(page)
        assert "Your password was not sent." in text_of(page)
        assert 'id="step-tls" class="step-failed"' in page.text and other.sign_ins == 0


def test_a_server_inside_our_network_is_refused_at_its_field(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    configure(app, smtp_allowed_networks="")
    admin.post(f"{PAGE}/test", fields)
    run_test(app)
    page = admin.get(PAGE)
    assert "There is no mail server of this name on the internet." in field(page, "host")


def test_the_poll_brings_save_and_asks_no_more(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    started = admin.as_htmx("POST", f"{PAGE}/test", data=fields)
    assert started.status_code == 200 and 'hx-trigger="every 1s"' in started.text
    url = re.search(rf'hx-get="({PAGE}/test\?test=\d+)"', started.text)
    assert url
    waiting = admin.as_htmx("GET", url[1])
    assert 'hx-trigger="every 1s"' in waiting.text and 'data-open="false"' in waiting.text
    run_test(app)
    done = admin.as_htmx("GET", url[1])
    assert "every 1s" not in done.text and 'data-open="true"' in done.text
    assert 'aria-live="polite"' in done.text and "Message accepted" not in done.text
    assert admin.as_htmx("GET", f"{PAGE}/test?test=0").text.count("Somebody of your shop has started another test") == 1


def test_a_second_test_while_one_runs_is_refused_with_words(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    admin.post(f"{PAGE}/test", fields)
    answer = admin.post(f"{PAGE}/test", fields)
    assert answer.status_code == 409 and "A test is running already." in text_of(answer)
    with app.app_context():
        assert len(db.session.scalars(select(DriverTest)).all()) == 1


@pytest.mark.parametrize("locale", ["en", "de"])
def test_too_many_tests_of_an_account_are_refused_with_words(
    app: Flask, arrive: Arrive, fields: dict[str, str], locale: str
) -> None:
    admin = arrive(plan="enterprise", locale=locale)
    saved(app, admin, fields)
    fields = fields | {"version": "1"}
    account = {"kind": "driver_test", "mailbox": f"{fields['username']} at 127.0.0.1", "at": utcnow()}
    change(app, insert(MailCount).values([account] * 29))
    words = {
        "en": "Too many tests of this account. The next one is possible at",
        "de": "Zu viele Tests dieses Kontos. Der nächste ist möglich:",
    }
    for answer in (
        admin.post(f"{PAGE}/test", fields),
        admin.as_htmx("POST", f"{PAGE}/test", data=fields),
        admin.post(f"{PAGE}/again"),
    ):
        assert answer.status_code == 429 and words[locale] in text_of(answer)
        assert 3500 < int(answer.headers["Retry-After"]) <= 3600


def test_a_test_whose_worker_died_ends_with_words(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    admin.post(f"{PAGE}/test", fields)
    change(app, update(DriverTest).values(created_at=utcnow() - GIVE_UP, state="running"))
    page = admin.get(PAGE)
    assert "could not be finished, try again" in text_of(page) and "every 1s" not in page.text


def test_two_admins_at_once_the_later_learns_what_the_other_changed(
    app: Flask, admin: Person, arrive: Arrive, fields: dict[str, str]
) -> None:
    saved(app, admin, fields)
    other = arrive(plan="enterprise", email="ben@acme.example", name="Ben")
    theirs = fields | {"from_name": "Acme Outlet", "version": "1"}
    assert other.post(PAGE, theirs).status_code == 303
    answer = admin.post(PAGE, fields | {"from_name": "Acme Store", "version": "1"})
    assert answer.status_code == 409
    words = text_of(answer)
    assert "Ben has saved these settings while you had this page open." in words
    assert "From name : now Acme Outlet" in words
    assert 'value="Acme Store"' in field(answer, "from_name")
    driver = stored(app)
    assert driver is not None and driver.from_name == "Acme Outlet"
    assert admin.post(PAGE, fields | {"from_name": "Acme Store", "version": "2"}).status_code == 303  # knowingly


@pytest.mark.parametrize("version", ["9" * 5_000, "-1", "many", ""])
def test_a_version_that_the_page_never_held_is_a_conflict_and_no_crash(
    app: Flask, admin: Person, fields: dict[str, str], version: str
) -> None:
    saved(app, admin, fields)
    assert admin.post(PAGE, fields | {"version": version, "from_name": "Acme Outlet"}).status_code == 409
    driver = stored(app)
    assert driver is not None and driver.from_name == "Acme Shop"


def test_an_empty_password_is_the_stored_one_of_its_server(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    saved(app, admin, fields)
    blank = fields | {"secret": "", "version": "1", "from_address": "boss@acme.example"}
    assert admin.post(f"{PAGE}/test", blank).status_code == 303
    assert run_test(app).state == "passed"
    answer = admin.post(f"{PAGE}/test", blank | {"host": "localhost"})
    assert answer.status_code == 422 and "Enter the password." in field(answer, "secret")


def test_a_plan_without_it_sees_the_page_and_is_refused(options: dict[str, Any], fields: dict[str, str]) -> None:
    with made_app(**options, pricing_url="https://marketplace.example/pricing") as app:
        person = Person(app, "small", {"plan": "basic"})
        page = person.get(PAGE)
        assert page.status_code == 200
        assert "“Your own mail service” is part of the Enterprise plan." in text_of(page)
        assert 'href="https://marketplace.example/pricing"' in page.text
        for path in (f"{PAGE}/test", PAGE):
            answer = person.post(path, fields)
            assert answer.status_code == 403 and "part of the Enterprise plan" in text_of(answer)
        answer = person.post("/settings/email/verification", {"address": "a@b.example", "display_name": "B"})
        assert answer.status_code == 403 and "“Your own address” is part of the Pro plan." in text_of(answer)


def test_without_a_page_of_prices_a_plan_without_it_leads_to_support(arrive: Arrive) -> None:
    assert "Ask support about it" in text_of(arrive("small", plan="basic").get(PAGE))


def test_after_a_downgrade_nothing_is_lost(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    saved(app, admin, fields)
    with app.app_context():
        tenants.upsert("acme", plan="pro")
    page = text_of(admin.get("/settings/email"))
    assert "Your plan has changed." in page and "Your mail comes from Marketplace" in page
    with app.app_context():
        tenants.upsert("acme", plan="enterprise")
    page = text_of(admin.get("/settings/email"))
    assert "Your plan has changed." not in page and "Acme Shop <shop@acme.example>" in page


@pytest.mark.parametrize(("plan", "role"), [("enterprise", "viewer"), ("basic", "admin")])
def test_what_is_typed_by_whoever_may_not_save_it_is_not_judged(
    app: Flask, arrive: Arrive, fields: dict[str, str], plan: str, role: str
) -> None:
    """They see each provider's form and guide; a typed password must not be compared with a tested one either."""
    person = arrive("other-shop", plan=plan, email="vi@other.example", role=role)
    shown = [
        person.post(f"{PAGE}/form", {"preset": "gmail"} | typed).text
        for typed in ({}, fields | {"preset": "gmail"}, {"host": "0:" * 30_000, "username": "typed-by-hand"})
    ]
    assert "smtp.gmail.com" in shown[0] and "typed-by-hand" not in shown[2]
    assert len({re.sub(r'value="[^"]{40,}"', "", page) for page in shown}) == 1, "but for tokens, which bear the second"


def test_a_viewer_sees_all_and_changes_none(app: Flask, admin: Person, arrive: Arrive, fields: dict[str, str]) -> None:
    saved(app, admin, fields)
    viewer = arrive(plan="enterprise", email="vi@acme.example", role="viewer")
    page = viewer.get(PAGE)
    assert page.status_code == 200 and "only an administrator" in text_of(page)
    assert 'id="send-test" class="" disabled' in page.text or re.search(r'id="send-test"[^>]* disabled', page.text)
    assert "Working" in text_of(viewer.get("/settings/email"))
    for path in ("", "/test", "/again", "/discard", "/pause", "/resume", "/use", "/held-mail", "/remove"):
        assert viewer.post(PAGE + path, fields).status_code == 403, path
    assert viewer.get(f"{PAGE}/remove").status_code == 403
    driver = stored(app)
    assert driver is not None and driver.state == "active"


def test_pause_resume_choice_and_removal(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    saved(app, admin, fields)
    words = text_of(admin.post(f"{PAGE}/pause", follow_redirects=True))
    assert "Paused by an administrator" in words
    words = text_of(admin.post(f"{PAGE}/held-mail", {"held_mail": "default"}, follow_redirects=True))
    assert "your mail goes out through the default sender" in words
    words = text_of(admin.post(f"{PAGE}/resume", follow_redirects=True))
    assert "Your mail service sends again." in words and "Working" in words
    admin.post("/settings/email/default")
    assert "Not in use" in text_of(admin.get("/settings/email"))
    assert "Working" in text_of(admin.post(f"{PAGE}/use", follow_redirects=True))
    question = admin.get(f"{PAGE}/remove")
    assert "Remove your own mail service?" in text_of(question) and "Marketplace" in text_of(question)
    assert stored(app) is not None  # a GET removes nothing
    words = text_of(admin.post(f"{PAGE}/remove", follow_redirects=True))
    assert "was removed" in words and stored(app) is None
    with app.app_context():
        assert db.session.scalars(select(DriverTest)).all() == []  # nor is its password kept with a test
    assert "dealt with already" in text_of(admin.post(f"{PAGE}/pause", follow_redirects=True))


def test_a_broken_driver_names_both_causes_and_what_waits(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    saved(app, admin, fields)
    change(app, update(Driver).values(state="stopped", reason="bad_credentials", text="5.7.8 not accepted"))
    with app.app_context(), transaction() as session:
        tenant = session.scalars(select(Tenant)).one()
        about = {"kind": "order_update", "to_address": "a@b.example", "subject": "x", "message_id": "<x>"}
        session.add(Message(tenant_id=tenant.id, **about, state="held", route="none", expires_at=utcnow()))
    page = admin.get("/settings/email")
    assert re.search(r'<div class="notice notice-error" role="alert">', page.text)
    words = text_of(page)
    for part in ("The username or the password is wrong.", "ends all its app passwords", "1 message waits.",
                 "Enter new password", "Resume"):  # fmt: skip
        assert part in words, part
    # A passing test of what is stored mends it.
    assert admin.post(f"{PAGE}/again").status_code == 303
    run_test(app)
    assert "Working" in text_of(admin.get("/settings/email"))


@pytest.mark.parametrize(
    ("reason", "offered", "place"),
    [
        ("bad_credentials", "new-password", f"{PAGE}#secret"),
        ("unreadable_secret", "new-password", f"{PAGE}#secret"),
        ("send_as_denied", "check-settings", f"{PAGE}#from_address"),
        ("tls_failed", "check-settings", f"{PAGE}#encryption"),
        ("ip_blocked", "check-settings", PAGE),
    ],
)
def test_a_new_password_is_asked_for_only_where_the_old_one_may_be_wrong(
    app: Flask, admin: Person, fields: dict[str, str], reason: str, offered: str, place: str
) -> None:
    saved(app, admin, fields)
    change(app, update(Driver).values(state="stopped", reason=reason))
    page = admin.get("/settings/email").text
    found = re.findall(r'<a class="button" id="(new-password|check-settings)" href="([^"]+)"', page)
    assert found == [(offered, place)]


def test_discard_forgets_what_was_tested(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    pass_a_test(app, admin, fields)
    assert "shop@acme.example" in field(admin.get(PAGE), "username")
    assert "was discarded" in text_of(admin.post(f"{PAGE}/discard", follow_redirects=True))
    assert "shop@acme.example" not in field(admin.get(PAGE), "username")
    assert admin.post(PAGE, fields).status_code == 422


@pytest.mark.parametrize("locale", ["en", "de"])
@pytest.mark.parametrize("key", PROVIDERS)
def test_each_provider_is_offered_with_a_form_and_a_guide(arrive: Arrive, key: str, locale: str) -> None:
    provider = PROVIDERS[key]
    page = arrive(plan="enterprise", locale=locale, email=f"{locale}@acme.example").get(f"{PAGE}?preset={key}")
    assert f'<input type="radio" name="preset" value="{key}" checked>' in page.text
    guide = page.text[page.text.index('id="guide"') :]
    assert guide.count("<li>") >= 4 and ("guide-link" in guide) == bool(provider.help_url)
    assert ("Schritt für Schritt" if locale == "de" else "Step by step") in guide
    for link in re.findall(r'<a href="https://[^"]+"[^>]*>', guide):
        assert 'target="_blank" rel="noopener"' in link or "marketplace.example" in link
    assert f'value="{provider.host}"' in field(page, "host")
    assert f'value="{provider.endpoints[0].port}"' in field(page, "port")
    if provider.sign_in.fixed_username:
        assert f'value="{provider.sign_in.fixed_username}"' in field(page, "username")
    if key == "microsoft365":
        assert "2026" in guide and 'value="tls"' not in field(page, "encryption")


def test_choosing_a_provider_keeps_what_was_typed(admin: Person, fields: dict[str, str]) -> None:
    answer = admin.as_htmx("POST", f"{PAGE}/form", data=fields | {"preset": "gmail", "host": ""})
    assert answer.status_code == 200
    assert 'value="smtp.gmail.com"' in field(answer, "host") and 'value="465"' in field(answer, "port")
    assert 'value="shop@acme.example"' in field(answer, "username") and 'value="Acme Shop"' in field(
        answer, "from_name"
    )
    assert CANARY not in answer.text


def test_a_password_is_in_no_page_that_the_server_makes(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    answers = [
        admin.post(f"{PAGE}/test", fields | {"port": "1"}),
        admin.as_htmx("POST", f"{PAGE}/test", data=fields | {"port": "1"}),
        admin.as_htmx("POST", f"{PAGE}/form", data=fields),
        admin.as_htmx("POST", f"{PAGE}/test", data=fields),
        admin.post(f"{PAGE}/test", fields),
        admin.get(PAGE),
    ]
    run_test(app)
    answers += [
        admin.get(PAGE),
        admin.as_htmx("GET", f"{PAGE}/test?test=1"),
        admin.post(PAGE, fields | {"username": "x"}),
        admin.post(PAGE, fields),
        admin.get(PAGE),
        admin.get("/settings/email"),
        admin.get("/settings/email/logs"),
        admin.get(f"{PAGE}/remove"),
    ]
    for answer in answers:
        assert CANARY not in answer.text and 'type="password" value' not in answer.text


def test_another_tenants_test_opens_nothing(app: Flask, admin: Person, arrive: Arrive, fields: dict[str, str]) -> None:
    pass_a_test(app, admin, fields)
    other = arrive("globex", plan="enterprise", email="eve@globex.example")
    assert other.as_htmx("GET", f"{PAGE}/test?test=1").status_code == 404
    assert "shop@acme.example" not in other.get(PAGE).text
    assert other.post(PAGE, fields).status_code == 422
    assert other.post(PAGE, fields | {"secret": ""}).status_code == 422


@pytest.mark.parametrize(
    "key", sorted(set(ACTIONS) | {"expired", "interrupted", "driver_paused", "driver_stopped", "unreadable_secret"})
)
def test_every_reason_has_words_and_a_way_out(app: Flask, key: str) -> None:
    with app.test_request_context():
        assert reasons.phrase(key, str) and reasons.sentence(key, str).endswith(".")
        assert reasons.fix(key, str)
        assert log_texts.reason(key) == reasons.phrase(key, str)


def test_the_log_names_test_mails_and_notices(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    pass_a_test(app, admin, fields)
    log = text_of(admin.get("/settings/email/logs"))
    assert "Test email" in log and "Accepted by the mail server" in log


def test_the_status_is_polled_and_unchanged_costs_nothing(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    assert admin.as_htmx("GET", f"{PAGE}/status").status_code == 204
    saved(app, admin, fields)
    first = admin.as_htmx("GET", f"{PAGE}/status")
    tag = first.headers["HX-PTag"]
    assert f'hx-ptag="{tag}"' in first.text and "Working" in text_of(first)
    assert admin.as_htmx("GET", f"{PAGE}/status", headers={"HX-PTag": tag}).status_code == 304
    change(app, update(Driver).values(state="paused"))
    again = admin.as_htmx("GET", f"{PAGE}/status", headers={"HX-PTag": tag})
    assert again.status_code == 200 and "Paused by an administrator" in text_of(again)


def test_a_test_of_other_settings_does_not_unlock_the_form(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    admin.post(f"{PAGE}/test", fields)
    busy = admin.as_htmx("POST", f"{PAGE}/test", data=fields | {"from_address": "boss@acme.example"})
    url = re.search(rf'hx-get="({PAGE}/test\?test=\d+[^"]*)"', busy.text)
    assert busy.status_code == 409 and url
    run_test(app)
    assert 'data-open="false"' in admin.as_htmx("GET", unescape(url[1])).text


@pytest.mark.parametrize("stage", ["nothing", "queued", "failed", "passed", "saved", "tested again", "stopped"])
def test_each_row_is_read_once_and_no_password_is_decrypted_to_show_the_form(
    app: Flask, admin: Person, fields: dict[str, str], stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stage in ("queued", "failed"):
        admin.post(f"{PAGE}/test", fields | {"secret": "wrong"})
    if stage == "failed":
        run_test(app)
    if stage == "passed":
        pass_a_test(app, admin, fields)
    if stage in ("saved", "tested again", "stopped"):
        saved(app, admin, fields)
    if stage == "tested again":
        admin.post(f"{PAGE}/again")
        run_test(app)
    if stage == "stopped":
        change(app, update(Driver).values(state="stopped", reason="bad_credentials", paused_at=utcnow()))
    decrypted: list[str] = []
    decrypt = encryption.decrypt
    monkeypatch.setattr(encryption, "decrypt", lambda token: decrypted.append(token) or decrypt(token))
    blank, refused = fields | {"secret": ""}, fields | {"port": "22"}
    for method, path, data in (
        ("GET", "", {}), ("GET", "?preset=gmail", {}), ("GET", "/test?test=1", {}),
        ("POST", "/form", blank), ("POST", "/form", fields), ("POST", "/test", refused),
    ):  # fmt: skip
        with app.app_context(), recorded() as asked:
            answer = admin.as_htmx(method, PAGE + path, data=data)
        assert answer.status_code in (200, 404, 422), path
        for table in ("driver", "driver_test"):
            reads = [text for text, _ in asked if re.search(rf'FROM "?{table}"?\s', text)]
            assert len(reads) <= 1, (path, reads)
        assert decrypted == [], path


def test_an_account_that_is_tested_again_is_not_unsaved_but_another_password_is(
    app: Flask, admin: Person, fields: dict[str, str], service: MailService
) -> None:
    saved(app, admin, fields)
    assert admin.post(f"{PAGE}/again").status_code == 303
    run_test(app)
    page = admin.get(PAGE)
    assert "The test message was accepted." in text_of(page) and "data-unsaved" not in page.text
    service.password = "another"
    admin.post(f"{PAGE}/test", fields | {"secret": "another", "version": "1"})
    assert run_test(app).state == "passed"
    assert 'data-unsaved="tested"' in admin.get(PAGE).text
    assert admin.post(PAGE, fields | {"secret": "another", "version": "1"}).status_code == 303
    assert "data-unsaved" not in admin.get(PAGE).text


@pytest.mark.parametrize("guess", [CANARY, "another", ""])
def test_choosing_a_provider_compares_no_password(
    app: Flask, admin: Person, arrive: Arrive, fields: dict[str, str], guess: str
) -> None:
    pass_a_test(app, admin, fields)
    viewer = arrive(plan="enterprise", email="vera@acme.example", role="viewer")
    for person in (viewer, admin):
        blank = person.post(f"{PAGE}/form", fields | {"secret": ""})
        answer = person.post(f"{PAGE}/form", fields | {"secret": guess})
        assert answer.status_code == 200 and text_of(answer) == text_of(blank)


def test_after_three_refused_passwords_the_page_says_when_to_try_again(
    app: Flask, admin: Person, fields: dict[str, str]
) -> None:
    for number in range(3):
        assert admin.post(f"{PAGE}/test", fields | {"secret": f"guess {number}"}).status_code == 303
        assert run_test(app).reason == "bad_credentials"
    answer = admin.post(f"{PAGE}/test", fields)
    assert answer.status_code == 429 and 55 <= int(answer.headers["Retry-After"]) <= 60
    assert re.search(r"The password was refused too often\. .* possible at \d+:\d\d", text_of(answer))
    assert CANARY not in answer.text and "shop@acme.example" in answer.text, "what was typed stays, but the password"
    german = admin.post(f"{PAGE}/test", fields, headers={"Accept-Language": "de"})
    assert german.status_code == 429


@pytest.mark.parametrize(
    ("typed", "host", "port", "encryption"),
    [
        ("smtp.gmail.com:465", "smtp.gmail.com", "465", "tls"),
        ("smtps://smtp.gmail.com:465/", "smtp.gmail.com", "465", "tls"),
        ("smtp.gmail.com: 587", "smtp.gmail.com", "587", "starttls"),
        ("[::1]:465", "::1", "465", "tls"),
    ],
)
def test_a_port_typed_with_the_server_fills_its_own_field(
    admin: Person, fields: dict[str, str], typed: str, host: str, port: str, encryption: str
) -> None:
    """In each answer that shows what was typed."""
    preset = "gmail" if "gmail" in typed else "other"
    typed_there = fields | {"preset": preset, "host": typed, "port": "587", "encryption": "starttls"}
    typed_there |= {"from_address": "nobody"}
    for path in (f"{PAGE}/test", PAGE, f"{PAGE}/form"):
        answer = admin.as_htmx("POST", path, data=typed_there)
        assert f'value="{host}"' in field(answer, "host") and f'value="{port}"' in field(answer, "port"), path
        assert f'value="{encryption}"' in re.findall(r"<option [^>]* selected", field(answer, "encryption"))[0], path
        assert "This is not a server's name" not in text_of(answer)


def test_what_was_typed_so_is_tested_and_saved(app: Flask, admin: Person, fields: dict[str, str]) -> None:
    typed = fields | {"host": f"\u200b127.0.0.1:{fields['port']}\u00a0", "port": "587"}
    pass_a_test(app, admin, typed)
    assert admin.post(PAGE, typed).status_code == 303
    driver = stored(app)
    assert driver is not None and (driver.host, str(driver.port)) == ("127.0.0.1", fields["port"])


@pytest.mark.parametrize(
    ("said", "what", "fix"),
    [
        (f"tls: {OLD_TLS} (dh key too small)", "encryption is too old to be safe", "ask for its name and port"),
        (f"tls: {OLD_TLS} (unsupported protocol)", "encryption is too old to be safe", "Your password was not sent"),
        (f"lost: {LOST_IN_HANDSHAKE}", "ended the connection while encryption was being agreed", "probably too old"),
    ],
)
def test_a_server_whose_encryption_is_too_old_is_said_to_be(said: str, what: str, fix: str, app: Flask) -> None:
    with app.test_request_context():
        test = DriverTest(state="failed", failed_step="tls", reason="tls_failed", text=said)
        sentences = driver_texts.failure(test)
    assert what in sentences[0] and fix in sentences[1]


@pytest.mark.parametrize("name", ["smtp.bücher.example", "smtp.xn--bcher-kva.example"])
def test_a_stored_password_is_kept_for_a_server_in_either_spelling(
    app: Flask, admin: Person, fields: dict[str, str], name: str
) -> None:
    saved(app, admin, fields)
    change(app, update(Driver).values(host="smtp.xn--bcher-kva.example"))
    answer = admin.as_htmx("POST", PAGE, data=fields | {"host": name, "secret": "", "from_address": "nobody"})
    assert "A password is stored" in field(answer, "secret")
