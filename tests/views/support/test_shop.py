"""Support's pages: read-only, told to the shop; nobody else gets in, and nothing can be changed."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal.extensions import db
from portal.models import AuditEntry, Base, SenderIdentity, User
from portal.services.accounts import staff as staff_service
from portal.services.accounts import tenants
from portal.services.outbox import accept as outbox
from portal.services.senders import verification
from portal.views.activity import texts as activity_texts
from portal.web import access
from tests.services.test_audit import SECRET, store_driver
from tests.support.person import Arrive, Person
from tests.views.test_sign_in import ask

HOME = "/support"
SHOP = f"{HOME}/tenants/acme"
SEARCHED = "jo@customer.example"
VIEWS = (
    SHOP,
    f"{SHOP}/sender",
    f"{SHOP}/service/status",
    f"{SHOP}/logs",
    f"{SHOP}/logs/rows",
    f"{SHOP}/activity",
    f"{SHOP}/people",
)


@pytest.fixture
def shop(app: Flask) -> str:
    """A shop with all that there is to see; returns its message's id."""
    with app.app_context():
        tenant, _ = tenants.upsert("acme", name="Acme <Shop>", plan="enterprise", timezone="Europe/Berlin")
        admin = User(tenant_id=tenant.id, subject="a", email="admin@shop.example", role="admin")
        db.session.add(admin)
        db.session.commit()
        store_driver(tenant, admin)
        verification.start_verification(tenant, admin, "hello@acme.example", "Acme")
        sent = outbox.accept(tenant, kind="order_update", to=SEARCHED, subject="Order 17", text="x", html=None)
        return sent.public_id


@pytest.fixture
def sam(shop: str, arrive: Arrive) -> Person:
    return arrive("", role="support", email="sam@marketplace.example", name="Sam", tenant_name="", plan=None)


def looks(app: Flask) -> list[str]:
    with app.app_context():
        asked = select(AuditEntry.subject).where(AuditEntry.action == "support_viewed").order_by(AuditEntry.id)
        return list(db.session.scalars(asked))


def rows(app: Flask) -> dict[str, list[Any]]:
    """All that the database holds but the trail."""
    with app.app_context():
        return {
            table.name: sorted(db.session.execute(select(table)).all(), key=repr)
            for table in Base.metadata.sorted_tables
            if table.name != "audit"
        }


def support_routes(app: Flask) -> list[tuple[str, str]]:
    with app.app_context():
        return [
            (method, rule.rule.replace("<tenant_id>", "acme").replace("<int:identity_id>", "1"))
            for rule in app.url_map.iter_rules()
            if rule.rule.startswith(HOME)
            for method in sorted(rule.methods - {"OPTIONS"})  # type: ignore[operator]
        ]


def test_every_route_below_support_is_for_support_alone(app: Flask) -> None:
    with app.app_context():
        rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith(HOME)]
        assert len(rules) >= 12
        assert {access.declared(rule.endpoint).rule for rule in rules} == {"support"}  # type: ignore[union-attr]


@pytest.mark.parametrize("role", ["anonymous", "viewer", "admin", "admin of another shop"])
def test_nobody_else_gets_in(app: Flask, shop: str, arrive: Arrive, role: str) -> None:
    """Nor learns which shops there are: one that doesn't exist answers alike."""
    client: Callable[..., Any] = app.test_client().open
    if role != "anonymous":
        person = arrive("rival" if "another" in role else "acme", role=role.split()[0], tenant_name="Mine")
        client = lambda path, method: person.as_htmx(method, path)  # noqa: E731
    expected = 401 if role == "anonymous" else 403
    asked = support_routes(app)
    for method, path in [*asked, ("GET", f"{SHOP}/logs?open={shop}"), ("GET", f"{HOME}/tenants/nobody")]:
        answer = client(path, method=method)
        assert answer.status_code == expected, (method, path)
        assert "Order 17" not in answer.text and SEARCHED not in answer.text and "mail.acme" not in answer.text
        if role != "anonymous" and method != "HEAD":
            assert "for the marketplace&#39;s support" in answer.text
    assert looks(app) == []


