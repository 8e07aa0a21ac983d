"""Who may frame a page, and whose request it is, however the origin is spelled."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from portal.db.transaction import transaction
from portal.models import Tenant
from portal.services.accounts import tenants
from portal.services.errors import InvalidField
from tests.support.person import Arrive
from tests.support.settings import configure

DASHBOARD = "https://dashboard.example"
SPELLINGS = [
    "HTTPS://Dashboard.EXAMPLE",
    f"{DASHBOARD}:443",
    f"{DASHBOARD}/",
    f"{DASHBOARD}.",
    "https://d%61shboard.example",
]


def framed_by(answer: object) -> str:
    found = re.search(r"frame-ancestors (.*)", answer.headers["Content-Security-Policy"])  # type: ignore[attr-defined]
    assert found
    return found[1]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_parent_is_on_the_list_in_every_spelling(app: Flask, arrive: Arrive, spelling: str) -> None:
    with app.app_context():
        tenants.upsert("acme", name="Acme Shop", frame_ancestors=[DASHBOARD])
    landing = arrive(parent=spelling).landing
    assert framed_by(landing) == DASHBOARD
    assert f'name="portal-parent" content="{DASHBOARD}"' in landing.text  # where its messages go


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_list_names_a_parent_in_every_spelling_stored_before_or_now(
    app: Flask, arrive: Arrive, spelling: str
) -> None:
    with app.app_context():
        tenant, _ = tenants.upsert("acme", name="Acme Shop", frame_ancestors=[spelling, DASHBOARD])
        assert tenant.frame_ancestors == [DASHBOARD]
        with transaction() as session:  # as an earlier version kept it
            session.execute(update(Tenant).values(frame_ancestors=[spelling]))
    assert framed_by(arrive(parent=DASHBOARD).landing) == DASHBOARD
    assert framed_by(arrive().landing) == DASHBOARD


def test_a_dashboard_with_letters_of_its_own_language_is_the_same_by_its_a_label(app: Flask, arrive: Arrive) -> None:
    with app.app_context():
        tenants.upsert("acme", name="Acme Shop", frame_ancestors=["https://bücher.example"])
    assert framed_by(arrive(parent="https://XN--BCHER-KVA.example").landing) == "https://xn--bcher-kva.example"
    assert framed_by(arrive(parent="https://buecher.example").landing) == "'none'"


def test_a_list_holds_origins_only(ctx: Flask) -> None:
    for text in ("https://*.example", "https://a.example; script-src *", "https://a.example/page"):
        with pytest.raises(InvalidField):
            tenants.upsert("acme", name="Acme Shop", frame_ancestors=[text])


@pytest.mark.parametrize(
    ("base", "origin", "status"),
    [
        ("https://portal.example", "https://portal.example:443", 303),
        ("https://portal.example:443", "https://PORTAL.example", 303),
        ("https://portal.example.", "https://portal.example", 303),
        ("https://portal.example", "https://portal.example:8443", 403),
        ("https://portal.example", "https://evil.example", 403),
        ("https://portal.example", "null", 403),
    ],
)
def test_a_form_of_our_own_is_known_by_its_origin_in_every_spelling(
    arrive: Arrive, base: str, origin: str, status: int
) -> None:
    person = arrive()
    form = {"portal_session": person.bearer}
    answer = person.app.test_client().post("/open", data=form, headers={"Origin": origin}, base_url=base)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("base", "referer", "status"),
    [
        ("https://portal.example:443", "https://portal.example/settings/email?open=1", 303),
        ("https://portal.example", "https://PORTAL.example:443", 303),
        ("https://inner.example", "https://mail.marketplace.example/settings/email", 303),  # a proxy rewrites Host
        ("https://portal.example", "http://portal.example/settings/email", 403),  # whoever sits on the line
        ("https://portal.example", "https://evil.example/https://portal.example/", 403),
        ("https://portal.example", "http://[", 403),
    ],
)
def test_a_page_of_our_own_is_known_by_its_referer_in_every_spelling(
    app: Flask, arrive: Arrive, base: str, referer: str, status: int
) -> None:
    configure(app, base_url="https://mail.marketplace.example")
    person = arrive()
    client = app.test_client()
    client.post("/open", data={"portal_session": person.bearer}, base_url=base)  # the cookies, for this host
    csrf = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/settings/email", base_url=base).text)
    assert csrf
    form = {"csrf_token": csrf[1], "locale": "de"}
    answer = client.post("/preferences/locale", data=form, headers={"Referer": referer}, base_url=base)
    assert answer.status_code == status


def test_a_mailed_links_button_is_known_by_its_origin_in_every_spelling(app: Flask, client: FlaskClient) -> None:
    configure(app, base_url="https://Portal.example:443")
    for origin, status in (
        ("https://portal.example", 200),
        ("http://portal.example", 403),
        ("https://evil.example", 403),
    ):
        answer = client.post("/verify/x", headers={"Origin": origin}, base_url="http://inner.example")
        assert (answer.status_code == 403) == (status == 403), origin
