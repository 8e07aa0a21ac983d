"""Send again: asks first, makes one new message that is linked to the old one, and refuses what it must not send."""

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, select, update
from werkzeug.test import TestResponse

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import LogEntry, Message, MessageBody, User
from portal.models.message import ENDED, STATES
from portal.services.accounts import launches, tenants
from portal.services.outbox import accept as outbox
from portal.services.senders import verification
from portal.transport.mime.addresses import Mailbox
from portal.transport.mime.attachments import Attachment
from tests.support.person import Arrive, Person
from tests.support.smtp_sink import SMTPSink
from tests.support.steps import drain, execute

LOG = "/settings/email/logs"


def ended(app: Flask, state: str = "failed", tenant: str = "acme", **fields: Any) -> str:
    with app.app_context():
        found = tenants.upsert(tenant)[0]
        wanted = {"kind": "order_update", "to": "carla@customer.example", "subject": "Your order 7", "text": "Hello"}
        message = outbox.accept(found, **wanted | fields)
        execute(update(Message).where(Message.id == message.id).values(state=state))
        return message.public_id


def copies(app: Flask, public_id: str) -> list[str]:
    with app.app_context():
        first = select(Message.id).where(Message.public_id == public_id).scalar_subquery()
        return list(
            db.session.scalars(select(Message.public_id).where(Message.resent_of == first).order_by(Message.id))
        )


