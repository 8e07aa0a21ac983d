"""The log as CSV: what the page shows, as a file that a spreadsheet opens safely."""

import csv
import gc
import io
import re
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import insert

from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Message, utcnow
from portal.services.accounts import tenants
from portal.services.outbox import log_export
from portal.views.csv_files import harmless
from portal.web import session
from tests.support.person import Arrive, Person
from tests.views.log.test_page import accept

CSV = "/settings/email/logs.csv"


def rows(answer: object, delimiter: str = ",") -> list[dict[str, str]]:
    page = answer.get_data().decode("utf-8-sig")  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(page, newline=""), delimiter=delimiter))


def test_a_row_says_what_the_page_says(app: Flask, person: Person) -> None:
    with app.app_context():
        tenants.upsert("acme", name="Acme Shop", timezone="Europe/Berlin")
    at = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    number = accept(
        app, 'Your order 7, "Größe M"', state="failed", reason="unknown_recipient", accepted_at=at,
        finished_at=at + timedelta(seconds=3), sender="Acme <hello@acme.example>",
    )  # fmt: skip
    answer = person.get(CSV)
    assert answer.status_code == 200 and answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="email-log-')
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.get_data().startswith(b"\xef\xbb\xbf")
    assert rows(answer) == [
        {
            "Accepted at": "2026-07-01T14:00:00+02:00", "Message number": number, "Kind": "Order update",
            "Kind (key)": "order_update", "Recipient": "carla@customer.example", "Subject": 'Your order 7, "Größe M"',
            "Reference": "",
            "Sender": "Acme <hello@acme.example>", "State": "Failed: this address does not exist",
            "State (key)": "failed", "Reason (key)": "unknown_recipient", "Ended at": "2026-07-01T14:00:03+02:00",
        }
    ]  # fmt: skip


def test_in_german_the_words_are_german_and_semicolons_stand_between_them(app: Flask, arrive: Arrive) -> None:
    person = arrive(locale="de")
    accept(app, "Ihre Bestellung; Nr. 7", state="sent")
    (row,) = rows(person.get(CSV), ";")
    assert (row["Betreff"], row["Art"]) == ("Ihre Bestellung; Nr. 7", "Bestellinformation")


def test_it_honours_the_filters(app: Flask, person: Person) -> None:
    accept(app, "A")
    accept(app, "B", state="sent")
    accept(app, "C", kind="customer_message", to="anna@customer.example")
    accept(app, "D", accepted_at=utcnow() - timedelta(days=3))

    def found(query: str = "") -> list[str]:
        return [row["Subject"] for row in rows(person.get(f"{CSV}?{query}"))]

    assert found() == ["D", "C", "B", "A"]
    assert found("state=sent") == ["B"]
    assert found("kind=customer_message") == ["C"]
    assert found("state=sent&kind=customer_message") == []
    assert person.get(f"{CSV}?state=nope").status_code == 400
    answer = person.post(CSV, {"recipient": "anna@customer.example", "state": "queued"})
    assert [row["Subject"] for row in rows(answer)] == ["C"]


def test_an_address_in_the_url_is_not_read(app: Flask, person: Person) -> None:
    accept(app, "A")
    assert len(rows(person.get(f"{CSV}?recipient=nobody@customer.example"))) == 1


def test_without_any_cookie_the_forms_body_brings_the_session(app: Flask, person: Person) -> None:
    accept(app, "A")
    client = app.test_client(use_cookies=False)
    answer = client.post(CSV, data={session.FIELD: person.bearer})
    assert [row["Subject"] for row in rows(answer)] == ["A"]
    assert client.post(CSV, data={session.FIELD: "nonsense"}).status_code == 401
    assert client.get(CSV).status_code == 401


def test_a_viewer_may_download(arrive: Arrive) -> None:
    assert arrive(role="viewer").post(CSV).status_code == 200


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "＝1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    assert harmless("Order = 7") == "Order = 7"


def test_a_subject_that_is_a_formula_is_text(app: Flask, person: Person) -> None:
    accept(app, '=HYPERLINK("https://evil.example";"Invoice")')
    assert rows(person.get(CSV))[0]["Subject"].startswith("'=HYPERLINK")


FORMULA = re.compile(r"[\s\ufeff\"]*[=+\-@＝＋－＠]")


OPENED_ELSEWHERE = [
    "=1+1", "a;=1+1", "a,=1+1", 'a;"=1+1"', 'a,"=1+1"', '";=1+1', '",=1+1', "a; \t=1+1", "a;;=1+1", "a,;+1",
    "a;@SUM(A1)", "a;＝1", '"";""=1', 'a"\n=1+1', "a\r=1+1", "a\r\n-1", "a\x85=1", "a;\n=1", "a;'=1",
    "a;" + " " * 150 + "=1",
]  # fmt: skip


@pytest.mark.parametrize("locale", ["en", "de"])
@pytest.mark.parametrize("opened_with", [",", ";"])
@pytest.mark.parametrize("subject", OPENED_ELSEWHERE)
def test_no_cell_is_a_formula_however_the_file_is_opened(
    app: Flask, arrive: Arrive, locale: str, opened_with: str, subject: str
) -> None:
    """A file for commas is opened where semicolons stand between cells, and the other way round."""
    person = arrive(locale=locale)
    accept(app, subject)
    page = person.get(CSV).get_data().decode("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(page, newline=""), delimiter=opened_with) for cell in row]
    assert not [cell for cell in cells if FORMULA.match(cell)]


def test_a_list_of_words_stays_as_it_is(app: Flask, person: Person) -> None:
    accept(app, "Order 7; 2 boxes, 10-12 kg = heavy")
    assert rows(person.get(CSV))[0]["Subject"] == "Order 7; 2 boxes, 10-12 kg = heavy"


def fill(app: Flask, count: int) -> None:
    with app.app_context():
        found = tenants.upsert("acme")[0]
        with transaction() as write:
            write.execute(
                insert(Message),
                [
                    {
                        "tenant_id": found.id, "kind": "order_update", "to_address": "a@b.example",
                        "subject": str(number), "message_id": "<x>", "expires_at": utcnow(),
                        "route": "none", "state": "sent",
                    }
                    for number in range(count)
                ],
            )  # fmt: skip


def test_thousands_of_rows_stream_in_batches_each_once(app: Flask, person: Person) -> None:
    fill(app, 3 * log_export.BATCH)
    answer = person.get(CSV)
    assert [int(row["Subject"]) for row in rows(answer)] == list(range(3 * log_export.BATCH - 1, -1, -1))


def test_memory_stays_that_of_a_batch_and_nothing_stays_open_between_them(app: Flask, person: Person) -> None:
    fill(app, 6_000)
    answer = person.get(CSV, buffered=False)
    parts = iter(answer.response)
    size = len(next(parts)) + len(next(parts))
    gc.collect()
    tracemalloc.start()
    for _ in range(5):
        size += len(next(parts))
        with app.app_context():
            assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    first = tracemalloc.get_traced_memory()[1]
    gc.collect()
    tracemalloc.reset_peak()
    size += sum(len(part) for part in parts)
    assert tracemalloc.get_traced_memory()[1] < first * 2
    tracemalloc.stop()
    assert size > 6_000 * 80
    answer.close()
