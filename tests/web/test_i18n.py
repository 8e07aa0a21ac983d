"""No sentence outside of the catalogue, each in its reader's language; bin/translations finds what is missing."""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from babel.support import NullTranslations
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

import portal
from portal.extensions import db
from portal.models import LogEntry, Message
from portal.services.accounts import tenants
from portal.services.outbox import accept as outbox
from portal.web import i18n
from tests.support.person import Arrive, Person

ROOT = Path(portal.__file__).parent
KEYWORDS = {"_", "gettext", "lazy_gettext", "N_", "ngettext"}


def catalogue(locale: str) -> Catalog:
    with (ROOT / "translations" / locale / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=locale)


def test_no_text_hides_in_an_f_string() -> None:
    """Before Python 3.12 an f-string is a single token, and what is asked for within it is never extracted."""
    for file in ROOT.rglob("*.py"):
        strings = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.JoinedStr)]
        calls = [node for string in strings for node in ast.walk(string) if isinstance(node, ast.Call)]
        hidden = [ast.unparse(call) for call in calls if isinstance(call.func, ast.Name) and call.func.id in KEYWORDS]
        assert hidden == [], file


@pytest.mark.parametrize("locale", [locale for locale in i18n.LOCALES if locale != i18n.DEFAULT])
def test_translations_keep_every_placeholder(locale: str) -> None:
    for message in catalogue(locale):
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        strings = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
        for text, translation in zip(ids, strings, strict=False):
            names = re.compile(r"%\(\w+\)[sd]")
            assert sorted(names.findall(text)) == sorted(names.findall(translation)), text


def test_a_page_compiled_for_one_language_is_never_shown_in_another(arrive: Arrive) -> None:
    english, german = arrive("one", locale="en"), arrive("two", locale="de")
    for _ in range(2):  # the second time from what is kept
        assert "Three ways to send" in english.get("/settings/email").text
        assert "Drei Wege zu senden" in german.get("/settings/email").text
        assert "Three ways" not in german.get("/settings/email").text
        assert "All states" in english.get("/settings/email/logs").text
        assert "All states" not in german.get("/settings/email/logs").text


def test_what_is_put_into_a_text_of_a_template_is_escaped(app: Flask, arrive: Arrive) -> None:
    with app.app_context():
        tenant, _ = tenants.upsert("acme", name="ACME", plan="enterprise")
        mail = outbox.accept(tenant, kind="order_update", to="x@y.example", subject="x", text="x")
        entry = db.session.scalars(select(LogEntry).where(LogEntry.message_id == mail.id)).first()
        assert entry is not None
        entry.sender = "<b>100%</b>"
        db.session.commit()
        opened = f"/settings/email/logs?open={mail.public_id}"
    page = arrive().get(opened).text
    assert "Sender: &lt;b&gt;100%&lt;/b&gt;" in page


def test_german_speaks_formally() -> None:
    for message in catalogue("de"):
        text = message.string if isinstance(message.string, str) else " ".join(message.string)
        if message.id:
            assert not re.search(r"\b(du|dir|dich|dein\w*)\b", text, re.IGNORECASE), text


class Shouting(NullTranslations):
    """A made-up language: what comes from the catalogue has its small letters turned into capitals."""

    def _shout(self, text: str) -> str:
        return "".join(part if part.startswith("%") else part.upper() for part in re.split(r"(%\(\w+\)[sd])", text))

    def ugettext(self, message: str) -> str:
        return self._shout(message)

    gettext = ugettext

    def ungettext(self, singular: str, plural: str, num: int) -> str:
        return self._shout(singular if num == 1 else plural)

    ngettext = ungettext


class Texts(HTMLParser):
    """What a person reads or hears of a page."""

    SPOKEN = ("aria-label", "placeholder", "alt", "title")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.skipping = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self.skipping += 1
        if tag != "time":
            self.found += [value for name, value in attrs if name in self.SPOKEN and value]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.skipping -= 1

    def handle_data(self, data: str) -> None:
        if not self.skipping and data.strip():
            self.found.append(data.strip())


