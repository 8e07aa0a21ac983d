"""Every route of the URL map, asked by whom it isn't for: nothing is given away, nothing is changed."""

import re

import pytest
from flask import Flask
from werkzeug.routing import Map, Rule

from tests.security.shops import HERS, MINE, Shop, Visitor, everything_in, path_of, routes
from tests.support.figures import Figure

STRANGER, VIEWER, FOREIGN, SUPPORT = "stranger", "viewer", "another shop's admin", "support"
# What each is answered by routes of a rule. None: the route is theirs to use, within what is checked besides.
EXPECTED: dict[str, dict[str, set[int] | None]] = {
    STRANGER: {
        "public": None,
        "operator": None,
        "person": {401},
        "viewer": {401},
        "admin": {401},
        "support": {401},
        "api_key": {401},
    },
    VIEWER: {"public": None, "operator": None, "viewer": None, "admin": {403}, "support": {403}, "api_key": {401}},
    FOREIGN: {"public": None, "operator": None, "viewer": None, "admin": None, "support": {403}, "api_key": {401}},
    SUPPORT: {"public": None, "operator": None, "viewer": {403}, "admin": {403}, "support": None, "api_key": {401}},
}
MAY_READ = {VIEWER: ("viewer",), SUPPORT: ("support",)}  # the rules of routes that show the shop to this person


@pytest.mark.security("every route x anonymous, viewer, admin of another tenant, support")
def test_no_route_gives_away_or_changes_what_is_not_the_askers(
    app: Flask, hers: Shop, mine: Shop, figure: Figure
) -> None:
    visitors = {
        STRANGER: Visitor(app, HERS, None),
        VIEWER: Visitor(app, HERS, "viewer"),
        FOREIGN: Visitor(app, MINE, "admin"),
        SUPPORT: Visitor(app, "desk", "support"),
    }
    # A link's token is its holder's to use, so nobody here holds one of hers.
    ids = hers.ids | {"token": hers.ids["token"][:-4] + "AAAA"}
    found, leaks, asked = list(routes(app)), [], 0
    for name, visitor in visitors.items():
        before = hers.contents(without=("audit",))
        for method, rule, route in found:
            answer = visitor.ask(method, path_of(route, ids))
            asked += 1
            if answer.status_code == 401 and rule != "api_key" and not visitor.still_in():
                visitor.come_in()
                answer = visitor.ask(method, path_of(route, ids))
            told, where = everything_in(answer), f"{name}: {method} {route.rule} answered {answer.status_code}"
            expected = EXPECTED[name].get(rule)
            if answer.status_code >= 500 or (expected is not None and answer.status_code not in expected):
                leaks.append(where)
            if hers.secret in told or (rule not in MAY_READ.get(name, ()) and HERS in told):
                leaks.append(f"{where} and told something of the shop")
        after = hers.contents(without=("audit",))
        for table, rows in before.items():
            # What somebody does to themselves (a language, signing out) is theirs.
            if [row for row in after[table] if visitor.subject not in row] != [
                row for row in rows if visitor.subject not in row
            ]:
                leaks.append(f"{name} changed {table}")
    figure(f"{len(found)} routes and methods x {len(visitors)} askers, {asked} requests: {len(leaks)} leaks")
    assert leaks == []
    assert asked == len(found) * 4 and len(found) > 50


def test_every_answer_says_who_may_frame_it_and_never_anybody(app: Flask, hers: Shop) -> None:
    parent = "https://dashboard.example"
    visitors = [Visitor(app, HERS, role, parent=parent) for role in (None, "viewer", "admin", "support")]
    said = set()
    for visitor in visitors:
        for method, _, route in routes(app):
            if route.endpoint == "static":  # style, script and pictures, none of it a page
                continue
            answer = visitor.ask(method, path_of(route, hers.ids))
            policy = answer.headers["Content-Security-Policy"]
            assert policy.count("frame-ancestors") == 1 and "*" not in policy and "unsafe" not in policy, route.rule
            said.add(policy.partition("frame-ancestors ")[2])
            if not visitor.still_in():
                visitor.come_in()
    assert said == {"'none'", parent}


def test_links_to_other_sites_open_outside_the_frame(app: Flask, hers: Shop) -> None:
    """In the frame they would replace the portal, or be refused by their own site."""
    admin, outside = Visitor(app, HERS, "admin"), []
    for method, rule, route in routes(app):
        if method == "GET" and rule != "api_key":
            for preset in ("", "?preset=gmail"):
                page = admin.client.get(path_of(route, hers.ids) + preset, buffered=True).text
                outside += re.findall(r'<a\b[^>]*href="https?://[^>]*>', page)
    assert len(outside) >= 5
    assert [tag for tag in outside if 'target="_blank"' not in tag or "noopener" not in tag] == []


def test_the_same_requests_show_the_shop_to_its_own_admin(app: Flask, hers: Shop) -> None:
    """Or the table would hold because nothing is there to be seen."""
    admin = Visitor(app, HERS, "admin")
    shown = [
        route.rule
        for method, rule, route in routes(app)
        if rule in ("viewer", "admin")
        and method == "GET"
        and HERS in everything_in(admin.ask("GET", path_of(route, hers.ids)))
    ]
    assert {"/settings/email", "/settings/email/logs", "/settings/email/service", "/settings/activity"} <= set(shown)
    assert hers.contents()["driver"] and hers.contents()["sender_identity"]


def test_support_was_let_in_and_shown_the_shop(app: Flask, hers: Shop) -> None:
    visitor = Visitor(app, "desk", "support")
    answers = [visitor.ask(m, path_of(r, hers.ids)) for m, rule, r in routes(app) if rule == "support" and m == "GET"]
    assert len([answer for answer in answers if answer.status_code == 200 and HERS in everything_in(answer)]) >= 4


def test_a_route_without_a_rule_fails_the_table(app_to_change: Flask) -> None:
    app_to_change.add_url_rule("/forgotten", view_func=lambda: "secret", endpoint="forgotten")
    with pytest.raises(AssertionError, match="/forgotten declares no access rule"):
        list(routes(app_to_change))


def test_a_route_whose_id_has_no_example_fails_the_table(hers: Shop) -> None:
    (rule,) = Map([Rule("/parcels/<int:parcel_id>", endpoint="parcels")]).iter_rules()
    with pytest.raises(AssertionError, match="give <parcel_id> an example"):
        path_of(rule, hers.ids)
