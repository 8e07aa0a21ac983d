"""A mail as bytes: deterministic, in 7 bits, and safe whatever its fields hold."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import NamedTuple

from portal.transport.mime import attachments, headers
from portal.transport.mime.addresses import Mailbox, validate_address
from portal.transport.mime.attachments import Attachment
from portal.transport.mime.html_to_text import text_from_html

MAX_LINE = 998  # octets without CRLF (RFC 5322 section 2.1.1)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,70}")
_OWN_HEADER = re.compile(  # written here and nowhere else, or never
    r"from|to|subject|date|message-id|reply-to|mime-version|sender|b?cc|return-path|received|(content|resent)-.*", re.I
)
_NOT_ASCII = bytes(range(128, 256))
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+>")
_BOUNDARY = re.compile(r"[A-Za-z0-9'+_,./:=?-]{1,60}")


@dataclass(frozen=True)
class MailContent:
    """What a mail says. `headers` are fixed ones of our own, such as ("Auto-Submitted", "auto-generated")."""

    subject: str
    text: str | None
    html: str | None = None
    reply_to: Mailbox | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    language: str | None = None  # a tag of RFC 5646


class Stamp(NamedTuple):
    """What tells two copies of a mail apart; `date` knows its time zone."""

    date: datetime
    message_id: str
    boundary: str


def is_message_id(text: str) -> bool:
    """Whether it is a msg-id (RFC 5322 section 3.6.4) that fits into a line of its own."""
    return len(text) <= MAX_LINE - 13 and _MESSAGE_ID.fullmatch(text) is not None


def build(content: MailContent, stamp: Stamp, *, sender: Mailbox, to: Mailbox) -> bytes:
    """The whole mail with CRLF line ends: the same arguments give the same bytes.

    Raises InvalidAddress for a sender, recipient or Reply-To that is none, and
    ValueError for the rest: these come from us, not from people.
    """
    date, message_id, boundary = stamp
    if date.tzinfo is None:
        raise ValueError("a mail's date needs its time zone")
    if not is_message_id(message_id):
        raise ValueError("not a Message-ID")
    if not _BOUNDARY.fullmatch(boundary):
        raise ValueError("not a boundary")
    fields = [
        headers.mailbox("From", sender.name, validate_address(sender.address)),
        headers.mailbox("To", to.name, validate_address(to.address)),
        headers.unstructured("Subject", content.subject),
        _date(date),
        f"Message-ID:{' ' if len(message_id) < 64 else chr(13) + chr(10) + ' '}{message_id}",
    ]
    if content.reply_to:
        fields.append(headers.mailbox("Reply-To", content.reply_to.name, validate_address(content.reply_to.address)))
    if content.language:
        fields.append(headers.unstructured("Content-Language", content.language))  # RFC 3282
    fields += [_extra(name, value) for name, value in content.headers]
    fields.append("MIME-Version: 1.0")
    head = "\r\n".join(fields)
    if content.attachments:
        return b"%b\r\n%b" % (head.encode("ascii"), _with_files(content, boundary))
    return f"{head}\r\n{_body(content, boundary)}".encode("ascii")


@lru_cache(maxsize=8)  # thousands of mails bear the same second
def _date(date: datetime) -> str:
    return f"Date: {format_datetime(date.astimezone(UTC))}"


def _with_files(content: MailContent, boundary: str) -> bytes:
    """multipart/mixed: what the mail says, then its files.

    Neither boundary begins with the other one (RFC 2046 section 5.1.1), whatever `boundary` is.
    """
    outer = f"=-{boundary}"
    start = f'Content-Type: multipart/mixed;\r\n boundary="{outer}"\r\n\r\n'
    shown = [file for file in content.attachments if file.content_id and content.html]
    others = [file for file in content.attachments if file not in shown]
    body = _body(content, boundary).encode("ascii")
    if shown:
        body = _related(body, shown, boundary)
    if not others:
        return body
    parts = [body, *map(attachments.part, others)]
    between = f"\r\n--{outer}\r\n".encode("ascii")
    return start.encode("ascii") + between[2:] + between.join(parts) + f"\r\n--{outer}--\r\n".encode("ascii")


def _related(body: bytes, images: list[Attachment], token: str) -> bytes:
    """multipart/related (RFC 2387): what the mail says, then the images that it shows."""
    boundary = f"=+{token}"
    start = f'Content-Type: multipart/related; type="multipart/alternative";\r\n boundary="{boundary}"\r\n\r\n'
    between = f"\r\n--{boundary}\r\n".encode("ascii")
    parts = [body, *map(attachments.part, images)]
    return start.encode("ascii") + between[2:] + between.join(parts) + f"\r\n--{boundary}--\r\n".encode("ascii")


def _body(content: MailContent, token: str) -> str:
    """Content-Type and what follows: text alone, or text and HTML as alternatives, the better one last."""
    boundary = f"=_{token}"  # neither quoted-printable nor base64 can hold this (RFC 2045 section 6.7)
    if not content.html:
        return _part("plain", content.text or "", token)
    text = content.text or text_from_html(content.html)
    return (
        f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'
        f"--{boundary}\r\n{_part('plain', text, token)}\r\n"  # this CRLF belongs to the boundary that follows
        f"--{boundary}\r\n{_part('html', content.html, token)}\r\n"
        f"--{boundary}--\r\n"
    )


def _part(subtype: str, text: str, token: str) -> str:
    """A text part: header, empty line, body with a final CRLF; the encoding is the first that fits.

    A text that holds the boundaries' `token` is never left as it is.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.endswith("\n"):
        text += "\n"
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: "
    lines = text.replace("\n", "\r\n")
    plain = text.isascii() and not _CONTROL.search(text) and token not in text
    if plain and max(map(len, text.split("\n"))) <= MAX_LINE:
        return f"{head}7bit\r\n\r\n{lines}"
    octets = lines.encode("utf-8", "replace")
    if (len(octets) - len(octets.translate(None, _NOT_ASCII))) * 6 > len(octets):
        encoded = base64.b64encode(octets).decode()
        rows = "\r\n".join([encoded[begin : begin + 76] for begin in range(0, len(encoded), 76)])
        return f"{head}base64\r\n\r\n{rows}\r\n"
    return f"{head}quoted-printable\r\n\r\n{binascii.b2a_qp(octets).decode()}"


def _extra(name: str, value: str) -> str:
    if not _HEADER_NAME.fullmatch(name) or _OWN_HEADER.fullmatch(name):
        raise ValueError(f"{name!r} is not a header that a mail's content may set")
    return headers.unstructured(name, value)
