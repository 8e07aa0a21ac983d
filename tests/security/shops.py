"""Two shops with something of everything, whose every text carries the shop's own word; and who comes to them."""

import re
from collections.abc import Iterator
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from portal import encryption
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Base, DriverTest, LogEntry, Message, SenderIdentity, Tenant, User, utcnow
from portal.services.accounts import launches, tenants
from portal.services.outbox import accept as outbox
from portal.services.senders import verification
from portal.web import access
from tests.chaos.steps import give_driver
from tests.support.person import PARTIAL

HERS, MINE = "kestrel", "wolverine"  # words that stand nowhere else
CHANGING = {"POST", "PUT", "PATCH", "DELETE"}


class Shop:
    """A tenant of the enterprise plan; `ids` has an example for each name that a URL or a form may carry an id by."""

    def __init__(self, app: Flask, word: str) -> None:
        self.app, self.word = app, word
        self.secret = f"{word}-app-password"
        with app.app_context():
            tenant, _ = tenants.upsert(word, name=f"{word.title()} Shop", plan="enterprise")
            user = launches.accept(launches.make_token(word, email=f"boss@{word}.example", sub="boss")).user
            give_driver(word, 587)
            pending = verification.start_verification(tenant, user, f"new@{word}.example", f"{word.title()} New")
            self.id = tenant.id
            self.ids: dict[str, Any] = {
                # The names of arguments in URLs, and of fields in forms and queries, that say which thing is meant.
                "identity_id": pending.id,
                "awaited": pending.id,
                "public_id": self._message(tenant),
                "user_id": user.id,
                "sub": user.subject,
                "test": self._test(tenant, user),
                "token": verification._token(pending),
                "tenant": word,
                "tenant_id": word,
                "rest": "status",
                "filename": "portal.css",
            }
            self._earlier_sender(tenant)
        self.ids |= dict.fromkeys(("open", "before", "until", "known"), self.ids["public_id"])

    def _message(self, tenant: Tenant) -> str:
        """An ended one that can be sent again."""
        word = self.word
        message = outbox.accept(
            tenant, kind="order_update", to=f"jane@{word}.example", subject=f"{word} order", text=f"About {word}"
        )
        with transaction() as session:
            session.execute(
                update(Message)
                .where(Message.id == message.id)
                .values(state="sent", finished_at=utcnow(), sender=f"{word} <shop@{word}.example>")
            )
            session.add(LogEntry(tenant_id=tenant.id, message_id=message.id, event="sent", text=f"250 {word}"))
        return message.public_id

    def _test(self, tenant: Tenant, user: User) -> int:
        word = self.word
        with transaction() as session:
            message = outbox.record_test(tenant, to=f"boss@{word}.example", subject=f"{word} test")
            test = DriverTest(
                tenant_id=tenant.id, user_id=user.id, message_id=message.id, fingerprint="0" * 64, preset="other",
                host=f"smtp.{word}.example", port=587, encryption="starttls", username=f"test@{word}.example",
                secret=encryption.encrypt(self.secret), from_address=f"test@{word}.example", from_name=word,
                state="failed", failed_step="sign_in", reason="bad_credentials", code=535, text=f"no {word}",
                steps=[], finished_at=utcnow(),
            )  # fmt: skip
            session.add(test)
            session.flush()
            return test.id

    def _earlier_sender(self, tenant: Tenant) -> None:
        address = f"old@{self.word}.example"
        with transaction() as session:
            session.add(
                SenderIdentity(
                    tenant_id=tenant.id, address=address, address_key=address, state="verified", verified_at=utcnow()
                )
            )

    def contents(self, *, without: tuple[str, ...] = ()) -> dict[str, list[str]]:
        """Every row of this shop as text, by table, to see that nothing has changed."""
        found = {}
        with self.app.app_context():
            for table in Base.metadata.sorted_tables:
                owner = table.c.get("tenant_id") if table.name != "tenant" else table.c.id
                if owner is not None and table.name not in without:
                    rows = db.session.execute(select(table).where(owner == self.id).order_by(*table.primary_key)).all()
                    found[table.name] = [repr(row) for row in rows]
        return found


class Visitor:
    """Somebody who asks: with a session's bearer, with the cookie alone, or as a stranger (role None)."""

    def __init__(self, app: Flask, tenant: str, role: str | None, **claims: str) -> None:
        self.app, self.tenant, self.role, self.claims = app, tenant, role, claims
        self.come_in()

    def come_in(self) -> None:
        """By a launch of their own; again, when what they did has ended their session."""
        self.client: FlaskClient = self.app.test_client()
        self.bearer = self.csrf = ""
        if self.role is None:
            return
        landing = self._launch(self.role)
        if landing.status_code != 200:
            # The platform can't launch such a person; the rules hold for whoever has the role.
            landing = self._launch("viewer")
            with self.app.app_context(), transaction() as session:
                session.execute(update(User).where(User.subject == self.subject).values(role=self.role))
        assert landing.status_code == 200, landing.text
        self.bearer = _found(r'name="portal-session" content="([^"]+)"', landing.text)
        self.csrf = _found(r'name="csrf_token"[^>]* value="([^"]+)"', landing.text)

    @property
    def subject(self) -> str:
        return f"{self.role}-of-{self.tenant}"

    def _launch(self, role: str) -> TestResponse:
        with self.app.app_context():
            token = launches.make_token(
                self.tenant, role=role, sub=self.subject, email=f"{role}@{self.tenant}.example", **self.claims
            )
        return self.client.post("/launch", data={"token": token})

    def ask(self, method: str, path: str, **options: Any) -> TestResponse:
        """As the page's script asks, with the bearer and no cookie; a stranger without either."""
        headers = PARTIAL | ({"Authorization": f"Bearer {self.bearer}"} if self.bearer else {})
        return self.app.test_client(use_cookies=False).open(
            path, method=method, headers=headers, buffered=True, **options
        )

    def still_in(self) -> bool:
        """A route may end the asker's own session, and then every one after it would only seem to refuse."""
        return not self.bearer or self.ask("POST", "/open").status_code != 401


def _found(pattern: str, page: str) -> str:
    found = re.search(pattern, page)
    return found.group(1) if found else ""


def routes(app: Flask) -> Iterator[tuple[str, str, Rule]]:
    """Each route and method that a request can be made by, with its access rule; fails where none is declared."""
    with app.app_context():
        for rule in app.url_map.iter_rules():
            declared = access.declared(rule.endpoint)
            assert declared is not None, f"{rule.rule} declares no access rule"
            for method in sorted((rule.methods or set()) - {"OPTIONS"}):
                yield method, declared.rule, rule


def path_of(rule: Rule, ids: dict[str, Any]) -> str:
    """The rule's path with these ids; a name without an example fails."""
    path = rule.rule
    for name in rule.arguments:
        assert name in ids, f"{rule.rule}: give <{name}> an example in tests/security/shops.py"
        path = re.sub(rf"<(?:\w+(?:\([^)]*\))?:)?{name}>", str(ids[name]), path)
    return path


def everything_in(answer: TestResponse) -> str:
    """What an answer tells: its body and its headers, in lower case as the shops' words are."""
    return (answer.get_data(as_text=True) + str(answer.headers)).lower()
