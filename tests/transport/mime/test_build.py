"""Mails as bytes: what a mail program reads back, and what nobody can smuggle in."""

import email
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from typing import cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portal.transport.mime.addresses import InvalidAddress, Mailbox, parse_mailbox
from portal.transport.mime.attachments import Attachment
from portal.transport.mime.build import MailContent, Stamp, build

pytestmark = pytest.mark.any_database

SENDER = Mailbox("Acme Shop", "hello@acme.example")
TO = "customer@shop.example"
DATE = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
MESSAGE_ID = "<msg_01jdc9@marketplace.example>"
CONTENT = MailContent("Your order", "Hello", "<p>Hello</p>")


def built(
    content: MailContent = CONTENT,
    sender: Mailbox = SENDER,
    to: str = TO,
    date: datetime = DATE,
    message_id: str = MESSAGE_ID,
    boundary: str = "b0",
) -> bytes:
    return build(content, Stamp(date, message_id, boundary), sender=sender, to=Mailbox("", to))


def read(raw: bytes) -> EmailMessage:
    """The mail as Python's own parser has it; the parser must have nothing to complain of."""
    message = cast(EmailMessage, email.message_from_bytes(raw, policy=default))
    for part in message.walk():
        assert not part.defects
        for value in part.values():
            assert not value.defects
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def one_line(text: str) -> str:
    """What becomes of free text in a header: control characters are spaces, lone surrogates question marks."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)
    return text.encode("utf-8", "replace").decode().strip()


def one_text(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    return text if text.endswith("\n") else text + "\n"


def without_spaces(text: str) -> str:
    """For long names: Python's parser puts a space between the encoded words of a phrase, where none belongs."""
    return text.replace(" ", "")


def is_wire_clean(raw: bytes) -> bool:
    lines = raw.split(b"\r\n")
    return (
        raw.isascii()
        and raw.endswith(b"\r\n")
        and all(len(line) <= 998 and b"\r" not in line and b"\n" not in line and b"\0" not in line for line in lines)
    )


# Read back


def test_a_mail_of_two_parts_reads_back() -> None:
    message = read(built())
    assert message["From"] == "Acme Shop <hello@acme.example>"
    assert message["To"] == TO
    assert message["Subject"] == "Your order"
    assert message["Date"].datetime == DATE
    assert message["Message-ID"] == MESSAGE_ID
    assert message["MIME-Version"] == "1.0"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert (body(message, "plain"), body(message, "html")) == ("Hello\n", "<p>Hello</p>\n")


def test_a_mail_of_text_alone_has_one_part() -> None:
    message = read(built(MailContent("Hi", "Grüße\n")))
    assert message.get_content_type() == "text/plain"
    assert body(message, "plain") == "Grüße\n"


@pytest.mark.parametrize(("text", "html", "plain"), [("Hello\n", "", "Hello\n"), ("", "<p>Hello</p>", "Hello\n")])
def test_an_empty_text_is_none(text: str, html: str, plain: str) -> None:
    assert built(MailContent("Hi", text, html)) == built(MailContent("Hi", text or None, html or None))
    assert body(read(built(MailContent("Hi", text, html))), "plain") == plain


def test_images_of_the_html_stand_beside_it_and_files_beside_both() -> None:
    logo = Attachment("logo.png", "image/png", b"PNG", content_id="logo@shop.example")
    invoice = Attachment("invoice.pdf", "application/pdf", b"PDF")
    shown = '<img src="cid:logo@shop.example">'
    message = read(built(MailContent("Hi", "Hello", shown, attachments=(invoice, logo))))
    related, file = message.iter_parts()
    assert (message.get_content_type(), file.get_filename()) == ("multipart/mixed", "invoice.pdf")
    assert related.get_content_type() == "multipart/related"
    alternative, image = related.iter_parts()
    assert [part.get_content_type() for part in alternative.iter_parts()] == ["text/plain", "text/html"]
    assert (image["Content-ID"], image.get_content_disposition()) == ("<logo@shop.example>", "inline")
    assert read(built(MailContent("Hi", "Hello", shown, attachments=(logo,)))).get_content_type() == "multipart/related"
    without_html = read(built(MailContent("Hi", "Hello", attachments=(logo,))))
    assert [file.get_filename() for file in without_html.iter_attachments()] == ["logo.png"]


