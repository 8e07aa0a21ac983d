"""Every id in every URL and form, swapped for another shop's: answered like an id of nobody."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask

from tests.security.shops import HERS, MINE, Shop, Visitor, everything_in, path_of, routes
from tests.support.figures import Figure

# A name by which a form or a link carries something is one of Shop.ids or stands here: a new one fails the test.
NO_IDS = {
    "csrf_token", "next", "locale", "state", "kind", "period", "recipient", "address", "display_name", "notice",
    "other", "preset", "host", "port", "encryption", "username", "secret", "from_address", "from_name", "version",
    "held_mail", "v", "role",
}  # fmt: skip
# The log goes on from a message of one's own; any other value counts as none, for a row may be gone meanwhile.
CURSORS = {"before", "until", "known"}
NOBODYS: dict[type, Any] = {int: 987_654, str: "msg_" + 26 * "a"}


@dataclass(frozen=True)
class Ask:
    """A form or a link as a page holds it."""

    method: str
    path: str
    fields: tuple[tuple[str, str], ...]

    def with_(self, name: str, value: Any) -> dict[str, Any]:
        """The request with one field changed, as a test client takes it."""
        fields = {**dict(self.fields), name: str(value)}
        return {"data": fields} if self.method == "POST" else {"query_string": fields}


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.asks: set[Ask] = set()
        self._form: tuple[str, str] | None = None
        self._fields: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        for name, method in (("href", "GET"), ("hx-get", "GET"), ("hx-post", "POST")):
            if values.get(name, "").startswith("/") and tag != "link":
                self._add(method, values[name], {})
        if tag == "form":
            self._form, self._fields = (values.get("method", "get").upper(), values.get("action", "")), {}
        elif tag in ("input", "select", "textarea", "button") and values.get("name") and self._form:
            self._fields[values["name"]] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._form:
            self._add(*self._form, self._fields)
            self._form = None

    def _add(self, method: str, url: str, fields: dict[str, str]) -> None:
        parts = urlsplit(url)
        self.asks.add(Ask(method, parts.path, tuple(sorted({**dict(parse_qsl(parts.query)), **fields}.items()))))


def asks_of(app: Flask, visitor: Visitor, shop: Shop) -> set[Ask]:
    """What the pages of a shop's admin offer: each page by itself, and the log with a message opened."""
    found: set[Ask] = set()
    for method, rule, route in routes(app):
        if method == "GET" and rule in ("viewer", "admin"):
            for query in ("", f"?open={shop.ids['open']}", f"?before={shop.ids['before']}", "?preset=other"):
                page = visitor.client.get(path_of(route, shop.ids) + query, buffered=True)
                if page.status_code == 200 and page.mimetype == "text/html":
                    found |= _Page(page.text).asks
    return found


@pytest.fixture
def thief(app: Flask, mine: Shop) -> Visitor:
    return Visitor(app, MINE, "admin")


def in_paths(app: Flask, ids: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for method, rule, route in routes(app):
        if route.arguments and rule in ("viewer", "admin"):
            yield method, path_of(route, ids)


@pytest.mark.security("every id in every URL swapped for another tenant's")
def test_an_id_in_a_path_is_answered_404(app: Flask, hers: Shop, thief: Visitor, figure: Figure) -> None:
    before = hers.contents()
    requests = list(in_paths(app, hers.ids))
    answers = {f"{method} {path}": thief.ask(method, path) for method, path in requests}
    refused = [where for where, answer in answers.items() if answer.status_code == 404]
    figure(f"{len(refused)} of {len(answers)} answered 404")
    assert len(refused) == len(answers) >= 5
    assert not any(HERS in everything_in(answer) for answer in answers.values())
    assert hers.contents() == before


def test_the_same_paths_with_ones_own_ids_are_found(app: Flask, mine: Shop, thief: Visitor) -> None:
    answers = [thief.ask(method, path).status_code for method, path in in_paths(app, mine.ids)]
    assert answers and 404 not in answers


@pytest.mark.security("every id in every form and query swapped for another tenant's")
def test_an_id_in_a_form_or_a_query_opens_nothing(
    app: Flask, hers: Shop, mine: Shop, thief: Visitor, figure: Figure
) -> None:
    before = hers.contents()
    asks = asks_of(app, thief, mine)
    unknown = {name for ask in asks for name, _ in ask.fields} - NO_IDS - set(mine.ids)
    assert not unknown, f"ids or not? Add them to NO_IDS here, or to Shop.ids: {unknown}"
    swapped: list[tuple[Ask, str]] = sorted(
        {(ask, name) for ask in asks for name, _ in ask.fields if name in mine.ids}, key=str
    )
    # What pages ask by script, without a form or a link that says so.
    script = [Ask("GET", "/settings/email/logs/rows", ()), Ask("POST", "/settings/email/logs/rows", ())]
    swapped += [(ask, name) for ask in script for name in ("open", "before", "until")]
    wrong, missing, cursors = [], 0, 0
    for ask, name in swapped:
        theirs = thief.ask(ask.method, ask.path, **ask.with_(name, hers.ids[name]))
        nobodys = thief.ask(ask.method, ask.path, **ask.with_(name, NOBODYS[type(hers.ids[name])]))
        missing += theirs.status_code == 404
        cursors += name in CURSORS
        shown = [everything_in(answer).count(MINE) for answer in (theirs, nobodys)]  # a place in the log cuts rows off
        if HERS in everything_in(theirs) or theirs.status_code != nobodys.status_code or shown[0] != shown[1]:
            wrong.append(f"{ask.method} {ask.path} {name}: {theirs.status_code}, of nobody {nobodys.status_code}")
        elif name == "open" and theirs.status_code != 404:
            wrong.append(f"{ask.method} {ask.path} {name}: {theirs.status_code} instead of 404")
    figure(
        f"{len(swapped)} ids in {len({ask for ask, _ in swapped})} forms and links: {missing} answered 404, "
        f"{cursors} are places in the log, all like an id of nobody; {len(wrong)} wrong"
    )
    assert wrong == [] and missing and cursors
    assert hers.contents() == before


def test_every_kind_of_id_is_met_in_a_page(app: Flask, mine: Shop, thief: Visitor) -> None:
    """Or the table would hold because the pages weren't read."""
    asks = asks_of(app, thief, mine)
    paths = " ".join(ask.path for ask in asks)
    assert re.search(r"/identities/\d+/resend", paths) and re.search(r"/logs/\w+/send-again", paths)
    assert {"open", "known"} <= {name for ask in asks for name, _ in ask.fields}
