"""A stand-in for Google or Microsoft as one object: what it knows, how it behaves, what it was asked."""

from __future__ import annotations

import os
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from flask import Flask
from joserfc.jwk import RSAKey

from demo.oauth import mail_apis, sign_in_pages, token_endpoints
from demo.oauth.authorization import Client
from demo.oauth.brands import BRANDS, GOOGLE, MICROSOFT, TENANT, Brand, Person
from demo.oauth.faults import FAULTS
from demo.oauth.ledger import Ledger, Token
from demo.oauth.moods import Moods, read_moods
from demo.web import INSTANCE, PORTAL_URL, SIGN_IN_URL, make_app

Deliver = Callable[[str, list[str], bytes], object]  # reverse-path, recipients, the mail
_MOST_ASKED = 200


class Provider:
    """`base`: where it is served, set before the first request; `client`: the app that is registered with it.

    `calls` counts requests by kind (authorize, code, refresh, revoke, account, send, smtp) and, as "renewed", those
    refreshes that gave a token; `asked` has the newest parameters of the sign-in page.
    """

    def __init__(self, brand: Brand, client: Client, deliver: Deliver, file: Path | None = None) -> None:
        self.brand = brand
        self.client = client
        self.deliver = deliver
        self.base = "http://127.0.0.1"
        self.moods = Moods(brand.key)
        self.ledger = Ledger(file)
        self.calls: Counter[str] = Counter()
        self._counting = threading.Lock()
        self.asked: deque[dict[str, str]] = deque(maxlen=_MOST_ASKED)
        self.approved = False  # by the company's administrator
        # As at Graph: what is beyond four sends at a time for one mailbox is told to wait.
        self.places = {person.address: threading.BoundedSemaphore(self.brand.at_a_time) for person in brand.people}

    def count(self, kind: str) -> None:
        with self._counting:
            self.calls[kind] += 1

    @property
    def renewals(self) -> int:
        return self.calls["renewed"]

    @property
    def rotates(self) -> bool:
        """Whether a renewal answers with a new refresh token."""
        return self.brand is MICROSOFT

    @cached_property
    def key(self) -> RSAKey:
        """Signs id_tokens; another one after each start."""
        return RSAKey.generate_key(2048, {"kid": uuid.uuid4().hex, "use": "sig", "alg": "RS256"})

    @property
    def issuer(self) -> str:
        return self.brand.endpoints(self.base)["issuer"].replace("{tenantid}", TENANT)

    def claims(self, person: Person, scope: str) -> dict[str, Any]:
        """What an id_token, or Google's account call, tells of a person."""
        told: dict[str, Any] = {"sub": person.subject}
        if self.brand is MICROSOFT:
            oid = str(uuid.uuid5(uuid.NAMESPACE_DNS, person.address))
            told |= {"oid": oid, "tid": TENANT, "ver": "2.0", "preferred_username": person.address}
        if "email" in scope:
            told |= {"email": person.address}
            told |= {"email_verified": True} if self.brand is GOOGLE else {}
        if "profile" in scope:
            told["name"] = person.name
        return told

    def access(self, token: str) -> tuple[Person, Token] | None:
        """Whose access token this is, if it is good now."""
        found = self.ledger.access(token)
        person = self.brand.person(found.person) if found else None
        return (person, found) if person and found else None

    def withdraw(self, address: str) -> None:
        """The person takes the app's access away. At Microsoft access tokens live on until their end."""
        self.ledger.kill(address, access_too=self.brand is GOOGLE)

    def set_mood(self, place: str, mood: str) -> None:
        """Raises ValueError for a mood or place that doesn't exist."""
        if place not in FAULTS[self.brand.key]:
            raise ValueError(f"there is no place {place!r}")
        setattr(self.moods, place, mood)
        if mood == "admin_approval":
            self.approved = False


def demo_providers(deliver: Deliver) -> list[Provider]:
    """Those of bin/run, with the app that it registers and the moods that DEMO_OAUTH names."""
    providers = []
    for brand in BRANDS:
        app = [os.environ.get(brand.settings + name, "") for name in ("CLIENT_ID", "CLIENT_SECRET")]
        callbacks = [f"{PORTAL_URL}/oauth/callback/{name}" for name in (brand.key, brand.path)]
        provider = Provider(brand, Client(*app, callbacks), deliver, INSTANCE / f"demo-{brand.path}.json")
        provider.base = SIGN_IN_URL
        providers.append(provider)
    read_moods(os.environ.get("DEMO_OAUTH", ""), {one.brand.key: one.moods for one in providers})
    return providers


def create_oauth_app(providers: list[Provider]) -> Flask:
    """The sign-in pages, token endpoints and mail APIs of all providers, each below a path of its own."""
    app = make_app(sign_in_pages.CSP)
    for provider in providers:
        prefix = f"/{provider.brand.path}"
        for part in (sign_in_pages, token_endpoints, mail_apis):
            app.register_blueprint(part.blueprint(app, provider), url_prefix=prefix)
    return app
