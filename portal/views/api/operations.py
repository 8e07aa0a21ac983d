"""What the API can do: one table from which openapi.json is made; the types are those that the views use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from portal.models.api_key import Scope
from portal.views.api import schemas
from portal.views.api.problems import refused

_ID = "msg_4kq7xw2nfd5jt3hzrm6vbyeoca"
_TOLD = {"id": _ID, "state": "queued"}
_MESSAGE = {
    "tenant": "acme",
    "kind": "order_update",
    "to": "jane@customer.example",
    "subject": "Your order 1001 is on its way",
    "text": "Good news, Jane: it was shipped today.",
    "reply_to": "service@acme.example",
    "reference": "1001",
    "metadata": {"vendor": "v-17"},
    "thread": "order-1001",
}
_TENANT = {
    "name": "Acme Shop",
    "plan": "pro",
    "locale": "en",
    "timezone": "Europe/Berlin",
    "frame_ancestors": ["https://dashboard.marketplace.example"],
    "state": "active",
}
_LOG = [
    {"at": "2026-11-23T09:14:03.118204+00:00", "event": "queued", "reason": None, "code": None, "text": None,
     "sender": None, "until": None},
    {"at": "2026-11-23T09:14:03.402117+00:00", "event": "sent", "reason": None, "code": 250,
     "text": "2.0.0 Ok: queued as 4F2A1", "sender": "Acme Shop <hello@acme.example>", "until": None},
]  # fmt: skip
_SHOWN = {
    "id": _ID,
    "tenant": "acme",
    "kind": "order_update",
    "to": "jane@customer.example",
    "subject": "Your order 1001 is on its way",
    "state": "sent",
    "reason": None,
    "waits_until": None,
    "sender": "Acme Shop <hello@acme.example>",
    "message_id": "<4kq7xw2nfd5jt3hzrm6vbyeoca@marketplace.example>",
    "accepted_at": "2026-11-23T09:14:03.118204+00:00",
    "send_at": None,
    "reference": "1001",
    "metadata": {"vendor": "v-17"},
    "log": _LOG,
}


_ALWAYS = ("unauthorized", "too_many", "failed", "unavailable")
_BODY = ("bad_json", "too_large", "not_json")


@dataclass(frozen=True)
class Operation:
    """One method of one path. `answer` and `body` are (type, example)."""

    method: str
    path: str
    name: str
    summary: str
    answer: tuple[Any, dict[str, Any]] | None  # None: there is nothing to say (204)
    problems: tuple[str, ...] = ()
    status: int = 200
    body: tuple[Any, dict[str, Any]] | None = None
    details: str = ""
    created: bool = False  # 201 where it is new
    takes_key: bool = False
    scope: Scope | None = None  # what the API key must be allowed; None: it is public
    headers: dict[str, str] = field(default_factory=dict)


OPERATIONS = (
    Operation(
        "put", "/tenants/{tenant}", "putTenant", "Create a tenant, or bring it up to date",
        (schemas.TenantShown, {"tenant": "acme"} | _TENANT | {"mails_per_day": 5000, "mails_today": 1204}),
        ("lacks_manage", "other_tenant", "refused_tenant", *_BODY, *_ALWAYS),
        scope=Scope.MANAGE,
        body=(schemas.TenantRequest, _TENANT),
        created=True,
        details="The id is the platform's own. What is left out stays as it is. `state` `suspended` signs out all of "
        "its people at once and lets nobody in; its mail is still accepted, and is `held` with reason "
        "`tenant_suspended` until `state` is `active` again.",
    ),
    Operation(
        "delete", "/tenants/{tenant}/users/{sub}", "deleteUser", "Remove a person",
        None,
        ("lacks_manage", "other_tenant", "no_user", *_ALWAYS),
        scope=Scope.MANAGE,
        status=204,
        details="`sub` is the one of their launches, percent-encoded. Their sessions and mailed links end at once, and "
        "a launch that was signed before is refused; one that is signed later brings them back. 404 where nobody has "
        "it (any more): nothing is left to do, and earlier launches are refused then, too.",
    ),
    Operation(
        "post", "/messages", "postMessage", "Hand in a message",
        (schemas.MessageState, _TOLD),
        ("bad_key", "lacks_send", "conflict", "in_progress", "refused", "busy", *_BODY, *_ALWAYS),
        scope=Scope.SEND,
        status=202,
        body=(schemas.MessageRequest, _MESSAGE),
        takes_key=True,
        headers={"Location": "Where the message can be read."},
        details="202 means that the message is in the outbox and stays there through a crash or a power cut.",
    ),
    Operation(
        "post", "/messages/batch", "postBatch", "Hand in up to 500 messages",
        (schemas.BatchAnswer, {"results": [
            {"status": 202} | _TOLD,
            refused("#/messages/1/to", "This must be one e-mail address, such as jane@example.com."),
        ]}),
        ("lacks_send", "refused_batch", "busy", *_BODY, *_ALWAYS),
        scope=Scope.SEND,
        body=(schemas.BatchRequest, {"messages": [
            _MESSAGE | {"idempotency_key": "order-1001-shipped"},
            _MESSAGE | {"to": "jane", "idempotency_key": "order-1002-shipped"},
        ]}),
        details="Each message has an answer of its own, in their order: its id and state, or a problem document. One "
        "that is refused hinders no other. The request as a whole has at most 15 MB.",
    ),
    Operation(
        "get", "/messages/{public_id}", "getMessage", "What became of a message",
        (schemas.MessageShown, _SHOWN),
        ("lacks_read", "no_message", *_ALWAYS),
        scope=Scope.READ,
        details="State `sent` means that the next server has accepted the message; nobody can promise more. `held` for "
        "the reason `plan_daily_limit` waits for the next day (UTC): its plan's `mails_per_day` is used up.",
    ),
    Operation(
        "post", "/messages/{public_id}/cancel", "cancelMessage", "Withdraw a message that still waits",
        (schemas.MessageState, {"id": _ID, "state": "cancelled"}),
        ("lacks_send", "no_message", "too_late", *_ALWAYS),
        scope=Scope.SEND,
        details="Possible while it is `queued`, `deferred` or `held`. Cancelling it again is answered as before.",
    ),
    Operation(
        "get", "/openapi.json", "getDescription", "This description",
        (dict[str, Any], {"openapi": "3.1.0"}),
        ("failed",),
    ),
)  # fmt: skip