def test_staff_is_refused_at_the_shops_own_pages(app: Flask, sam: Person) -> None:
    before = rows(app)
    with app.app_context():
        own = [r for r in app.url_map.iter_rules() if access.declared(r.endpoint).rule in ("viewer", "admin")]  # type: ignore[union-attr]
    for rule in own:
        path = re.sub(r"<[^>]*>", "1", rule.rule)
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):  # type: ignore[operator]
            answer = sam.as_htmx(method, path)
            assert answer.status_code == 403, (method, path)
            assert "signed in as support" in answer.text
    assert len(own) >= 20 and rows(app) == before


def test_nothing_below_support_changes_anything(app: Flask, sam: Person) -> None:
    """Whatever is sent there; but for the trail, which says that somebody has looked."""
    before = rows(app)
    fields = {"address": "x@y.example", "display_name": "X", "recipient": SEARCHED, "shop": "a", "message": SEARCHED}
    for method, path in support_routes(app):
        for way in (method, "POST", "PUT", "DELETE"):
            sam.as_htmx(way, path, data=fields)
    assert rows(app) == before and before["driver"]


def test_support_takes_a_sender_address_back_and_the_shop_reads_it(
    app: Flask, sam: Person, arrive: Arrive, shop: str
) -> None:
    with app.app_context():
        identity = db.session.scalars(select(SenderIdentity)).one()
        verification.confirm(verification._token(identity))
        url = f"{SHOP}/identities/{identity.id}/remove"
    assert f'href="{url}"' in sam.get(SHOP).text
    asked = sam.get(url)
    assert asked.status_code == 200 and "Take hello@acme.example back from this shop?" in asked.text
    assert f'action="{url}"' in asked.text and f'href="{SHOP}"' in asked.text and "/settings/" not in asked.text
    done = sam.post(url)
    assert done.status_code == 303 and done.location == f"{SHOP}?notice=revoked"
    page = sam.get(done.location).text
    assert "The shop can&#39;t send from this address any more." in page and url not in page
    assert sam.post(url).location == sam.get(url).location == f"{SHOP}?notice=nothing_pending"
    admin = arrive("acme")
    assert "Support has taken back hello@acme.example" in admin.get("/settings/email").text
    trail = admin.get("/settings/activity").text
    assert "Took a sender address back as support" in trail and "sam@marketplace.example" in trail


def test_support_begins_with_what_recipients_reported(app: Flask, sam: Person) -> None:
    assert "Recipients who didn't ask" not in sam.get(HOME).text
    with app.app_context():
        verification.take_back(verification._token(db.session.scalars(select(SenderIdentity)).one()))
    page = sam.get(HOME).text
    assert "Recipients who didn't ask" in page and f'href="{SHOP}/activity"' in page and "hello@acme" not in page
    assert "told us that they didn" in sam.get(SHOP).text


def test_a_launch_as_support_lands_with_the_shops(sam: Person) -> None:
    assert f'<meta name="portal-url" content="{HOME}">' in sam.landing.text
    assert "Find the shop" in sam.landing.text and "read-only" not in sam.landing.text
    assert sam.get("/").location == HOME


def test_a_shop_is_found_and_leads_to_its_settings(sam: Person) -> None:
    found = sam.post(f"{HOME}/shops", {"shop": "acme"})
    assert "1 shop found" in found.text and f'href="{SHOP}"' in found.text and "Acme &lt;Shop&gt;" in found.text
    assert "1 shop found" in sam.post(f"{HOME}/shops", {"shop": "HELLO@acme.example"}).text
    nothing = sam.post(f"{HOME}/shops", {"shop": "zebra"}).text
    assert "No shop found" in nothing and 'value="zebra"' in nothing
    for path in ("shops", "messages"):
        assert sam.get(f"{HOME}/{path}").location == HOME


def test_a_message_is_found_and_leads_to_its_timeline(app: Flask, sam: Person, shop: str) -> None:
    found = sam.post(f"{HOME}/messages", {"message": SEARCHED})
    link = f"{SHOP}/logs?open={shop}"
    assert "1 message found" in found.text and f'href="{link}"' in found.text and "Order 17" in found.text
    assert looks(app) == ["search"]
    opened = sam.get(link).text
    assert "What happened" in opened and "Taken into the outbox" in opened
    assert "Send again" not in opened and "Download as CSV" not in opened
    assert looks(app) == ["search", "log", shop]
    assert "No message found" in sam.post(f"{HOME}/messages", {"message": "nobody@customer.example"}).text


