"""Mail handed in one by one or as a batch, what became of it, and withdrawing what still waits."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, g, jsonify, request
from flask.typing import ResponseReturnValue

from portal.models import LogEntry, Message
from portal.models.api_key import Scope
from portal.models.message import State
from portal.services.errors import Busy, NotCancellable, NotFound
from portal.services.outbox import accept as outbox
from portal.services.outbox import idempotency, message_log
from portal.services.outbox.idempotency import Answer, HandedIn
from portal.services.routing.lanes import Wait
from portal.views.api import parsing
from portal.views.api.problems import PROBLEMS
from portal.views.api.schemas import (
    BatchAnswer,
    BatchItem,
    BatchRequest,
    LogEntryShown,
    MessageRequest,
    MessageShown,
    MessageState,
    is_key,
)
from portal.views.errors import respond
from portal.web import rate_limits
from portal.web.access import access
from portal.web.rate_limits import limited

blueprint = Blueprint("api_messages", __name__, url_prefix="/api/v1")
blueprint.register_error_handler(NotFound, lambda _: respond(PROBLEMS["no_message"]))

_NO_TENANT = ("tenant", "There is no tenant of this id; create it with PUT /api/v1/tenants/{tenant}.")
_TOO_LATE = {
    "sending": "The message is being sent right now.",
    "sent": "The message was sent: the next server has accepted it.",
    "unconfirmed": "The message may have been sent: the connection broke off while the server was accepting it.",
    "failed": "The message has failed already; nothing more will be sent.",
}


@blueprint.post("/messages")
@access("api_key", scope=Scope.SEND, large=True)
@limited(rate_limits.API)
def post_message() -> ResponseReturnValue:
    wanted = parsing.read(MessageRequest)
    (answer,) = _hand_in([_handed_in(wanted, _idempotency_key())])
    result = _result(answer)
    if result["status"] != 202:
        return respond(result)
    shown = {name: value for name, value in result.items() if name != "status"}
    # As url_for(get_message) would say, which takes as long as checking the message.
    return jsonify(shown), 202, {"Location": f"{request.script_root}{blueprint.url_prefix}/messages/{result['id']}"}


@blueprint.post("/messages/batch")
@access("api_key", scope=Scope.SEND, large=True)
def post_batch() -> ResponseReturnValue:
    """Each message is checked, accepted or refused for itself; the batch as a whole is answered 200."""
    items = parsing.read(BatchRequest).messages
    rate_limits.spend(rate_limits.API, len(items))
    checked = [_checked(item, number) for number, item in enumerate(items)]
    good = [(number, item) for number, item in enumerate(checked) if isinstance(item, BatchItem)]
    answers = _hand_in([_handed_in(item, item.idempotency_key) for _, item in good])
    results: list[Any] = list(checked)
    for (number, _), answer in zip(good, answers, strict=True):
        results[number] = _result(answer, _place(number))
    shown: BatchAnswer = {"results": results}
    return jsonify(shown)


@blueprint.get("/messages/<public_id>")
@access("api_key", scope=Scope.READ)
@limited(rate_limits.API)
def get_message(public_id: str) -> ResponseReturnValue:
    found = message_log.find_message(public_id, g.api_key.tenants)
    if found is None:
        raise NotFound("message")
    message, tenant = found
    wait = message_log.waits(tenant, [message]).get(message.route)
    return jsonify(_shown(message, tenant.external_id, message_log.entries(message), wait))


@blueprint.post("/messages/<public_id>/cancel")
@access("api_key", scope=Scope.SEND)
@limited(rate_limits.API)
def post_cancel(public_id: str) -> ResponseReturnValue:
    """While it is queued, deferred or held; once cancelled, the answer stays the same."""
    try:
        cancelled = outbox.cancel(public_id, g.api_key.tenants)
    except NotCancellable as error:
        abort(respond(PROBLEMS["too_late"] | {"detail": _TOO_LATE[error.state], "state": error.state}))
    shown: MessageState = {"id": cancelled.public_id, "state": cancelled.state}
    return jsonify(shown)


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not is_key(key):
        abort(respond(PROBLEMS["bad_key"]))
    return key


def _checked(item: Any, number: int) -> BatchItem | dict[str, Any]:
    """The message, or the problem document that says what is wrong with it."""
    try:
        return parsing.validated(BatchItem, item)
    except parsing.Unusable as refused:
        return parsing.refusal(refused.errors, _place(number))


def _place(number: int) -> str:
    return f"messages/{number}"


def _handed_in(wanted: MessageRequest, key: str | None) -> HandedIn:
    fields = wanted.fields()
    digest = ""
    if key is not None:
        # Without files the digest is what it is where nobody knows of any.
        said = [file.said() for file in wanted.attachments] or None
        digest = idempotency.digest({"tenant": wanted.tenant} | fields | {"attachments": said})
    if wanted.attachments:
        fields["attachments"] = [file.file() for file in wanted.attachments]
    fields["remarks"] = fields.pop("metadata") or None
    fields["reference"] = wanted.reference or None
    return HandedIn(wanted.tenant, fields, key, digest)


def _hand_in(items: list[HandedIn]) -> list[Answer]:
    try:
        return idempotency.accept_each(g.api_key, items) if items else []
    except Busy:
        abort(respond(PROBLEMS["busy"]))


def _result(answer: Answer, place: str = "") -> dict[str, Any]:
    """The answer for one message: a BatchAccepted or a Problem; `place` is where in the request it stands."""
    if answer == "no_tenant":
        return parsing.refusal([_NO_TENANT], place)
    if isinstance(answer, str):
        return PROBLEMS[answer]
    held = {"reason": answer.reason} if answer.state == State.HELD else {}
    return {"status": 202, "id": answer.public_id, "state": answer.state} | held


def _shown(message: Message, tenant: str, entries: list[LogEntry], wait: Wait | None) -> MessageShown:
    """`wait` is its route's: a message that meets it has often no reason of its own."""
    until = [message.due_at] if message.state == State.DEFERRED else []
    until += [wait.until] if wait else []
    return {
        "id": message.public_id,
        "tenant": tenant,
        "kind": message.kind,
        "to": message.to_address,
        "subject": message.subject,
        "state": message.state,
        "reason": message.reason or (wait.reason if wait else None),
        "waits_until": max(until).isoformat() if until else None,
        "sender": message.sender,
        "message_id": message.message_id,
        "accepted_at": message.accepted_at.isoformat(),
        "send_at": message.send_at.isoformat() if message.send_at else None,
        "reference": message.reference,
        "metadata": message.remarks or {},
        "log": [_entry(entry) for entry in entries],
    }


def _entry(entry: LogEntry) -> LogEntryShown:
    return {
        "at": entry.at.isoformat(),
        "event": entry.event,
        "reason": entry.reason,
        "code": entry.code,
        "text": entry.text,
        "sender": entry.sender,
        "until": entry.until.isoformat() if entry.until else None,
    }
