"""A viewer reads everything and is offered no change; the server refuses each one whatever the page shows."""

from html.parser import HTMLParser

from flask import Flask
from werkzeug.exceptions import HTTPException

from portal import encryption
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import LogEntry, Message, SenderIdentity, User, utcnow
from portal.models.identity import new_nonce
from portal.services.accounts import tenants
from portal.services.drivers import lifecycle as driver_service
from portal.web import access
from tests.support.person import Arrive, Person

PAGES = ("/settings/email", "/settings/email/service", "/settings/email/logs", "/settings/email/logs?state=failed")


class Offers(HTMLParser):
    """What a page lets its reader do: (method, path) of each link, form and htmx attribute that isn't disabled."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self._form: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        asks = [(verb, values[f"hx-{verb}"] or "") for verb in ("get", "post") if values.get(f"hx-{verb}")]
        if tag == "form":
            self._form = [((values.get("method") or "get").lower(), values.get("action") or ""), *asks]
        elif tag == "button":
            locked = "disabled" in values or values.get("aria-disabled") == "true"  # with the reason beside it
            if locked or values.get("type", "submit") != "submit":
                return
            self.found.update([*self._form, *asks])
            if values.get("formaction"):
                self.found.add(("post", values["formaction"] or ""))
        elif tag == "a" and values.get("href"):
            self.found.add(("get", values["href"] or ""))
        else:
            self.found.update(asks)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = []


def rules(app: Flask, page: str) -> dict[str, str]:
    """Path and access rule of all that a page offers on this site."""
    offers = Offers()
    offers.feed(page)
    with app.test_request_context():
        adapter = app.url_map.bind("localhost")
        found = {}
        for method, path in offers.found:
            if path.startswith("/"):
                try:
                    endpoint, _ = adapter.match(path.partition("?")[0].partition("#")[0], method=method.upper())
                except HTTPException:
                    continue
                declared = access.declared(endpoint)
                assert declared is not None
                found[f"{method} {path}"] = declared.rule
        return found


def fill(app: Flask) -> None:
    """A pending and an earlier sender, an own mail service that is stopped, and mail that can be sent again."""
    with app.app_context():
        tenant = tenants.upsert("acme")[0]
        with transaction() as session:
            for state in ("pending", "verified"):
                address = f"{state}@acme.example"
                session.add(
                    SenderIdentity(
                        tenant_id=tenant.id, address=address, address_key=address, display_name="Acme", state=state,
                        nonce=new_nonce(),
                    )
                )  # fmt: skip
            message = Message(
                tenant_id=tenant.id, kind="order_update", to_address="c@d.example", subject="S", message_id="<x>",
                state="failed", expires_at=utcnow(), route="none",
            )  # fmt: skip
            session.add(message)
            session.flush()
            session.add(LogEntry(tenant_id=tenant.id, message_id=message.id, event="failed"))
            user = tenants.lock(tenant)
            values = {
                "preset": "other", "host": "mail.acme.example", "port": 587, "encryption": "starttls",
                "username": "acme", "secret": encryption.encrypt("x"), "from_address": "shop@acme.example",
                "from_name": "Acme",
            }  # fmt: skip
            admin = db.session.query(User).filter_by(role="admin").first()
            driver = driver_service.put(user, admin, 0, values)
            driver.state, driver.reason = "stopped", "auth"


def test_a_viewers_pages_offer_no_change(app: Flask, person: Person, arrive: Arrive) -> None:
    viewer = arrive(role="viewer", email="viewer@shop.example")
    fill(app)
    with app.app_context():
        message = db.session.query(Message.public_id).filter_by(state="failed").scalar()
    offered: dict[str, str] = {}
    for page in (*PAGES, f"/settings/email/logs?open={message}"):
        answer = viewer.get(page)
        assert answer.status_code == 200
        here = rules(app, answer.text)
        assert {what: rule for what, rule in here.items() if rule not in ("viewer", "person", "public")} == {}, page
        offered |= here
    assert len(offered) > 10
    for_admins = {
        what
        for page in (*PAGES, f"/settings/email/logs?open={message}")
        for what, rule in rules(app, person.get(page).text).items()
        if rule == "admin"
    }
    assert len(for_admins) >= 10  # the same pages do offer them to who may


def test_a_viewers_pages_say_why(arrive: Arrive) -> None:
    viewer = arrive(role="viewer")
    for page in ("/settings/email", "/settings/email/service"):
        assert "only an administrator of your shop can change them" in viewer.get(page).text
