"""`GET /api/v1/openapi.json`: the API described as OpenAPI 3.1, made from its types and its table of operations."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from functools import cache
from typing import Any

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema
from werkzeug.http import HTTP_STATUS_CODES

from portal.config import settings
from portal.services.outbox import idempotency
from portal.views.api import schemas
from portal.views.api.operations import OPERATIONS, Operation
from portal.views.api.problems import PROBLEMS
from portal.web.access import access

blueprint = Blueprint("api_openapi", __name__, url_prefix="/api/v1")

_REFS = "#/components/schemas/{model}"
_PARAMETERS = {
    "tenant": "The platform's own id of the tenant.",
    "sub": "The platform's own id of the person, as in the `sub` of a launch.",
    "public_id": "The message's id, as it was answered when it was handed in.",
}
_HOURS = idempotency.KEPT // timedelta(hours=1)
_ABOUT = f"""For the platform's backend. Every refusal is a problem document (RFC 9457).

Sending a request again is safe with the header `Idempotency-Key`, or the field `idempotency_key` of a batch's message:
for {_HOURS} hours the same key and body are answered with the same message, the same key with another body with 409,
and while the first request is still in progress with 409 and `Retry-After`. Keys belong to the API key that brought
them.

Each API key has scopes: `send` hands in mail and withdraws it, `read` shows what became of it, `manage` creates and
changes tenants, and removes people. An operation's `security` names the one that it needs; without it the answer is
403. A key can be limited to certain tenants, and finds nobody else's messages. A key that has ended or was revoked is
answered 401.

A request that hands in mail has at most 15 MB, any other 64 kB; more is answered 413. A body is JSON and says so in
`Content-Type: application/json`; anything else is answered 415. Both are answered before the body is read. Of what is
wrong with a request, 20 things are named at most, and then how many more there are.

Each API key has a rate limit, counted in messages; beyond it the answer is 429 with `Retry-After`."""


@blueprint.get("/openapi.json")
@access("public")
def get_openapi() -> ResponseReturnValue:
    return jsonify(described() | {"servers": [{"url": f"{settings().base_url}/api/v1"}]})


@cache
def described() -> dict[str, Any]:
    """The document, but for the address of this installation."""
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for operation in OPERATIONS:
        paths[operation.path][operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Absender", "version": "1", "description": _ABOUT},
        "paths": dict(paths),
        "components": {
            "securitySchemes": {
                "api_key": {"type": "http", "scheme": "bearer", "description": "Made by `flask api-key create`."}
            },
            "schemas": _schemas(),
            "examples": {name: {"value": example} for name, example in PROBLEMS.items()},
        },
    }


def _schemas() -> dict[str, Any]:
    """All types by name: requests as models, answers as typed dictionaries."""
    requests = (schemas.MessageRequest, schemas.BatchItem, schemas.BatchRequest, schemas.TenantRequest)
    _, made = models_json_schema([(model, "validation") for model in requests], ref_template=_REFS)
    found: dict[str, Any] = dict(made.get("$defs", {}))
    for answer in (schemas.MessageState, schemas.BatchAnswer, schemas.MessageShown, schemas.TenantShown):
        schema = TypeAdapter(answer).json_schema(ref_template=_REFS)
        found |= schema.pop("$defs", {})
        found[answer.__name__] = schema
    return dict(sorted(found.items()))


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": _responses(operation),
    }
    if operation.details:
        described["description"] = operation.details
    parameters = [
        {"name": name, "in": "path", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in _PARAMETERS.items()
        if f"{{{name}}}" in operation.path
    ]
    if operation.takes_key:
        parameters.append(_idempotency_header())
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        model, example = operation.body
        described["requestBody"] = {"required": True, "content": {"application/json": _content(model, example)}}
    described["security"] = [{"api_key": [operation.scope]}] if operation.scope else []
    return described


def _idempotency_header() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": f"Makes it safe to send the request again; kept for {_HOURS} hours.",
        "schema": {"type": "string", "minLength": 1, "maxLength": schemas.MAX_KEY},
        "example": "order-1001-shipped",
    }


def _responses(operation: Operation) -> dict[str, Any]:
    content = {"application/json": _content(*operation.answer)} if operation.answer else {}
    good: dict[str, Any] = {"description": HTTP_STATUS_CODES[operation.status], "content": content}
    if operation.headers:
        good["headers"] = {n: {"description": d, "schema": {"type": "string"}} for n, d in operation.headers.items()}
    responses = {str(operation.status): good}
    if operation.created:
        responses["201"] = good | {"description": HTTP_STATUS_CODES[201]}
    by_status: dict[str, list[str]] = defaultdict(list)
    for name in operation.problems:
        by_status[str(PROBLEMS[name]["status"])].append(name)
    return dict(sorted((responses | {status: _problem(status, names) for status, names in by_status.items()}).items()))


def _problem(status: str, names: list[str]) -> dict[str, Any]:
    examples = {name: {"$ref": f"#/components/examples/{name}"} for name in names}
    content = {"schema": _ref(schemas.Problem), "examples": examples}
    described: dict[str, Any] = {
        "description": HTTP_STATUS_CODES[int(status)],
        "content": {"application/problem+json": content},
    }
    waits = [name for name in names if "retry_after" in PROBLEMS[name]]
    if waits:
        described["headers"] = {
            "Retry-After": {
                "description": "Seconds to wait"
                + ("." if len(waits) == len(names) else f", with: {', '.join(waits)}."),
                "required": len(waits) == len(names),
                "schema": {"type": "integer", "minimum": 1},
            }
        }
    return described


def _content(model: Any, example: dict[str, Any]) -> dict[str, Any]:
    return {"schema": _ref(model) if hasattr(model, "__annotations__") else {"type": "object"}, "example": example}


def _ref(model: Any) -> dict[str, str]:
    return {"$ref": _REFS.format(model=model.__name__)}
