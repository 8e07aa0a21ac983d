"""Any valid recipient, any subject and any HTML, through the API: sent whole, or refused at once with the reason.

200 examples; 10,000 with PORTAL_TEST_FULL=1.
"""

import email
import re
import unicodedata
from email.message import EmailMessage
from email.policy import default
from typing import Any, NamedTuple, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import func, select

from portal.extensions import db
from portal.models import Message
from portal.services.accounts import api_keys
from tests.support.examples import of_any_kind
from tests.support.figures import Figure, size
from tests.support.hostile_server import HostileServer, Kept
from tests.support.steps import drain

EXAMPLES = size(200, 10_000)
_ATOM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~"
_TURNS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class Recipient(NamedTuple):
    """What a request may say of a recipient, and the address that the server must hear."""

    said: str
    address: str


def minimal(local: str) -> str:
    """The local part as RFC 5321 section 4.1.2 would have it written: quoted only where it must be."""
    if re.fullmatch(r"[^.@\s\"(),:;<>\[\]\\]+(\.[^.@\s\"(),:;<>\[\]\\]+)*", local):
        return local
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'


def needlessly_quoted(local: str) -> str:
    return '"' + "".join(f"\\{sign}" for sign in local) + '"'


plain_local = st.lists(st.text(_ATOM, min_size=1, max_size=12), min_size=1, max_size=4).map(".".join)
any_local = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=28)
local_part = st.one_of(
    plain_local.map(lambda local: (local, local)),
    plain_local.map(lambda local: (f'"{local}"', local)),
    any_local.map(lambda local: (minimal(local), minimal(local))),
    any_local.map(lambda local: (needlessly_quoted(local), minimal(local))),
)
label = st.text("abcxyzABCXYZ0189-", min_size=1, max_size=12).map(lambda text: f"a{text.replace('--', '-')}0")
domain = st.one_of(
    st.tuples(st.lists(label, min_size=1, max_size=3), st.sampled_from(["example", "com", "xn--zckzah"])).map(
        lambda parts: (".".join([*parts[0], parts[1]]), ".".join([*parts[0], parts[1]]).lower())
    ),
    st.sampled_from([("bücher.example", "xn--bcher-kva.example"), ("例え。テスト", "xn--r8jz45g.xn--zckzah")]),
)
_PIECES = [
    "\xa0", "\u3000", "\u200c", "\u200d", "\xad", "👩\u200d👩\u200d👧", "\U0001fae9", "ü", "日本",
    "می\u200cخواهم", "=?utf-8?q?x?=", '"', "\\", "<", ">", "<p>", "</div>",
    "<![end if]>", "<!--", "<table><td>", "<br", "&nbsp;", "&#0;", "\ufffe", ".", "\n.\n", " ", "x" * 90,
    "\r\n", "\n", "\r", "\t", "\x00", "\x0b", "\x85", "\u2028", "\u202e", "\ud800",
]  # fmt: skip
anything = st.text(max_size=80) | st.lists(st.sampled_from(_PIECES) | st.text(max_size=5), max_size=8).map("".join)
_IN_A_LINE = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters=_TURNS)
one_line = st.text(_IN_A_LINE, min_size=1, max_size=80) | st.lists(st.sampled_from(_PIECES[1:17]), min_size=1).map(
    "".join
)
sendable = anything.map(lambda text: text.encode("utf-8", "ignore").decode().replace("\0", ""))
# Not the signs that give a phrase another meaning; and what is no UTF-8 is no JSON.
_PLAIN_WORDS = st.characters(exclude_characters='<>",;@\\', exclude_categories=["Cs"])
name = st.one_of(
    st.text(_PLAIN_WORDS, max_size=200),
    sendable.map(needlessly_quoted),
    st.just("jane@customer.example"),
)


@st.composite
def recipients(draw: st.DrawFn) -> Recipient:
    (local, sent_local), (host, sent_host) = draw(local_part), draw(domain)
    said = f"{local}@{host}"
    if draw(st.booleans()):
        said = f"{draw(name)} <{said}>"
    return Recipient(said, f"{sent_local}@{sent_host}")


