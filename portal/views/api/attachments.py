"""Attachments in a request: names, media types and base64, checked with one sentence per wrong field."""

from __future__ import annotations

import binascii
import codecs
import hashlib
import re
from dataclasses import fields
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from portal.transport.mime.attachments import Attachment, is_content_type, safe_filename
from portal.transport.mime.characters import is_line, without_turns
from portal.views.api import parsing

MOST = 20
MAX_FILENAME = 255  # characters
MAX_BYTES = 10 * 1024 * 1024  # of all files of a message together, decoded


def _filename(text: str) -> str:
    if not is_line(without_turns(text)):
        raise ValueError("A file's name is one line without control characters.")
    name = safe_filename(text)
    if not name:
        raise ValueError("This must be a file's name, such as invoice.pdf.")
    return name


def _content_type(text: str) -> str:
    if not is_content_type(text):
        raise ValueError(
            "This must be a media type without parameters, such as application/pdf, and not multipart or message."
        )
    return text.lower()


def _charset(text: str) -> str:
    try:
        return codecs.lookup(text).name
    except (LookupError, ValueError):
        raise ValueError("This must be a charset, such as utf-8 or iso-8859-1.") from None


def _method(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]+", text):
        raise ValueError("This must be a calendar's method, such as REQUEST or CANCEL.")
    return text.upper()


def _content_id(text: str) -> str:
    found = re.fullmatch(r"<?([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+(?:@[A-Za-z0-9.-]+)?)>?", text)
    if not found:
        raise ValueError("This must be an id that the HTML names as cid:..., such as logo or logo@shop.example.")
    return found[1]


def _decoded(text: Any) -> bytes:
    if not isinstance(text, str):
        raise ValueError("This must be a text.")
    if len(text) > MAX_BYTES * 4 // 3 + 4:
        raise ValueError(_TOO_LARGE)
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error is one
        raise ValueError("This must be base64 in one piece, with its padding and without line breaks.") from None


_TOO_LARGE = f"All attachments together may have at most {MAX_BYTES:,} bytes (10 MB) when decoded."


class AttachmentRequest(parsing.Request):
    filename: Annotated[str, Field(max_length=MAX_FILENAME), AfterValidator(_filename)]
    content_type: Annotated[str, Field(max_length=255), AfterValidator(_content_type)]
    content: Annotated[
        bytes, BeforeValidator(_decoded), WithJsonSchema({"type": "string", "contentEncoding": "base64"})
    ]
    charset: Annotated[str, Field(max_length=40), AfterValidator(_charset)] | None = None
    method: Annotated[str, Field(max_length=20), AfterValidator(_method)] | None = None
    content_id: Annotated[str, Field(max_length=200), AfterValidator(_content_id)] | None = None

    _nothing = field_validator("charset", "method", "content_id", mode="before")(parsing.unless_blank)

    @model_validator(mode="after")
    def _fits(self) -> AttachmentRequest:
        if self.charset and not self.content_type.startswith("text/"):
            raise ValueError("Only a text has a charset.")
        if self.method and self.content_type != "text/calendar":
            raise ValueError("Only a text/calendar has a method.")
        return self

    def file(self) -> Attachment:
        return Attachment(**{field.name: getattr(self, field.name) for field in fields(Attachment)})

    def said(self) -> dict[str, str]:
        """What stands for it in the digest of an idempotent request."""
        digest = hashlib.sha256(self.content).hexdigest()
        optional = {name: getattr(self, name) for name in ("charset", "method", "content_id") if getattr(self, name)}
        return {"filename": self.filename, "content_type": self.content_type, "sha256": digest} | optional


def _together(files: list[AttachmentRequest]) -> list[AttachmentRequest]:
    if sum(len(file.content) for file in files) > MAX_BYTES:
        raise ValueError(_TOO_LARGE)
    return files


def _not_too_many(files: Any) -> Any:
    """Before any of them is read. Null and "" are none."""
    if parsing.unless_blank(files) is None:
        return []
    if isinstance(files, list) and len(files) > MOST:
        raise ValueError(f"A message has at most {MOST} attachments.")
    return files


Attachments = Annotated[list[AttachmentRequest], BeforeValidator(_not_too_many), AfterValidator(_together)]