def form_of(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(known)" value="([^"]*)"', page))


def test_the_button_asks_first_and_names_recipient_subject_and_sender(app: Flask, person: Person) -> None:
    message = ended(app)
    opened = person.get(f"{LOG}?open={message}").text
    assert f'href="{LOG}/{message}/send-again"' in opened
    page = person.get(f"{LOG}/{message}/send-again").text
    for part in ("carla@customer.example", "Your order 7", "notifications@marketplace.example"):
        assert part in page
    assert "twice" not in page
    assert copies(app, message) == []


@pytest.mark.parametrize("state", ["unconfirmed", "sent"])
def test_it_says_when_the_recipient_may_get_it_twice(app: Flask, person: Person, state: str) -> None:
    assert "twice" in person.get(f"{LOG}/{ended(app, state)}/send-again").text


def test_the_new_message_says_the_same_and_both_lead_to_one_another(app: Flask, person: Person, smtp: SMTPSink) -> None:
    files = [Attachment("a.pdf", "application/pdf", b"%PDF")]
    message = ended(app, html="<p>Hello</p>", reply_to=Mailbox("", "help@acme.example"), attachments=files,
                    to=Mailbox("Carla, C.", "carla@customer.example"), locale="de")  # fmt: skip
    answer = person.post(f"{LOG}/{message}/send-again", {"known": ""})
    (copy,) = copies(app, message)
    assert answer.status_code == 303 and f"open={copy}" in answer.location
    new = person.get(answer.location).text
    assert "is being sent again" in new and f"open={message}" in new and "The first message" in new
    old = person.get(f"{LOG}?open={message}").text
    assert f"open={copy}" in old and "Sent again as a new message by " in old
    with app.app_context():
        user = db.session.scalars(select(User)).one()
        entry = db.session.scalars(select(LogEntry).where(LogEntry.event == "resent")).one()
        assert entry.text == user.email and user.email in old
        drain()
    mail = smtp.received[-1].message
    assert (mail["Subject"], mail["Reply-To"], mail["To"]) == (
        "Your order 7", "help@acme.example", '"Carla, C." <carla@customer.example>'
    )  # fmt: skip
    assert mail["Content-Language"] == "de"
    assert [f.get_filename() for f in mail.iter_attachments()] == ["a.pdf"]
    assert mail["Message-ID"].startswith(f"<{copy.removeprefix('msg_')}@")


def test_a_form_that_comes_twice_makes_one_copy(app: Flask, person: Person) -> None:
    message = ended(app)
    form = form_of(person.get(f"{LOG}/{message}/send-again").text)
    first = person.post(f"{LOG}/{message}/send-again", form)
    second = person.post(f"{LOG}/{message}/send-again", form)
    assert len(copies(app, message)) == 1
    assert first.location.partition("&")[0] == second.location.partition("&")[0]
    assert "No second copy was made" in person.get(second.location).text


def test_a_page_that_knows_of_the_first_copy_can_make_another(app: Flask, person: Person) -> None:
    message = ended(app)
    person.post(f"{LOG}/{message}/send-again", form_of(person.get(f"{LOG}/{message}/send-again").text))
    end_all(app)
    again = person.get(f"{LOG}/{message}/send-again").text
    assert "It was sent again before" in again
    person.post(f"{LOG}/{message}/send-again", form_of(again))
    assert len(copies(app, message)) == 2


def end_all(app: Flask) -> None:
    with app.app_context():
        execute(update(Message).values(state="sent"))


def send(person: Person, message: str) -> TestResponse:
    page = person.get(f"{LOG}/{message}/send-again")
    return person.post(f"{LOG}/{message}/send-again", form_of(page.text)) if page.status_code == 200 else page


@pytest.mark.parametrize(
    ("locale", "waits", "often", "limit"),
    [
        ("en", "that copy is still on its way", "already been sent again 3 times", "The next one is possible at "),
        ("de", "diese Kopie ist noch unterwegs", "schon 3-mal erneut gesendet", "Die nächste ist möglich: "),
    ],
)
def test_why_there_is_no_further_copy_is_said_in_words(
    app: Flask, arrive: Arrive, locale: str, waits: str, often: str, limit: str
) -> None:
    person, message = arrive(locale=locale), ended(app)
    assert send(person, message).status_code == 303
    for answer in (
        send(person, message),
        person.post(f"{LOG}/{message}/send-again", {"known": copies(app, message)[-1]}),
    ):
        assert answer.status_code == 409 and waits in answer.text
    for _ in range(2):
        end_all(app)
        assert send(person, message).status_code == 303
    end_all(app)
    answer = send(person, message)
    assert answer.status_code == 409 and often in answer.text
    answer = send(person, ended(app))
    assert answer.status_code == 429 and limit in answer.text
    assert 23 * 3600 < int(answer.headers["Retry-After"]) <= 24 * 3600
    assert len(copies(app, message)) == 3


def refused(app: Flask, person: Person, message: str, sentence: str) -> None:
    assert "/send-again" not in person.get(f"{LOG}?open={message}").text
    for answer in (
        person.get(f"{LOG}/{message}/send-again"),
        person.post(f"{LOG}/{message}/send-again", {"known": ""}),
    ):
        assert answer.status_code == 409 and sentence in answer.text
    assert copies(app, message) == []


@pytest.mark.parametrize("state", sorted(set(STATES) - set(ENDED)))
def test_what_is_on_its_way_is_not_sent_again(app: Flask, person: Person, state: str) -> None:
    refused(app, person, ended(app, state), "still on its way")


def test_what_is_no_longer_stored_is_not_offered(app: Flask, person: Person) -> None:
    message = ended(app)
    with app.app_context(), transaction() as session:
        session.execute(delete(MessageBody))
    refused(app, person, message, "no longer stored")


def test_a_link_with_power_is_never_sent_again(app: Flask, person: Person) -> None:
    with app.app_context():
        launch = launches.accept(launches.make_token("acme", plan="enterprise"))
        verification.start_verification(launch.tenant, launch.user, "hello@acme.example", "Acme")
        execute(update(Message).values(state="failed"))
        message = db.session.scalars(select(Message.public_id)).one()
        assert db.session.scalars(select(MessageBody)).all() == []
    refused(app, person, message, "Emails of this kind")


def test_a_viewer_neither_sees_the_button_nor_gets_through(app: Flask, arrive: Arrive) -> None:
    viewer = arrive(role="viewer")
    message = ended(app)
    assert "/send-again" not in viewer.get(f"{LOG}?open={message}").text
    assert viewer.get(f"{LOG}/{message}/send-again").status_code == 403
    assert viewer.post(f"{LOG}/{message}/send-again", {"known": ""}).status_code == 403
    assert copies(app, message) == []


def test_another_tenants_message_is_not_found(app: Flask, person: Person, arrive: Arrive) -> None:
    arrive("rival", tenant_name="Rival")
    message = ended(app, tenant="rival")
    assert person.get(f"{LOG}/{message}/send-again").status_code == 404
    assert person.post(f"{LOG}/{message}/send-again", {"known": ""}).status_code == 404
    assert person.get(f"{LOG}/nonsense/send-again").status_code == 404
    assert copies(app, message) == []