def test_html_alone_gets_a_text_made_from_it() -> None:
    message = read(built(MailContent("Hi", None, "<style>x</style><p>Order <b>7</b></p>")))
    assert body(message, "plain") == "Order 7\n"


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    subject=st.text(),
    text=st.text() | st.text(alphabet="ab .=-\n\r\t"),
    html=st.none() | st.text(),
    name=st.text(max_size=120),
    reply_to=st.none() | st.just(Mailbox("Support Ümläut", "help@acme.example")),
    extra=st.text(),
)
@example("x" * 2000, "y" * 2000, "z" * 2000, "n" * 120, None, "h" * 3000)
@example("é " * 500, "é\r\n" * 500, "ü" * 5000, "Ö" * 78, None, "=?utf-8?q?x?=")
@example("a  b   " * 40, ".\r\n.\r\n", "--=_b0--\r\n", '"Bank" <ceo@bank.example>', None, "a" * 60 + " " + "b" * 60)
@example(
    "Subject\r\nBcc: evil@x.example", "--=_b0\r\n\r\nx", "\ud800", "Acme\r\nBcc: evil@x.example", None, "\r\n\r\nx"
)
@example("=?utf-8?q?forged?=", "From here\n", "\x00", "=?utf-8?q?forged?=", None, "\x0b\x0c\x85")
def test_whatever_the_fields_hold_it_reads_back_and_nothing_is_injected(
    subject: str, text: str, html: str | None, name: str, reply_to: Mailbox | None, extra: str
) -> None:
    html = html or None
    content = MailContent(subject, text, html, reply_to, (("Auto-Submitted", "auto-generated"), ("X-Note", extra)))
    raw = built(content, Mailbox(name, "hello@acme.example"))
    assert is_wire_clean(raw)
    message = read(raw)
    fixed = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Note", "MIME-Version", "Content-Type"]
    expected = [*fixed, *(["Reply-To"] if reply_to else []), *(["Content-Transfer-Encoding"] if html is None else [])]
    assert sorted(message.keys()) == sorted(expected)
    assert message["Subject"] == one_line(subject)
    assert message["X-Note"] == one_line(extra)
    (sender,) = message["From"].addresses
    assert sender.addr_spec == "hello@acme.example"
    shown = " ".join(one_line(name).split())
    assert without_spaces(sender.display_name) == without_spaces(shown)
    if len(shown.encode()) <= 20:
        assert sender.display_name == shown
    if text or html is None:
        assert body(message, "plain") == one_text(text)
    if html is not None:
        assert body(message, "html") == one_text(html)
        assert len(list(message.iter_parts())) == 2
    assert raw == built(content, Mailbox(name, "hello@acme.example"))


# Headers


def test_long_headers_are_folded_below_78_characters() -> None:
    for subject in ("many words " * 40, "viele Wörter " * 40, "日本語" * 60):
        head = built(replace(CONTENT, subject=subject), Mailbox("Müller & Söhne " * 5, "hello@acme.example")).partition(
            b"\r\n\r\n"
        )[0]
        assert max(map(len, head.split(b"\r\n"))) <= 78


def test_a_long_name_keeps_its_spaces_and_gains_none() -> None:
    name = "Müller & Söhne, Großhandel für Bürobedarf und Schönes"
    raw = re.search(rb"^From: (.*?)\r\n(?! )", built(sender=Mailbox(name, "a@b.example")), re.S | re.M)
    assert raw is not None
    assert str(make_header(decode_header(raw[1].decode()))) == f"{name} <a@b.example>"


def test_an_international_domain_is_written_as_a_labels() -> None:
    message = read(built(sender=Mailbox("Müller", "shop@müller.example"), to="kunde@käufer.example"))
    assert message["From"].addresses[0].addr_spec == "shop@xn--mller-kva.example"
    assert message["To"] == "kunde@xn--kufer-gra.example"


