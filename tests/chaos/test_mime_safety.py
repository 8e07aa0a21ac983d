"""Whatever names, subjects, headers and file names hold: no header is injected, and From is always the sender.

500 examples; 20,000 with PORTAL_TEST_FULL=1.
"""

import email
from collections import Counter
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portal.transport.mime.addresses import InvalidAddress, Mailbox, parse_mailbox
from portal.transport.mime.attachments import Attachment, safe_filename
from portal.transport.mime.build import MailContent, Stamp, build
from portal.transport.mime.headers import clean
from tests.support.examples import of_any_kind
from tests.support.figures import FULL, Figure

pytestmark = pytest.mark.any_database

EXAMPLES = 20_000 if FULL else 500
ADDRESS = "hello@acme.example"
_HOSTILE = st.sampled_from(
    ["\r\nBcc: evil@x.example", "\nFrom: ceo@bank.example", "\r\n\r\n<html>", "=?utf-8?q?=0D=0ABcc:_x?=", '"; x="',
     "\\", "\x00", "\x0b", "\x85", "\u2028", "\ud800", "\u202e", "--=_b0", "--=-b0--", "../", "ü", "日本", "👩‍👩‍👧",
     "<a@b.example>,", "(", ")", ";", "%0d%0a", "''", " ", ".", "a" * 90]
)  # fmt: skip
# Random text hardly ever hits what breaks mail programs, so half of it is made from such pieces.
anything = st.text(max_size=80) | st.lists(_HOSTILE | st.text(max_size=5), max_size=8).map("".join)
extra = st.tuples(st.sampled_from(["Auto-Submitted", "X-Note", "List-Id"]), anything)
files = st.builds(
    Attachment,
    filename=anything,
    content_type=st.sampled_from(["application/pdf", "text/plain", "image/svg+xml", "x-a.b/c_d!"]),
    content=st.binary(max_size=200),
)
_OWN = ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"]


def raw_header_names(head: bytes) -> list[str]:
    """Field names as a server sees them: lines that don't begin with a space, up to their colon."""
    return [line.split(b":")[0].decode() for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]


def check_wire(raw: bytes) -> None:
    assert raw.isascii() and raw.endswith(b"\r\n") and b"\0" not in raw
    for line in raw.split(b"\r\n"):
        assert len(line) <= 998 and b"\r" not in line and b"\n" not in line


@pytest.mark.chaos("names, subjects, headers and file names made by hypothesis")
def test_no_field_injects_a_header(figure: Figure) -> None:
    injected = 0
    tried = 0

    @of_any_kind(EXAMPLES)
    @given(
        sender=anything,
        subject=anything,
        text=st.none() | anything,
        html=st.none() | anything,
        reply_to=st.none() | anything.map(lambda name: f'"{name}" <help@acme.example>'),
        headers=st.lists(extra, max_size=3, unique_by=lambda header: header[0]),
        attached=st.lists(files, max_size=3),
    )
    @example(
        "\r\nBcc: a@b.example", "\r\n\r\nx", "--=_b0\r\n--=-b0--", None, None, [], [Attachment("\r\nX: y", "a/b", b"")]
    )
    @example("", "", None, None, None, [], [Attachment("\r\nBcc: evil@x.example " + "a" * 255, "a/b", b"")])
    def check(
        sender: str,
        subject: str,
        text: str | None,
        html: str | None,
        reply_to: str | None,
        headers: list[tuple[str, str]],
        attached: list[Attachment],
    ) -> None:
        nonlocal injected, tried
        tried += 1
        html = html or None  # an empty one is none
        try:
            answers_to = parse_mailbox(reply_to) if reply_to else None
        except InvalidAddress:  # never gets into a mail
            answers_to = None
        content = MailContent(subject, text, html, answers_to, tuple(headers), tuple(attached))
        raw = built(content, sender)
        head, _, _ = raw.partition(b"\r\n\r\n")
        message = cast(EmailMessage, email.message_from_bytes(raw, policy=default))
        wanted = Counter([*_OWN, *(name for name, _ in headers), *(["Reply-To"] if answers_to else [])])
        if message.get_content_maintype() != "multipart":
            wanted["Content-Transfer-Encoding"] += 1
        injected += Counter(raw_header_names(head)) != wanted or Counter(message.keys()) != wanted
        assert Counter(raw_header_names(head)) == wanted
        assert Counter(message.keys()) == wanted
        check_wire(raw)
        check_parts(message, text, html, attached)
        (address,) = message["From"].addresses
        assert address.addr_spec == ADDRESS
        assert message["Subject"] == clean(subject)
        assert raw == built(content, sender)

    try:
        check()
    finally:
        figure(f"{injected} injected headers in {tried:,} examples, From always the sender's")
    assert tried >= EXAMPLES


def built(content: MailContent, name: str) -> bytes:
    return build(
        content,
        Stamp(datetime(2026, 11, 23, 12, tzinfo=UTC), "<m1@marketplace.example>", "b0"),
        sender=Mailbox(name, ADDRESS),
        to=Mailbox("", "customer@shop.example"),
    )


def check_parts(message: EmailMessage, text: str | None, html: str | None, attached: list[Attachment]) -> None:
    """Each part has its own headers and no others; texts and files read back."""
    for part in message.walk():
        assert not part.defects
        if part is not message:
            kind = {"Content-Type", "Content-Transfer-Encoding"}
            if part.get_content_maintype() == "multipart":
                kind = {"Content-Type"}
            elif part.get_content_disposition() is not None:
                kind |= {"Content-Disposition"}
            assert Counter(part.keys()) == Counter(kind)
    found = list(message.iter_attachments()) if attached else []
    names = [(safe_filename(file.filename) or "attachment") for file in attached]
    # Not get_filename(), which takes signs off that belong to the name.
    assert [part["Content-Disposition"].params["filename"] for part in found] == names
    assert [part.get_payload(decode=True) for part in found] == [file.content for file in attached]
    assert [part.get_content_type() for part in found] == [file.content_type for file in attached]
    for subtype, said in (("plain", text or ("" if html is None else None)), ("html", html)):
        if said is not None:
            body = message.get_body((subtype,))
            assert body is not None
            wanted = said.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
            assert body.get_content().replace("\r\n", "\n") == (wanted if wanted.endswith("\n") else wanted + "\n")
