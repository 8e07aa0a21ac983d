"""Email configuration: what it says, what it refuses, and in which words."""

import re
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from markupsafe import escape
from werkzeug.test import TestResponse

from portal.extensions import db
from portal.models import Message, SenderIdentity
from portal.services.accounts import tenants
from portal.services.senders import verification
from portal.services.senders.settings_page import sender_settings
from tests.support.person import Arrive, Person
from tests.support.plans import limit_plans, use_up
from tests.support.steps import accept

SETTINGS = "/settings/email"
FORM = "/settings/email/verification"


def identity(app: Flask, address: str) -> SenderIdentity:
    with app.app_context():
        return db.session.query(SenderIdentity).filter_by(address=address).one()


def confirm(app: Flask, address: str) -> None:
    with app.app_context():
        found = db.session.query(SenderIdentity).filter_by(address=address).one()
        assert verification.confirm(verification._token(found)).state == "confirmed"


def test_a_new_tenant_sends_from_the_default_and_the_page_says_so(person: Person) -> None:
    page = person.landing.text
    assert "Right now your customers get mail from" in page and "notifications@marketplace.example" in page
    assert page.count("In use") == 1
    assert "Recommended" in page and "Set up your own mail service" in page
    assert "blocked domains" in page and "reputation" in page


def test_an_address_is_asked_for_and_the_old_sender_stays(person: Person) -> None:
    answer = person.post(FORM, {"address": "hello@acme.example", "display_name": "Acme"})
    assert answer.status_code == 303
    page = person.get(answer.location).text
    assert "We sent an email to hello@acme.example" in page and "Waiting for confirmation" in page
    assert "Until then your mail still comes from Marketplace &lt;notifications@marketplace.example&gt;" in page
    assert 'hx-trigger="every 2s"' in page


def test_a_fragment_holds_the_parts_that_changed_and_no_page(person: Person) -> None:
    answer = person.as_htmx("POST", FORM, data={"address": "hello@acme.example", "display_name": "Acme"})
    assert answer.status_code == 200 and "<html" not in answer.text
    for part in ("#sender", "#ways", "#earlier", "#verification", "#notices"):
        assert f'hx-target="{part}"' in answer.text


@pytest.mark.parametrize(
    ("address", "name", "sentence"),
    [
        ("", "Acme", "Enter an email address"),
        ("   ", "Acme", "Enter an email address"),
        ("hello", "Acme", "This is not an email address"),
        ("hello@", "Acme", "not an email address"),
        ("hello@localhost", "Acme", "not a"),
        ("hello@acme.example\r\nBcc: victim@x.example", "Acme", "Line breaks are not possible here"),
        ("a" * 250 + "@acme.example", "Acme", "too long"),
        ("jürgen@acme.example", "Acme", "The part before the @ may hold only"),
        ("hello@acme.example", "ceo@bank.example", "must not look like an email address"),
        ("hello@acme.example", "Acme\x07Shop", "characters that can&#39;t be seen"),
        ("hello@acme.example", "Acme\r\nBcc: x", "characters that can&#39;t be seen"),
        ("hello@acme.example", "x" * 300, "too long"),
    ],
)
def test_bad_input_gets_one_sentence_at_its_field_and_nothing_is_lost(
    app: Flask, person: Person, address: str, name: str, sentence: str
) -> None:
    for answer in (
        person.post(FORM, {"address": address, "display_name": name}),
        person.as_htmx("POST", FORM, data={"address": address, "display_name": name}),
    ):
        assert answer.status_code == 422 and sentence in answer.text and answer.text.count('class="field-error"') == 1
        assert 'aria-invalid="true"' in answer.text and 'role="alert"' in answer.text
        assert "help@marketplace.example" in answer.text and f'value="{escape(name)}"' in answer.text
    with app.app_context():
        assert db.session.query(SenderIdentity).count() == 0
        assert db.session.query(Message).count() == 0


