"""Attachments in a request: names, media types and base64, checked with one sentence per wrong field."""

from __future__ import annotations

import binascii
import hashlib
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from portal.transport.mime.attachments import Attachment, is_content_type, safe_filename
from portal.views.api import parsing

MOST = 20
MAX_FILENAME = 255  # characters
MAX_BYTES = 10 * 1024 * 1024  # of all files of a message together, decoded
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _filename(text: str) -> str:
    if _UNUSABLE.search(text):
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

    def file(self) -> Attachment:
        return Attachment(self.filename, self.content_type, self.content)

    def said(self) -> dict[str, str]:
        """What stands for it in the digest of an idempotent request."""
        digest = hashlib.sha256(self.content).hexdigest()
        return {"filename": self.filename, "content_type": self.content_type, "sha256": digest}


def _together(files: list[AttachmentRequest]) -> list[AttachmentRequest]:
    if sum(len(file.content) for file in files) > MAX_BYTES:
        raise ValueError(_TOO_LARGE)
    return files


def _not_too_many(files: Any) -> Any:
    """Before any of them is read."""
    if isinstance(files, list) and len(files) > MOST:
        raise ValueError(f"A message has at most {MOST} attachments.")
    return files


Attachments = Annotated[list[AttachmentRequest], BeforeValidator(_not_too_many), AfterValidator(_together)]
