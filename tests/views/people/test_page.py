"""The people's page: for admins only, without JavaScript, and in the frame without cookies."""

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import Message, User
from tests.support.person import Arrive, Person

PATH = "/settings/people"


def number(app: Flask, email: str) -> int:
    with app.app_context():
        found = db.session.scalar(select(User.id).where(User.email == email))
    assert found
    return found


def role(app: Flask, email: str) -> str | None:
    with app.app_context():
        return db.session.scalar(select(User.role).where(User.email == email))


def test_an_admin_sees_who_may_come_in(person: Person, arrive: Arrive) -> None:
    arrive(email="jo@shop.example", name="Jo", role="viewer")
    assert f'href="{PATH}"' in person.get("/settings/email").text
    page = person.get(PATH).text
    for text in ("admin@shop.example", "Jo", "jo@shop.example", "Administrator", "Reader", "Last here", ">You<"):
        assert text in page
    assert "The only administrator" in page


def test_an_invitation_is_sent_and_shown_as_pending(app: Flask, person: Person) -> None:
    answer = person.post(PATH, {"address": "jo@partner.example", "role": "admin"})
    assert answer.status_code == 303
    page = person.get(answer.location).text
    assert "The invitation is on its way" in page and "Invited, not here yet" in page and "Invite again" in page
    assert "Asked to" not in page and "Invited a person" in person.get("/settings/activity").text
    with app.app_context():
        assert [(m.kind, m.to_address) for m in db.session.query(Message)] == [("invitation", "jo@partner.example")]


@pytest.mark.parametrize(
    ("address", "wanted", "sentence"),
    [
        ("nonsense", "viewer", "It needs the form name@domain"),
        ("admin@shop.example", "viewer", "in the list already"),
        ("a@b.example", "owner", "Choose what the person may do"),
    ],
)
def test_a_wrong_invitation_is_refused_and_kept(person: Person, address: str, wanted: str, sentence: str) -> None:
    for answer in (
        person.post(PATH, {"address": address, "role": wanted}),
        person.as_htmx("POST", PATH, data={"address": address, "role": wanted}),
    ):
        assert answer.status_code == 422 and sentence in answer.text and f'value="{address}"' in answer.text


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [("en", "The next one is possible at"), ("de", "Die nächste ist möglich: ")],
)
def test_invitations_to_one_mailbox_are_limited_however_it_is_spelled(
    arrive: Arrive, locale: str, sentence: str
) -> None:
    shops = [arrive(f"shop-{number}", tenant_name="Shop", locale=locale) for number in range(3)]
    spellings = ["jo@partner.example", "Jo+1@Partner.example", "jo@ｐartner.example"]
    answers = [shop.post(PATH, {"address": to, "role": "viewer"}) for shop, to in zip(shops, spellings, strict=True)]
    assert [answer.status_code for answer in answers] == [303, 303, 429]
    assert sentence in answers[2].text and 23 * 3600 < int(answers[2].headers["Retry-After"]) <= 24 * 3600


def test_a_new_role_holds_at_once(app: Flask, person: Person, arrive: Arrive) -> None:
    other = arrive(email="jo@shop.example")
    assert other.get(PATH).status_code == 200
    who = number(app, "jo@shop.example")
    assert "notice=role" in person.post(f"{PATH}/{who}/role", {"role": "viewer"}).location
    assert other.get(PATH).status_code == 403
    assert "notice=unknown" in person.post(f"{PATH}/{who}/role", {"role": "support"}).location
    assert role(app, "jo@shop.example") == "viewer"


def test_removing_asks_first_and_ends_the_session(app: Flask, person: Person, arrive: Arrive) -> None:
    other = arrive(email="jo@shop.example")
    who = number(app, "jo@shop.example")
    assert "signed out at once" in person.get(f"{PATH}/{who}/remove").text
    assert other.get("/settings/email").status_code == 200
    person.post(f"{PATH}/{who}/remove")
    assert other.get("/settings/email").status_code == 401
    assert "jo@shop.example" not in person.get(PATH).text
    assert arrive(email="jo@shop.example").get("/settings/email").status_code == 200  # the platform decides


def test_signing_out_everywhere_ends_every_session(app: Flask, person: Person, arrive: Arrive) -> None:
    other = arrive(email="jo@shop.example")
    assert "notice=signed_out" in person.post(f"{PATH}/{number(app, 'jo@shop.example')}/sign-out").location
    assert other.as_htmx("GET", "/settings/email").status_code == 401
    assert person.get(PATH).status_code == 200
    person.post(f"{PATH}/{number(app, 'admin@shop.example')}/sign-out")
    assert person.get(PATH).status_code == 401


def test_the_last_administrator_stays(app: Flask, person: Person, arrive: Arrive) -> None:
    arrive(email="jo@shop.example", role="viewer")
    who = number(app, "admin@shop.example")
    assert "no administrator any more" in person.get(f"{PATH}/{who}/remove").text
    for answer in (person.post(f"{PATH}/{who}/remove"), person.post(f"{PATH}/{who}/role", {"role": "viewer"})):
        assert "no administrator any more" in person.get(answer.location).text
    assert role(app, "admin@shop.example") == "admin"


def test_it_works_in_a_frame_without_cookies(person: Person) -> None:
    answer = person.as_htmx("POST", PATH, data={"address": "jo@partner.example", "role": "viewer"})
    assert answer.status_code == 303 and "jo@partner.example" in person.as_htmx("GET", answer.location).text


def test_it_speaks_german(arrive: Arrive) -> None:
    page = arrive(locale="de").get(PATH).text
    assert "Jemanden einladen" in page and "Zuletzt hier" in page


def test_who_is_invited_is_shown_as_people_read_it_without_what_nobody_sees(app: Flask, person: Person) -> None:
    person.post("/settings/people", {"address": "\u200bjo@bücher.example\ufeff", "role": "viewer"})
    page = person.get("/settings/people").text
    assert "jo@bücher.example" in page
    with app.app_context():
        assert [message.to_address for message in db.session.query(Message)] == ["jo@xn--bcher-kva.example"]