def test_every_reason_of_the_service_has_a_sentence_of_its_own() -> None:
    """A reason that nobody wrote a sentence for would fall back to a vague one."""
    import inspect

    from portal.services import sender_rules
    from portal.transport.mime import addresses, names
    from portal.views import forms

    source = "".join(inspect.getsource(module) for module in (addresses, names, sender_rules))
    for reason in (
        "empty", "not_an_address", "too_long", "line_break", "non_ascii_local_part",
        "no_such_domain_form", "name_too_long", "name_looks_like_address", "name_control_characters",
        "name_without_letters", "name_protected", "own_domain", "source_route",
    ):  # fmt: skip
        assert f'"{reason}"' in source, f"nothing refuses for {reason} any more"
        assert f'"{reason}"' in inspect.getsource(forms.sentence)


@pytest.mark.parametrize(("locale", "words"), [("en", "at most 78 characters"), ("de", "höchstens 78 Zeichen")])
def test_the_length_that_a_name_may_have_is_the_one_that_is_named(arrive: Arrive, locale: str, words: str) -> None:
    person = arrive(locale=locale)
    assert words in person.post(FORM, {"address": "hello@acme.example", "display_name": "x" * 79}).text
    assert person.post(FORM, {"address": "hello@acme.example", "display_name": "x" * 78}).status_code == 303


def test_an_international_domain_is_accepted(person: Person) -> None:
    assert person.post(FORM, {"address": "hallo@bücher.example", "display_name": "Bücher"}).status_code == 303
    assert "bücher.example" in person.get(SETTINGS).text or "xn--bcher-kva.example" in person.get(SETTINGS).text


def test_the_second_click_of_a_double_click_is_no_error(app: Flask, person: Person) -> None:
    typed = {"address": "hello@acme.example", "display_name": "Acme"}
    assert person.post(FORM, typed).status_code == 303
    second = person.post(FORM, typed)
    assert second.status_code == 303 and "on its way already" in person.get(second.location).text
    with app.app_context():
        assert db.session.query(Message).count() == 1


def test_too_many_mails_to_one_address_name_the_next_time(person: Person, arrive: Arrive) -> None:
    rival = arrive("rival", tenant_name="Rival")
    typed = {"address": "hello@acme.example", "display_name": "Acme"}
    assert rival.post(FORM, typed).status_code == 303
    answer = person.post(FORM, typed)
    assert answer.status_code == 429 and "The next one is possible at" in answer.text
    assert 'value="hello@acme.example"' in answer.text


def test_a_free_mail_address_is_accepted_with_a_warning(person: Person) -> None:
    assert person.post(FORM, {"address": "acme@gmail.com", "display_name": "Acme"}).status_code == 303
    warning = re.search(r'<p class="hint hint-warn">.*?</p>', person.get(SETTINGS).text, re.S)
    assert warning and "This is a free-mail address" in warning[0] and "later" not in warning[0]
    assert 'href="/settings/email/service"' in warning[0]
    refused = person.post(FORM, {"address": "acme@gmail.com", "display_name": "x@y.example"})
    assert refused.text.count("This is a free-mail address") == 2  # at the field and at the pending one


def test_a_pending_change_is_cancelled_and_its_link_is_dead(app: Flask, person: Person) -> None:
    person.post(FORM, {"address": "hello@acme.example", "display_name": "Acme"})
    number = identity(app, "hello@acme.example").id
    answer = person.post(f"{SETTINGS}/identities/{number}/cancel")
    page = person.get(answer.location).text
    assert "The change was cancelled" in page and "Waiting for confirmation" not in page
    # In another tab the button is still there: no error, just how things stand.
    again = person.post(f"{SETTINGS}/identities/{number}/cancel")
    assert "dealt with already" in person.get(again.location).text


def test_resending_too_early_says_when(app: Flask, person: Person) -> None:
    person.post(FORM, {"address": "hello@acme.example", "display_name": "Acme"})
    page = person.get(SETTINGS).text
    assert "Resend verification" in page and "possible at" in page and "data-wait=" in page
    answer = person.post(f"{SETTINGS}/identities/{identity(app, 'hello@acme.example').id}/resend")
    assert "Please wait a little" in person.get(answer.location).text


