"""Files of a mail: their part's bytes, and names that nobody can break out of (RFC 2183, RFC 2231)."""

from __future__ import annotations

import base64
import re
import unicodedata
from dataclasses import dataclass

from portal.transport.mime.characters import without_turns
from portal.transport.mime.headers import clean

ROW = 57  # octets in a line of 76 characters of base64 (RFC 2045 section 6.8)
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,127}"  # RFC 2045 section 5.1, at most so long (RFC 6838 section 4.2)
_CONTENT_TYPE = re.compile(f"{_TOKEN}/{_TOKEN}")
_COMPOSED = re.compile("multipart/|message/", re.I)  # holds other parts, and must not be base64 (RFC 2046 section 5)
# What a name may hold to stand between quotes as it is; programs disagree on the rest.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9 !#$&+,.;@^_`{}~()\[\]-]{1,60}")
_ATTRIBUTE_CHARS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`{|}~")
_SECTION = 60  # characters of one piece of a long name
_PATH = re.compile(r"(/|[A-Za-z]:/|\.{1,2}/|~/)")


@dataclass(frozen=True)
class Attachment:
    """A file: its name as the recipient sees it, its media type without parameters, its octets.

    `charset` is a text's; where none is said, UTF-8 if it can be that. `method` is an invitation's (RFC 5546). A file
    with a `content_id` is an image that the HTML shows by it ("cid:...", RFC 2392).
    """

    filename: str
    content_type: str
    content: bytes
    charset: str | None = None
    method: str | None = None
    content_id: str | None = None


def is_content_type(text: str) -> bool:
    """Whether it is type/subtype for a file: no parameters, and nothing that holds other parts."""
    return _CONTENT_TYPE.fullmatch(text) is not None and not _COMPOSED.match(text)


def safe_filename(name: str) -> str:
    """The name in one line, without what deceives; may be empty.

    A path gives its last part; any other slash becomes a sign that names may hold, as in "Invoice 10/2026.pdf".
    """
    name = without_turns(clean(name)).replace("\\", "/")
    if _PATH.match(name):
        name = name.rpartition("/")[2]
    name = name.replace("/", "_").strip()
    return "" if name.strip("._ ") == "" else name


def part(attachment: Attachment) -> bytes:
    """Header, empty line and content with a final CRLF. Raises ValueError for a media type that can't be one."""
    if not is_content_type(attachment.content_type):
        raise ValueError(f"{attachment.content_type!r} is not an attachment's media type")
    name = safe_filename(attachment.filename) or "attachment"
    parameters = [f'name="{_ascii_name(name)}"']
    if charset := _charset(attachment):
        parameters.insert(0, f"charset={charset}")
    if attachment.method:
        parameters.insert(0, f"method={attachment.method}")
    shown = "inline" if attachment.content_id else "attachment"
    head = (
        f"Content-Type: {'; '.join([attachment.content_type, *parameters[:-1]])};\r\n {parameters[-1]}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        + (f"Content-ID: <{attachment.content_id}>\r\n" if attachment.content_id else "")
        + f"Content-Disposition: {shown};\r\n {_filename(name)}\r\n\r\n"
    )
    return head.encode("ascii") + _base64_rows(attachment.content)


def _charset(attachment: Attachment) -> str | None:
    """A text's charset (RFC 2046 section 4.1.2): as said, else UTF-8 where the octets are that and not mere ASCII."""
    if attachment.charset or not attachment.content_type.lower().startswith("text/"):
        return attachment.charset
    if attachment.content.isascii():
        return None
    try:
        attachment.content.decode()
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _filename(name: str) -> str:
    """The parameter of Content-Disposition: quoted where every program reads it alike, else by RFC 2231, in pieces."""
    if _PLAIN_NAME.fullmatch(name):
        return f'filename="{name}"'
    pieces: list[str] = []
    piece = "utf-8''"
    for character in name:
        encoded = "".join(chr(o) if o in _ATTRIBUTE_CHARS else f"%{o:02X}" for o in character.encode())
        if len(piece) + len(encoded) > _SECTION:
            pieces.append(piece)
            piece = ""
        piece += encoded
    if not pieces:
        return f"filename*={piece}"
    return ";\r\n ".join(f"filename*{number}*={text}" for number, text in enumerate([*pieces, piece]))


def _ascii_name(name: str) -> str:
    """For programs that know nothing of RFC 2231: letters without their accents, underscores for the rest."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign))
    plain = re.sub(r"[^A-Za-z0-9 .()_-]", "_", plain).strip()
    stem, dot, extension = plain.rpartition(".")
    if not dot:
        stem, extension = plain, ""
    if len(stem) > 40:  # what tells files of one sender apart stands at either end
        stem = f"{stem[:19]}__{stem[-19:]}"
    return f"{stem}{dot}{extension[:12]}" or "attachment"


def _base64_rows(content: bytes) -> bytes:
    encoded = base64.b64encode(content)
    width = ROW // 3 * 4
    rows = [encoded[begin : begin + width] for begin in range(0, len(encoded), width)]
    return b"\r\n".join([*rows, b""]) if rows else b"\r\n"
