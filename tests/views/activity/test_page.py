"""Activity: a tenant's admins read what was changed, in words and as a file; nobody else does."""

import csv
import io

from flask import Flask

from portal.services import audit
from portal.views import csv_files
from portal.views.activity import texts as activity_texts
from tests.support.person import Arrive, Person

PATH = "/settings/activity"


def test_every_action_has_its_words() -> None:
    assert set(activity_texts.ACTIONS) == set(audit.Action)


def test_an_admin_reads_who_changed_what(person: Person) -> None:
    person.post("/settings/email/verification", {"address": "hello@acme.example", "display_name": "Acme"})
    page = person.get(PATH).text
    assert "Asked to confirm a sender address" in page and "hello@acme.example" in page
    assert "admin@shop.example" in page and "Administrator" in page
    assert "Your marketplace" in page and "Set up the shop" in page


def test_german_says_the_same(arrive: Arrive) -> None:
    page = arrive(locale="de").get(PATH).text
    assert "Aktivitäten" in page and "Shop eingerichtet" in page


def test_another_tenants_entries_are_nowhere(person: Person, arrive: Arrive) -> None:
    rival = arrive("rival", tenant_name="Rival")
    rival.post("/settings/email/verification", {"address": "secret@rival.example", "display_name": "R"})
    for page in (person.get(PATH), person.get(f"{PATH}?before=99999999999999999999"), person.post(f"{PATH}.csv")):
        assert page.status_code == 200 and "rival" not in page.text.lower()


def test_the_file_holds_everything_and_no_formula(person: Person) -> None:
    person.post("/settings/email/verification", {"address": "hello@acme.example", "display_name": "=SUM(1)"})
    answer = person.client.post(f"{PATH}.csv", data={"csrf_token": person.csrf})
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="activity-')
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix(csv_files.BOM))))
    assert [row["What (key)"] for row in rows] == ["sender_started", "tenant_created"]
    assert rows[0]["After"] == "Display name: =SUM(1)"  # begins with its name
    assert rows[0]["Subject"] == "hello@acme.example" and rows[0]["Who"] == "admin@shop.example"


def test_the_file_comes_in_a_frame_without_cookies(app: Flask, person: Person) -> None:
    answer = app.test_client(use_cookies=False).post(f"{PATH}.csv", data={"portal_session": person.bearer})
    assert answer.status_code == 200 and "tenant_created" in answer.text