def test_an_unconfirmed_address_cannot_be_used(app: Flask, person: Person) -> None:
    person.post(FORM, {"address": "hello@acme.example", "display_name": "Acme"})
    answer = person.post(f"{SETTINGS}/identities/{identity(app, 'hello@acme.example').id}/use")
    page = person.get(answer.location).text
    assert "has to be confirmed before" in page and 'role="alert"' in page
    with app.app_context():
        tenant = tenants.find("acme")
        assert tenant is not None and sender_settings(tenant).mode == "platform"


def test_a_confirmed_address_can_be_left_and_chosen_again(app: Flask, person: Person) -> None:
    person.post(FORM, {"address": "hello@acme.example", "display_name": "Acme"})
    confirm(app, "hello@acme.example")
    number = identity(app, "hello@acme.example").id
    page = person.get(person.post(f"{SETTINGS}/default").location).text
    assert "From now on your mail comes from Marketplace" in page
    assert "Use this address" in page and "hello@acme.example" in page
    answer = person.post(f"{SETTINGS}/identities/{number}/use")
    assert "From now on your mail comes from Acme &lt;hello@acme.example&gt;" in person.get(answer.location).text


def test_a_confirmed_address_is_not_offered_where_the_plan_has_none(app: Flask, person: Person) -> None:
    person.post(FORM, {"address": "hello@acme.example", "display_name": "Acme"})
    confirm(app, "hello@acme.example")
    number = identity(app, "hello@acme.example").id
    with app.app_context():
        tenants.upsert("acme", plan="basic")
    earlier = person.get(SETTINGS).text.partition('id="earlier"')[2]
    assert "hello@acme.example" in earlier and "Use this address" not in earlier
    assert "is part of the Pro plan." in earlier
    assert person.post(f"{SETTINGS}/identities/{number}/use").status_code == 403


def test_the_poll_answers_304_until_something_changes_and_then_asks_no_more(app: Flask, person: Person) -> None:
    person.post(FORM, {"address": "hello@acme.example", "display_name": "Acme"})
    poll = f"{SETTINGS}/sender?awaited={identity(app, 'hello@acme.example').id}"
    first = person.as_htmx("GET", poll)
    tag = first.headers["HX-PTag"]
    assert first.status_code == 200 and f'hx-ptag="{tag}"' in person.get(SETTINGS).text
    assert person.as_htmx("GET", poll, headers={"HX-PTag": tag}).status_code == 304
    confirm(app, "hello@acme.example")
    changed = person.as_htmx("GET", poll, headers={"HX-PTag": tag})
    assert changed.status_code == 200
    assert "Confirmed. From now on your mail comes from Acme &lt;hello@acme.example&gt;" in changed.text
    assert "every 2s" not in changed.text


def test_an_unknown_notice_in_the_address_says_nothing(person: Person) -> None:
    page = person.get(f"{SETTINGS}?notice=<script>alert(1)</script>")
    assert page.status_code == 200 and "<script>alert" not in page.text
    assert 'role="status"' not in page.text.partition("<template")[0]


def test_names_and_addresses_are_escaped_everywhere(arrive: Arrive) -> None:
    person = arrive("evil", tenant_name="<b>Evil</b>")
    page = person.post(FORM, {"address": '"><script>x</script>', "display_name": "<i>"}).text
    for markup in ("<b>Evil", "<script>x", 'value="<i>'):
        assert markup not in page