def test_settings_show_everything_but_secrets_and_no_form(sam: Person) -> None:
    page = sam.get(SHOP).text
    for shown in ("mail.acme.example:587", "acme", "Enterprise", "hello@acme.example", "Europe/Berlin", "Working",
                  "shop@acme.example", "messages in the last 24 hours"):  # fmt: skip
        assert shown in page, shown
    assert SECRET not in page
    forms = re.findall(r'<form[^>]* action="([^"]*)"', page)
    assert sorted(set(forms)) == ["/open", "/preferences/locale"]
    assert "/settings/" not in page  # no way leads into the shop's own pages


@pytest.mark.parametrize("path", [SHOP, f"{SHOP}/logs", f"{SHOP}/activity", f"{SHOP}/people"])
def test_the_bar_says_whose_pages_these_are_and_leads_back(sam: Person, path: str) -> None:
    page = sam.get(path).text
    assert "Viewing Acme &lt;Shop&gt;, read-only" in page
    assert re.search(r'<aside class="viewing" aria-label="Support">.*role="status".*href="/support"', page, re.DOTALL)
    for tab in (SHOP, f"{SHOP}/logs", f"{SHOP}/activity", f"{SHOP}/people"):
        assert f'<a href="{tab}"' in page
    assert "/settings/" not in page


def test_german_says_the_same(sam: Person) -> None:
    sam.post("/preferences/locale", {"locale": "de", "next": SHOP})
    assert "Ansicht von Acme &lt;Shop&gt;, nur lesen" in sam.get(SHOP).text
    assert "Shop suchen" in sam.get(HOME).text


def test_the_log_is_live_and_keeps_its_filters_below_support(sam: Person, shop: str) -> None:
    page = sam.get(f"{SHOP}/logs?state=queued").text
    assert f'hx-get="{SHOP}/logs/rows"' in page and f"{SHOP}/logs?state=queued&amp;open={shop}" in page
    with time_machine.travel(time.time(), tick=False):  # so that the quarter of a minute is the same for both
        first = sam.as_htmx("GET", f"{SHOP}/logs/rows")
        again = sam.as_htmx("GET", f"{SHOP}/logs/rows", headers={"HX-PTag": first.headers["HX-PTag"]})
    assert first.status_code == 200 and "Order 17" in first.text
    assert again.status_code == 304
    searched = sam.post(f"{SHOP}/logs/search", {"recipient": SEARCHED}).text
    assert "Order 17" in searched and f'hx-post="{SHOP}/logs/rows"' in searched
    assert sam.post(f"{SHOP}/logs/search", {"recipient": ""}).location == f"{SHOP}/logs"
    assert sam.get(f"{SHOP}/logs/search").location == f"{SHOP}/logs"
    assert sam.get(f"{SHOP}/logs?state=nope").status_code == 400


def test_each_view_is_in_the_trail_once_however_often_it_is_polled(app: Flask, sam: Person, shop: str) -> None:
    for _ in range(3):
        for path in VIEWS:
            assert sam.as_htmx("GET", path).status_code == 200, path
        sam.as_htmx("GET", f"{SHOP}/logs/rows?open={shop}")
        sam.as_htmx("POST", f"{SHOP}/logs/rows", data={"recipient": SEARCHED})
    assert looks(app) == ["settings", "log", "activity", "people", shop, "search"]


def test_what_shows_nothing_leaves_no_entry(app: Flask, sam: Person) -> None:
    assert sam.get(f"{SHOP}/logs?state=nope").status_code == 400
    assert sam.get(f"{SHOP}/logs?open=msg_{'a' * 26}").status_code == 404
    assert sam.get(f"{SHOP}/logs/search").status_code == 303
    assert looks(app) == []