# What a page may hold in small letters: data, names of languages and of the product, times.
DATA = re.compile(
    r"[\w.+-]+@[\w.-]+|https?://\S+|msg_\w+|Absender|Marketplace|English|Deutsch|"
    r"\d+ (second|minute|hour)s? ago|[Ee]nterprise|[A-Z][a-z]{2} \d+, \d{4}|\b\d[\d:., ]*\s?[AP]M\b"
)


@pytest.fixture
def shouting(app: Flask, arrive: Arrive, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    person = arrive(tenant_name="ACME")
    monkeypatch.setattr("flask_babel.Domain.get_translations", lambda self: Shouting())
    monkeypatch.setattr("portal.services.emails.environment.translations", lambda locale: Shouting())
    yield person


def test_no_page_holds_a_literal_outside_of_the_catalogue(app: Flask, shouting: Person) -> None:
    person = shouting
    with app.app_context():
        tenant = tenants.upsert("acme")[0]
        about = {"kind": "order_update", "to": "x@y.example", "subject": "SUBJECT", "text": "x"}
        opened = outbox.accept(tenant, **about).public_id
        ended = outbox.accept(tenant, **about).public_id
        db.session.execute(update(Message).where(Message.public_id == ended).values(state="unconfirmed"))
        db.session.commit()
    person.post("/settings/email/verification", {"address": "hello@gmail.com", "display_name": "ACME"})
    pages = [
        person.get("/settings/email?notice=sent"),
        person.post("/settings/email/verification", {"address": "", "display_name": ""}),
        person.get(f"/settings/email/logs?open={opened}"),
        person.get(f"/settings/email/logs/{ended}/send-again"),
        person.get(f"/settings/email/logs/{opened}/send-again"),
        person.get("/settings/email/logs?state=failed"),
        person.get("/settings/email/logs?state=NOPE"),
        person.get("/nothing"),
        person.get("/verify/x"),
        app.test_client().get("/"),
        app.test_client().get("/settings/email"),
        app.test_client().get("/launch"),
    ]
    assert_no_literals(pages)


def test_no_page_of_support_holds_one_either(app: Flask, arrive: Arrive, monkeypatch: pytest.MonkeyPatch) -> None:
    with app.app_context():
        tenant, _ = tenants.upsert("ACME", name="ACME", plan="enterprise")
        sent = outbox.accept(tenant, kind="order_update", to="x@y.example", subject="SUBJECT", text="x").public_id
    sam = arrive("", role="support", email="sam@marketplace.example", tenant_name="", plan=None)
    monkeypatch.setattr("flask_babel.Domain.get_translations", lambda self: Shouting())
    monkeypatch.setattr("portal.services.emails.environment.translations", lambda locale: Shouting())
    shop = "/support/tenants/ACME"
    assert_no_literals(
        [
            sam.get("/support"),
            sam.post("/support/shops", {"shop": "acme"}),
            sam.post("/support/shops", {"shop": "zebra"}),
            sam.post("/support/messages", {"message": "x@y.example"}),
            sam.post("/support/messages", {"message": "zebra"}),
            sam.get(shop),
            sam.get(f"{shop}/logs?open={sent}"),
            sam.get(f"{shop}/activity"),
            sam.get("/support/tenants/nobody"),
            sam.get("/settings/email"),
        ]
    )


def assert_no_literals(pages: list[TestResponse]) -> None:
    for page in pages:
        texts = Texts()
        texts.feed(page.text)
        literal = [text for text in texts.found if re.search(r"[a-z]{2}", DATA.sub("", text))]
        assert literal == [], page.request.path


def test_the_language_is_the_persons_then_the_launchs_then_the_browsers(app: Flask, arrive: Arrive) -> None:
    person = arrive(locale="de")
    assert '<html lang="de"' in person.landing.text
    assert person.post("/preferences/locale", {"locale": "en"}).status_code == 303
    assert '<html lang="en"' in person.get("/settings/email").text
    assert '<html lang="en"' in arrive(locale="de").landing.text  # the choice is kept
    assert '<html lang="de"' in app.test_client().get("/", headers={"Accept-Language": "de-CH"}).text
    assert '<html lang="en"' in app.test_client().get("/", headers={"Accept-Language": "fr"}).text


def test_an_unknown_language_is_refused_with_a_sentence(person: Person) -> None:
    answer = person.post("/preferences/locale", {"locale": "xx"})
    assert answer.status_code == 400 and "This language isn&#39;t available" in answer.text
