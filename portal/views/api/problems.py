"""The API's refusals as problem documents (RFC 9457): what views answer, and the examples of openapi.json."""

from __future__ import annotations

from typing import Any

from portal.models.api_key import Scope
from portal.views.errors import UNAVAILABLE, document


def refused(pointer: str, sentence: str) -> dict[str, Any]:
    """One field that can't be used."""
    errors = [{"pointer": pointer, "detail": sentence}]
    field_name = pointer.rpartition("/")[2]
    return document(422, "The request can't be accepted as it is", f"Look at: {field_name}.", errors=errors)


# By the names that operations list; those that are always the same are answered from here.
PROBLEMS: dict[str, dict[str, Any]] = {
    "bad_json": document(400, "Invalid JSON", "The body must be a JSON object."),
    "bad_key": document(400, "Idempotency-Key unusable", "The key must have 1 to 255 printable ASCII characters."),
    "unauthorized": document(
        401, "Unauthorized", "The API key is missing or wrong. Send it as: Authorization: Bearer <key>"
    ),
    **{f"lacks_{scope}": document(403, "Forbidden", f"This API key lacks the scope {scope}.") for scope in Scope},
    "other_tenant": document(403, "Forbidden", "This API key is limited to other tenants."),
    "no_message": document(404, "Not found", "There is no message of this id."),
    "no_user": document(404, "Not found", "The tenant has nobody of this id."),
    "conflict": document(409, "Idempotency-Key used before", "This key came before with another body: take a new key."),
    "in_progress": document(
        409,
        "Idempotency-Key in progress",
        "The request that brought this key first is still in progress: ask again for its answer.",
        retry_after=1,
    ),
    "too_late": document(409, "Too late to cancel", "The message is being sent right now.", state="sending"),
    "too_large": document(413, "Request Entity Too Large", "The data value transmitted exceeds the capacity limit."),
    "not_json": document(415, "Not JSON", "Send the body as JSON, with the header Content-Type: application/json."),
    "refused": refused("#/to", "This must be one e-mail address, such as jane@example.com."),
    "refused_tenant": refused("#/timezone", "The timezone must be a name of the IANA database, such as Europe/Berlin."),
    "refused_batch": refused("#/messages", "This must be a list of 1 to 500 entries."),
    "too_many": document(429, "Too Many Requests", "The limit is 10000 per 1 second. Try again in 1 s.", retry_after=1),
    "failed": document(
        500,
        "Internal Server Error",
        "The request could not be handled. It is safe to send it again with the same Idempotency-Key.",
    ),
    "unavailable": UNAVAILABLE,
    "busy": document(
        503,
        "Try again",
        "The database is busy; nothing was accepted. It is safe to send the request again.",
        retry_after=1,
    ),
}