def test_a_page_is_not_shown_when_its_look_cannot_be_written_down(sam: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("portal.services.accounts.support_search.audit.record", fail)
    monkeypatch.setitem(sam.app.config, "PROPAGATE_EXCEPTIONS", False)
    answer = sam.get(f"{SHOP}/logs")
    assert answer.status_code == 500 and "Order 17" not in answer.text


def test_the_shops_admins_read_it_in_words(sam: Person, shop: str, arrive: Arrive) -> None:
    sam.get(f"{SHOP}/logs?open={shop}")
    sam.get(SHOP)
    admin = arrive("acme")
    page = admin.get("/settings/activity").text
    assert page.count("Looked at the shop as support") == 3
    assert "Sam &lt;sam@marketplace.example&gt;" in page and f"Message {shop}" in page and "Email logs" in page
    assert f"Message {shop}" in admin.post("/settings/activity.csv").text
    assert "Als Support in den Shop gesehen" in arrive("acme", locale="de", email="b@c.example").get(
        "/settings/activity"
    ).text  # fmt: skip


def test_every_view_that_is_noted_has_its_words() -> None:
    assert {"settings", "log", "search", "activity", "people"} <= set(activity_texts.VIEWS)


@pytest.mark.parametrize("name", ["nobody", "ACME", "1", "%00", "acme%20"])
def test_a_shop_that_is_not_there_is_404(app: Flask, sam: Person, name: str) -> None:
    for path in VIEWS:
        answer = sam.get(path.replace("acme", name))
        assert answer.status_code == 404, path
        assert "There is no such shop" in answer.text and HOME in answer.text
    assert looks(app) == []


def test_another_shops_message_is_not_in_this_shops_log(app: Flask, sam: Person, shop: str) -> None:
    with app.app_context():
        tenants.upsert("rival", name="Rival")
    answer = sam.get(f"{HOME}/tenants/rival/logs?open={shop}")
    assert answer.status_code == 404 and "Order 17" not in answer.text


def test_whoever_is_removed_from_the_staff_is_out_at_once(app: Flask, sam: Person) -> None:
    assert sam.get(SHOP).status_code == 200
    with app.app_context():
        assert staff_service.remove("SAM@marketplace.example") == 1
    assert sam.get(SHOP).status_code == sam.as_htmx("GET", f"{SHOP}/logs/rows").status_code == 401


def test_whoever_the_operator_has_added_comes_in_by_a_mailed_link(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        staff_service.add("kim@marketplace.example", "Kim")
    assert client.post(ask(app, client, "kim@marketplace.example")).location == HOME
    assert "Find the shop" in client.get(HOME).text


def test_polls_do_not_extend_the_session_of_staff(app: Flask) -> None:
    with app.app_context():
        polls = {
            rule.rule.rpartition("/")[2]
            for rule in app.url_map.iter_rules()
            if rule.rule.startswith(HOME) and not access.declared(rule.endpoint).renews  # type: ignore[union-attr]
        }
    assert polls == {"sender", "status", "rows"}


def test_staff_may_be_framed_by_whom_a_launch_names(app: Flask, shop: str, arrive: Arrive, staff: FlaskClient) -> None:
    office = "https://office.marketplace.example"
    with app.app_context():
        tenants.upsert("acme", frame_ancestors=["https://shop.example"])
    framed = arrive("", role="support", sub="s2", tenant_name="", plan=None, parent=office)
    for path in (HOME, SHOP, f"{SHOP}/logs"):
        assert f"frame-ancestors {office}" in framed.get(path).headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in staff.get(path).headers["Content-Security-Policy"]


def test_a_change_of_language_and_a_new_tab_come_back_to_the_shop(sam: Person) -> None:
    assert f'name="next" value="{SHOP}/logs"' in sam.post(f"{SHOP}/logs/search", {"recipient": SEARCHED}).text
    assert f'name="next" value="{HOME}"' in sam.post(f"{HOME}/shops", {"shop": "acme"}).text
    assert f'name="next" value="{HOME}"' in sam.landing.text


def test_a_suspended_shop_is_shown_as_such_wherever_support_looks(app: Flask, sam: Person, shop: str) -> None:
    with app.app_context():
        tenants.upsert("acme", state="suspended")
    for path in ("", "/logs", "/people", "/activity"):
        assert "Suspended: nobody can sign in" in sam.get(f"/support/tenants/acme{path}").text
    assert "suspended" in sam.post("/support/shops", {"shop": "acme"}).text
    with app.app_context():
        tenants.upsert("acme", state="active")
    assert "Suspended: nobody" not in sam.get("/support/tenants/acme").text