def test_at_the_daily_limit_the_page_says_how_many_wait_and_until_when(
    app: Flask, arrive: Arrive, tmp_path: Path
) -> None:
    limit_plans(app, tmp_path, basic=2)
    person, german = (
        arrive("shop", plan="basic"),
        arrive("shop", plan="basic", sub="2", email="b@shop.example", locale="de"),
    )
    assert "emails a day" not in text_of(person.get(SETTINGS))
    with app.app_context():
        shop = tenants.find("shop")
        use_up(shop, 2)
        assert shop is not None
        for _ in range(3):
            accept(shop)
    words = text_of(person.get(SETTINGS))
    assert "Your plan's limit of 2 emails a day is reached. 3 messages wait. Nothing is lost:" in words
    assert "sending resumes automatically (" in words
    assert "Das Tageslimit Ihres Tarifs von 2 E-Mails ist erreicht." in text_of(german.get(SETTINGS))
    assert "On hold: your plan's daily limit is reached" in text_of(person.get(f"{SETTINGS}/logs"))


def text_of(answer: TestResponse) -> str:
    """What a reader reads, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def remove_url(app: Flask, address: str) -> str:
    return f"{SETTINGS}/identities/{identity(app, address).id}/remove"


def test_removing_the_sender_asks_first_and_says_what_becomes_of_the_mail(app: Flask, person: Person) -> None:
    person.post(FORM, {"address": "hello@acme.example", "display_name": "Acme"})
    confirm(app, "hello@acme.example")
    url = remove_url(app, "hello@acme.example")
    assert f'href="{url}"' in person.get(SETTINGS).text
    with app.app_context():
        accept(tenants.upsert("acme")[0])
    asked = person.get(url)
    assert asked.status_code == 200 and "Remove hello@acme.example?" in asked.text
    assert "Your customers then receive email from" in asked.text and "notifications@marketplace" in asked.text
    assert "1 waiting email will be sent from there, too." in asked.text
    assert identity(app, "hello@acme.example").state == "verified"
    answer = person.post(url)
    assert answer.status_code == 303
    page = person.get(answer.location).text
    assert "The address was removed. Your emails come from Marketplace" in page and "hello@acme.example" not in page
    assert person.post(url).location.endswith("notice=nothing_pending")
    assert person.get(url).location.endswith("notice=nothing_pending")
    assert "Removed a sender address" in person.get("/settings/activity").text


def test_an_address_that_is_not_in_use_is_removed_just_so(app: Flask, person: Person) -> None:
    person.post(FORM, {"address": "hello@acme.example", "display_name": "Acme"})
    confirm(app, "hello@acme.example")
    person.post(f"{SETTINGS}/default")
    url = remove_url(app, "hello@acme.example")
    assert f'href="{url}"' in person.get(SETTINGS).text
    assert "It isn't in use now" in person.get(url).text
    assert person.as_htmx("POST", url).status_code == 200
    assert "hello@acme.example" not in person.get(SETTINGS).text


def test_a_viewer_is_offered_no_removal(app: Flask, person: Person, arrive: Arrive) -> None:
    person.post(FORM, {"address": "hello@acme.example", "display_name": "Acme"})
    confirm(app, "hello@acme.example")
    viewer = arrive("acme", role="viewer", email="v@shop.example", sub="v")
    assert "/remove" not in viewer.get(SETTINGS).text
    assert viewer.get(remove_url(app, "hello@acme.example")).status_code == 403


def test_what_a_recipient_took_back_is_told_and_refused_with_the_day(app: Flask, person: Person) -> None:
    person.post(FORM, {"address": "hello@acme.example", "display_name": "Acme"})
    number = identity(app, "hello@acme.example").id
    tag = person.as_htmx("GET", f"{SETTINGS}/sender?awaited={number}").headers["HX-PTag"]
    with app.app_context():
        verification.take_back(verification._token(db.session.get_one(SenderIdentity, number)))
    polled = person.as_htmx("GET", f"{SETTINGS}/sender?awaited={number}", headers={"HX-PTag": tag})
    assert polled.status_code == 200 and "told us that they didn" in polled.text
    assert "Waiting for confirmation" not in polled.text
    again = person.post(FORM, {"address": "hello@acme.example", "display_name": "Acme"})
    assert again.status_code == 422 and "You can try again after" in again.text
    assert 'value="hello@acme.example"' in again.text