@pytest.mark.parametrize(
    "address", ["", "x", "a@b.example\r\nBcc: c@d.example", "a@b.example, c@d.example", "josé@b.example"]
)
def test_no_mail_is_built_for_what_is_no_address(address: str) -> None:
    for arguments in ({"to": address}, {"sender": Mailbox("Shop", address)}):
        with pytest.raises(InvalidAddress):
            built(**arguments)  # type: ignore[arg-type]
    if address:
        with pytest.raises(InvalidAddress):
            built(replace(CONTENT, reply_to=Mailbox("", address)))


@pytest.mark.parametrize(
    "name",
    ["From", "bcc", "Cc", "Sender", "Content-Type", "Resent-To", "Message-Id", "X Y", "X:Y", "X\r\nBcc", "", "Ü"],
)
def test_content_cannot_set_headers_that_are_not_its_own(name: str) -> None:
    with pytest.raises(ValueError, match="not a header"):
        built(replace(CONTENT, headers=((name, "x"),)))


def test_the_date_is_written_in_utc_whatever_its_zone() -> None:
    elsewhere = DATE.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert built(date=elsewhere) == built()
    assert b"\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n" in built()


@pytest.mark.parametrize(
    "message_id", ["", "x@y.example", "<x>", "<a@b>\r\nBcc: c@d.example", f"<{'x' * 990}@y.example>"]
)
def test_a_malformed_message_id_is_a_mistake_of_ours(message_id: str) -> None:
    with pytest.raises(ValueError, match="Message-ID"):
        built(message_id=message_id)


@pytest.mark.parametrize("boundary", ["", "a b", 'a"b', "a\r\nb", "x" * 61])
def test_a_malformed_boundary_is_a_mistake_of_ours(boundary: str) -> None:
    with pytest.raises(ValueError, match="boundary"):
        built(boundary=boundary)


def test_a_date_without_zone_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="time zone"):
        built(date=DATE.replace(tzinfo=None))


# Bodies


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain words", "7bit"),
        ("x" * 998, "7bit"),
        ("x" * 999, "quoted-printable"),
        ("bell \x07", "quoted-printable"),
        ("mostly ascii, one ü", "quoted-printable"),
        ("日本語だけ", "base64"),
    ],
)
def test_the_encoding_is_the_plainest_that_fits(text: str, encoding: str) -> None:
    assert read(built(MailContent("x", text)))["Content-Transfer-Encoding"] == encoding


def test_the_same_arguments_give_the_same_bytes_and_another_boundary_does_not() -> None:
    assert built() == built()
    assert built() != built(boundary="b1")


# Mailboxes


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("hello@acme.example", "", "hello@acme.example"),
        ("Acme <hello@acme.example>", "Acme", "hello@acme.example"),
        ('"Acme, Inc." <hello@acme.example>', "Acme, Inc.", "hello@acme.example"),
        (r'"A \"b\" \\ c" <hello@acme.example>', r'A "b" \ c', "hello@acme.example"),
        ("<hello@acme.example>", "", "hello@acme.example"),
        ("Müller <shop@müller.example>", "Müller", "shop@xn--mller-kva.example"),
    ],
)
def test_a_mailbox_is_read_from_text(text: str, name: str, address: str) -> None:
    assert parse_mailbox(text) == Mailbox(name, address)


@pytest.mark.parametrize(
    "text", ["", "Acme", "Acme <>", "Acme <hello@acme.example", "a@b.example <hello@acme.example>", "A\n<a@b.example>"]
)
def test_text_that_is_no_mailbox_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddress):
        parse_mailbox(text)


def test_a_mailbox_shows_itself_as_people_read_it() -> None:
    assert str(Mailbox("Müller", "shop@xn--mller-kva.example")) == "Müller <shop@müller.example>"
    assert str(Mailbox("", "a@b.example")) == "a@b.example"