def has_halves(text: str) -> bool:
    return any(unicodedata.category(sign) == "Cs" for sign in text)


def must_be_refused(recipient: Recipient, reply_to: Recipient, subject: str, html: str) -> set[str]:
    """The fields that can't be sent as they are; all other messages have to arrive."""
    fields = set()
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or sign in _TURNS for sign in subject):
        fields.add("#/subject")
    if not subject.strip():
        fields.add("#/subject")
    if "\x00" in html or has_halves(html):
        fields.add("#/html")
    long = {"#/to": recipient, "#/reply_to": reply_to}
    return fields | {field for field, one in long.items() if len(one.address.rpartition("@")[0]) > 64}


def lines(text: str) -> str:
    """As the parts of a mail give them back: other line ends become the mail's own, and the last line has one."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else text + "\n"


def check_arrived(mail: Kept, recipient: Recipient, subject: str, html: str, reply_to: Recipient) -> None:
    message = cast(EmailMessage, email.message_from_bytes(mail.content, policy=default))
    assert mail.rcpt_to == recipient.address
    assert message["Subject"] == subject.strip()
    unfolded = mail.content.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").decode().split("\r\n")
    (answered,) = [field for field in unfolded if field.startswith("Reply-To:")]
    assert answered.endswith((f"<{reply_to.address}>", f": {reply_to.address}"))
    if html.strip():
        part = message.get_body(("html",))
        assert part is not None
        assert part.get_content().replace("\r\n", "\n") == lines(html)
    assert message.get_body(("plain",)) is not None


@pytest.mark.chaos("any valid recipient, any subject, any HTML, made by hypothesis")
def test_every_message_is_sent_whole_or_refused_at_once(
    app: Flask, client: FlaskClient, smtp: HostileServer, figure: Figure
) -> None:
    with app.app_context():
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {api_keys.create('backend')}"
    assert client.put("/api/v1/tenants/acme", json={"name": "Acme Shop"}).status_code == 201
    counts = {"sent": 0, "refused": 0}

    @of_any_kind(EXAMPLES)
    @given(
        recipient=recipients(),
        reply_to=recipients(),
        subject=st.one_of(one_line, one_line, one_line, anything),
        html=st.one_of(sendable, sendable, sendable, anything),
        alone=st.booleans(),
    )
    @example(
        Recipient("jane@customer.example <jane@customer.example>", "jane@customer.example"),
        Recipient('"<a> b"@x.example', '"<a> b"@x.example'),
        "Ihre\xa0Bestellung\u3000👩\u200d👧",
        "<![end if]>",
        True,
    )
    def check(recipient: Recipient, reply_to: Recipient, subject: str, html: str, alone: bool) -> None:
        smtp.kept.clear()
        said: dict[str, Any] = {"to": recipient.said, "reply_to": reply_to.said, "subject": subject, "html": html}
        if not alone or not html.strip():
            said["text"] = "It is on its way.\n"
        answer = client.post("/api/v1/messages", json=said | {"tenant": "acme", "kind": "order_update"})
        refused = must_be_refused(recipient, reply_to, subject, html)
        assert {error["pointer"] for error in answer.get_json().get("errors", [])} == refused
        assert answer.status_code == (422 if refused else 202)
        if refused:
            counts["refused"] += 1
            assert all(error["detail"].endswith(".") for error in answer.get_json()["errors"])
            return
        counts["sent"] += 1
        with app.app_context():
            drain()
        (mail,) = smtp.kept
        check_arrived(mail, recipient, subject, html, reply_to)
        assert client.get(answer.headers["Location"]).get_json()["state"] == "sent"

    try:
        check()
    finally:
        figure(f"{counts['sent']:,} sent whole, {counts['refused']:,} refused with the reason, of the examples")
    assert sum(counts.values()) >= EXAMPLES and min(counts.values()) > EXAMPLES / 20
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Message)) == counts["sent"]
