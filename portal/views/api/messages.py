"""`POST /api/v1/messages` and `GET /api/v1/messages/{id}`: mail handed in, and what became of it."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from flask import Blueprint, abort, g, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import AfterValidator, Field, model_validator

from portal.access import access
from portal.errors import problem
from portal.models import LogEntry, Message
from portal.services import mail_log, outbox, tenants
from portal.services.errors import IdempotencyConflict
from portal.transport.addresses import InvalidAddress, validate_address
from portal.views.api import parsing
from portal.views.api.attachments import Attachments

blueprint = Blueprint("api_messages", __name__, url_prefix="/api/v1")

_MAX_KEY = 255
_ADDRESS_SENTENCES = {
    "empty": "This must not be empty.",
    "too_long": "The address is too long: at most 254 characters, 64 of them before the @.",
    "line_break": "An address must not hold line breaks or control characters.",
    "non_ascii_local_part": "Before the @ only ASCII letters, digits and signs work: few servers accept others.",
    "no_such_domain_form": "What stands after the @ is not a domain name.",
}


def _address(text: str) -> str:
    try:
        return validate_address(text)
    except InvalidAddress as error:
        sentence = _ADDRESS_SENTENCES.get(error.reason, "This must be one e-mail address, such as jane@example.com.")
        raise ValueError(sentence) from None


def _subject(text: str) -> str:
    if not text.isprintable():
        raise ValueError("A subject is one line without control characters.")
    if not text.strip():
        raise ValueError("This must not be empty.")
    return text.strip()


def _storable(text: str) -> str:
    """PostgreSQL stores no NUL, and no encoder takes half a surrogate pair."""
    if "\x00" in text or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)):
        raise ValueError("This holds a character that can't be sent (NUL or an unpaired surrogate).")
    return text


Address = Annotated[str, Field(max_length=1000), AfterValidator(_address)]
Subject = Annotated[str, Field(max_length=500), AfterValidator(_storable), AfterValidator(_subject)]
Body = Annotated[str, Field(max_length=parsing.MAX_BODY_CHARS), AfterValidator(_storable)]


class MessageRequest(parsing.Request):
    tenant: Annotated[str, Field(max_length=100), AfterValidator(_storable)]
    kind: Literal["order_update", "vendor_notification", "customer_message"]
    to: Address
    subject: Subject
    text: Body | None = None
    html: Body | None = None
    reply_to: Address | None = None
    attachments: Attachments = []

    @model_validator(mode="after")
    def _has_a_body(self) -> MessageRequest:
        if not (self.text or self.html):
            raise ValueError("A message needs text, html, or both.")
        return self


@blueprint.post("/messages")
@access("api_key")
def post_message() -> ResponseReturnValue:
    wanted = parsing.read(MessageRequest)
    tenant = tenants.find(wanted.tenant)
    if tenant is None:
        parsing.refuse([("tenant", "There is no tenant of this id; create it with PUT /api/v1/tenants/{tenant}.")])
    fields = wanted.model_dump(exclude={"tenant", "attachments"})
    make = partial(outbox.accept, tenant, **fields, attachments=[file.file() for file in wanted.attachments])
    # Without attachments the digest is what it was before there were any: a repeated request meets its message.
    files = {"attachments": [file.said() for file in wanted.attachments]} if wanted.attachments else {}
    try:
        key = _idempotency_key()
        digest = outbox.digest({"tenant": wanted.tenant} | fields | files)
        message = outbox.accept_once(g.api_key, key, digest, make) if key else make()
    except IdempotencyConflict:
        abort(problem(409, "Idempotency-Key used before", "This key came before with another body: take a new key."))
    location = url_for("api_messages.get_message", public_id=message.public_id)
    return jsonify(id=message.public_id, state=message.state), 202, {"Location": location}


@blueprint.get("/messages/<public_id>")
@access("api_key")
def get_message(public_id: str) -> ResponseReturnValue:
    found = mail_log.find_message(public_id)
    if found is None:
        abort(problem(404, "Not found", "There is no message of this id."))
    message, tenant = found
    return jsonify(_shown(message, tenant.external_id) | {"log": [_entry(e) for e in mail_log.entries(message)]})


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= _MAX_KEY and key.isascii() and key.isprintable()):
        abort(
            problem(400, "Idempotency-Key unusable", f"The key must have 1 to {_MAX_KEY} printable ASCII characters.")
        )
    return key


def _shown(message: Message, tenant: str) -> dict[str, Any]:
    return {
        "id": message.public_id,
        "tenant": tenant,
        "kind": message.kind,
        "to": message.to_address,
        "subject": message.subject,
        "state": message.state,
        "reason": message.reason,
        "sender": message.sender,
        "message_id": message.message_id,
        "accepted_at": message.accepted_at.isoformat(),
    }


def _entry(entry: LogEntry) -> dict[str, Any]:
    return {
        "at": entry.at.isoformat(),
        "event": entry.event,
        "reason": entry.reason,
        "code": entry.code,
        "text": entry.text,
        "sender": entry.sender,
        "until": entry.until.isoformat() if entry.until else None,
    }
