"""Requests that another site makes a person's browser send: with their cookie, and still nothing happens."""

import re
from itertools import product
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal import redis_client
from portal.extensions import db
from portal.models import Base, SignInLink
from portal.services.accounts import api_keys, launches, login_links
from portal.web import session as sessions
from tests.security.shops import CHANGING, HERS, MINE, Shop, Visitor, path_of, routes
from tests.support.figures import Figure

EVIL = {"Origin": "https://evil.example", "Referer": "https://evil.example/"}
CROSS_SITE = EVIL | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}


def forgeries(victim: Visitor, attacker: Visitor) -> dict[str, dict[str, Any]]:
    """The ways to try it, as a test client takes them."""
    return {
        "a form, in a browser that says nothing of its origin": {},
        "a form of another site": {"headers": CROSS_SITE},
        "the CSRF token of the attacker's own session": {"data": {"csrf_token": attacker.csrf}, "headers": EVIL},
        "a right CSRF token, from another site": {"data": {"csrf_token": victim.csrf}, "headers": CROSS_SITE},
        "the same from a neighbouring subdomain": {
            "data": {"csrf_token": victim.csrf},
            "headers": {"Sec-Fetch-Site": "same-site"},
        },
        "a made-up session in the form": {"data": {sessions.FIELD: "x.y"}, "headers": EVIL},
        "a body that browsers send without asking": {"data": '{"a": "b"}', "content_type": "text/plain"},
    }


@pytest.mark.security("forged cross-site POST to every changing route, cookie sent")
def test_no_forged_request_is_accepted(app: Flask, hers: Shop, mine: Shop, figure: Figure) -> None:
    victim, attacker = Visitor(app, HERS, "admin"), Visitor(app, MINE, "admin")
    changing = [(m, rule, r) for m, rule, r in routes(app) if m in CHANGING and rule in ("viewer", "admin", "support")]
    before, accepted, sent = hers.contents(), [], 0
    for method, _, route in changing:
        for how, forged in forgeries(victim, attacker).items():
            answer = victim.client.open(path_of(route, hers.ids), method=method, buffered=True, **forged)
            sent += 1
            if answer.status_code not in (400, 401, 403):
                accepted.append(f"{how}: {method} {route.rule} answered {answer.status_code}")
    figure(
        f"{len(changing)} routes x {len(forgeries(victim, attacker))} forgeries, {sent} sent: {len(accepted)} accepted"
    )
    assert accepted == [] and len(changing) >= 15
    assert hers.contents() == before


def test_the_cookie_was_a_good_one(app: Flask, hers: Shop) -> None:
    victim = Visitor(app, HERS, "admin")
    assert victim.client.get("/settings/email").status_code == 200
    own = victim.client.post("/settings/email/service/pause", data={"csrf_token": victim.csrf})
    assert own.status_code == 303


def everything(app: Flask) -> dict[str, Any]:
    """All rows of all tables, and all that Redis holds: counts of requests, too."""
    with app.app_context():
        rows = {
            table.name: sorted(map(repr, db.session.execute(select(table)).all()))
            for table in Base.metadata.sorted_tables
        }
        redis = redis_client.line().client
        return rows | {f"redis {key!r}": redis.dump(key) for key in redis.scan_iter()}


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """The tables and keys; a count whose time was over is gone by itself."""
    return {name for name, value in after.items() if value is not None and before.get(name) != value}


def may_change(method: str, rule: str, path: str) -> str | None:
    """What a GET may write (a pattern), and why; HEAD and OPTIONS write nothing."""
    if rule == "api_key" and method != "OPTIONS":
        return "redis .*:limit:.*/api/"  # a backend's requests are counted, whatever they ask
    if method != "GET":
        return None
    if path.startswith("/support/tenants/"):
        return "audit"  # a look is written down before it is seen (docs/decisions/0013)
    if path.endswith("/logs.csv"):
        return "redis .*:limit:.*/export/.* GET/"  # of which the page's button, a POST, has a count of its own
    return "redis .*:limit:.*/launch/" if path == "/launch" else None


@pytest.mark.security("GET, HEAD and OPTIONS at every route, by everybody")
def test_no_route_changes_anything_by_get(app: Flask, hers: Shop, figure: Figure) -> None:
    """A link or an image of another site carries the cookie as well."""
    people = {role: Visitor(app, HERS, role) for role in ("admin", "viewer", "support", None)}
    with app.app_context():
        key = {"Authorization": f"Bearer {api_keys.create('platform')}"}
        login_links.ask(f"boss@{HERS}.example", "en")
        sign_in = login_links._token(db.session.scalars(select(SignInLink)).one())
        launch = launches.make_token(HERS)
    asked, wrong, before = 0, [], everything(app)
    for _, rule, route in routes(app):
        paths = {path_of(route, hers.ids)}
        if route.rule == "/sign-in/<token>":
            paths.add(f"/sign-in/{sign_in}")
        if route.rule == "/launch":
            paths.add(f"/launch?token={launch}")
        for method, path in product(("OPTIONS", "HEAD", "GET"), paths):
            if method == "GET" and "launch?token" in path:
                continue  # the one link that uses its token up (docs/embedding.md)
            for who, visitor in people.items():
                headers = CROSS_SITE | (key if rule == "api_key" else {})
                visitor.client.open(path, method=method, headers=headers, buffered=True)
                asked += 1
                allowed = may_change(method, rule, path.partition("?")[0])
                after = everything(app)
                for name in changed(before, after):
                    if allowed is None or not re.search(allowed, name):
                        wrong.append(f"{method} {path} by {who} changes {name}")
                before = after
    figure(f"{asked} requests: {len(wrong)} changes")
    assert not wrong, "\n".join(sorted(set(wrong)))
    assert asked > 500


def test_what_another_site_asks_for_takes_no_download_from_the_pages_button(app: Flask) -> None:
    victim = Visitor(app, HERS, "admin")
    for _ in range(40):
        last = victim.client.get("/settings/email/logs.csv", headers=CROSS_SITE, buffered=True)
    assert last.status_code == 429
    form = {"csrf_token": victim.csrf}
    assert victim.client.post("/settings/email/logs.csv", data=form, buffered=True).status_code == 200
