"""Requests that another site makes a person's browser send: with their cookie, and still nothing happens."""

from typing import Any

import pytest
from flask import Flask

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


def test_no_route_changes_anything_by_get(app: Flask, hers: Shop) -> None:
    """A link or an image of another site carries the cookie as well."""
    victim = Visitor(app, HERS, "admin")
    before = hers.contents()
    for method, rule, route in routes(app):
        if method in ("GET", "HEAD") and rule in ("viewer", "admin", "support"):
            victim.client.open(path_of(route, hers.ids), method=method, headers=CROSS_SITE, buffered=True)
    assert hers.contents() == before
