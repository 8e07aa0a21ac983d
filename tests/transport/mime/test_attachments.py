"""A mail's files: what a mail program reads back, whatever their names hold."""

from dataclasses import replace
from email import message_from_bytes, policy

import pytest

from portal.transport.mime.attachments import Attachment, is_content_type, part, safe_filename
from portal.transport.mime.build import MailContent
from tests.transport.mime.test_build import CONTENT, body, built, is_wire_clean, read

pytestmark = pytest.mark.any_database

FILE = Attachment("invoice.pdf", "application/pdf", b"%PDF-1.7\r\n\x00\xff")


def with_files(*files: Attachment, content: MailContent = CONTENT) -> bytes:
    return built(replace(content, attachments=files))


def test_a_mail_with_files_reads_back() -> None:
    raw = with_files(FILE, Attachment("b.txt", "text/plain", b"line one\nline two"))
    message = read(raw)
    assert is_wire_clean(raw)
    assert message.get_content_type() == "multipart/mixed"
    assert (body(message, "plain"), body(message, "html")) == ("Hello\n", "<p>Hello</p>\n")
    files = list(message.iter_attachments())
    assert [(f.get_filename(), f.get_content_type(), f.get_payload(decode=True)) for f in files] == [
        ("invoice.pdf", "application/pdf", b"%PDF-1.7\r\n\x00\xff"),
        ("b.txt", "text/plain", b"line one\nline two"),
    ]
    assert all(f.get_content_disposition() == "attachment" for f in files)
    assert raw == with_files(FILE, Attachment("b.txt", "text/plain", b"line one\nline two"))


@pytest.mark.parametrize("content", [MailContent("Hi", "Only text"), MailContent("Hi", None, "<p>Only HTML</p>")])
@pytest.mark.parametrize("octets", [b"", b"x", b"x" * 57, b"x" * 58, bytes(range(256)) * 100])
def test_any_octets_stand_behind_any_body(content: MailContent, octets: bytes) -> None:
    raw = with_files(replace(FILE, content=octets), content=content)
    (file,) = read(raw).iter_attachments()
    assert is_wire_clean(raw) and file.get_payload(decode=True) == octets
    assert max(map(len, part(replace(FILE, content=octets)).split(b"\r\n"))) <= 76


@pytest.mark.parametrize(
    "name",
    [
        "Übersicht für März.pdf", "日本語の請求書.pdf", 'quo"ted\\.txt', "a=?utf-8?q?b?=.txt", "x" * 255, "ü" * 255,
        "semi;colon, comma.txt", "percent%41'.txt", "no extension", ".hidden", "👩‍👩‍👧.png",
    ],
)  # fmt: skip
def test_a_name_reads_back(name: str) -> None:
    raw = with_files(replace(FILE, filename=name))
    (file,) = read(raw).iter_attachments()
    assert file.get_filename() == safe_filename(name)
    assert max(map(len, raw.split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Größe.pdf", b'name="Gro_e.pdf"'),
        ("Crème brûlée.pdf", b'name="Creme brulee.pdf"'),
        ("日本.pdf", b'name="__.pdf"'),
        ("日本", b'name="__"'),
        ('a"; x="b.pdf', b'name="a__ x__b.pdf"'),
    ],
)
def test_old_programs_get_a_name_in_ascii(name: str, plain: bytes) -> None:
    assert plain in part(replace(FILE, filename=name))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.pdf", "a.pdf"),
        ("a\r\nBcc: x@y.example", "a Bcc: x@y.example"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("..", ""),
        ("", ""),
    ],
)
def test_a_name_is_one_line_and_no_path(name: str, kept: str) -> None:
    assert safe_filename(name) == kept
    (file,) = read(with_files(replace(FILE, filename=name))).iter_attachments()
    assert file.get_filename() == (kept or "attachment")


@pytest.mark.parametrize(
    "text",
    ["", "pdf", "a/b/c", "a/", "/b", "a b/c", "text/plain; charset=x", "multipart/mixed", "Message/RFC822", "ü/x",
     "text/plain\r\nX: y", "x" * 128 + "/y", "text/plain\n"],
)  # fmt: skip
def test_what_is_no_media_type_of_a_file_never_gets_into_a_mail(text: str) -> None:
    assert not is_content_type(text)
    with pytest.raises(ValueError, match="media type"):
        with_files(replace(FILE, content_type=text))


def test_a_text_that_holds_the_boundaries_does_not_end_the_part() -> None:
    text = "--=_b0\r\n--=-b0\r\n--=-b0--\r\nend\r\n"
    message = read(with_files(FILE, content=MailContent("Hi", text)))
    assert body(message, "plain") == text.replace("\r\n", "\n")
    assert len(list(message.iter_attachments())) == 1


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Invoice 10/2026.pdf", "Invoice 11/2026.pdf"),
        ("Rechnung\\1.pdf", "Rechnung\\2.pdf"),
        ("a very long name that all invoices of this shop have in common 1.pdf",
         "a very long name that all invoices of this shop have in common 2.pdf"),
        ("Счёт 1.pdf", "Счёт 2.pdf"),
    ],
)  # fmt: skip
def test_names_keep_what_tells_two_files_apart(name: str, other: str) -> None:
    heads = [part(replace(FILE, filename=one)).partition(b"Content-Transfer")[0] for one in (name, other)]
    assert safe_filename(name) != safe_filename(other) and heads[0] != heads[1]


@pytest.mark.parametrize("path", ["/home/jane/invoice.pdf", "C:\\Users\\jane\\invoice.pdf", "../../invoice.pdf"])
def test_of_a_path_only_its_last_part_is_the_name(path: str) -> None:
    assert safe_filename(path) == "invoice.pdf"


@pytest.mark.parametrize(
    ("content", "said", "charset"),
    [
        ("Größe".encode(), None, "utf-8"),
        ("Größe".encode("latin-1"), None, None),
        ("Größe".encode("latin-1"), "iso8859-1", "iso8859-1"),
        (b"Size", None, None),
    ],
)
def test_a_text_says_its_charset(content: bytes, said: str | None, charset: str | None) -> None:
    file = Attachment("list.csv", "text/csv", content, charset=said)
    message = message_from_bytes(part(file), policy=policy.SMTP)
    assert message.get_param("charset") == charset
    if charset:
        assert message.get_content().strip() == "Größe"


def test_an_invitation_says_its_method() -> None:
    head = part(Attachment("invite.ics", "text/calendar", b"BEGIN:VCALENDAR", method="REQUEST"))
    assert b'Content-Type: text/calendar; method=REQUEST;\r\n name="invite.ics"' in head
