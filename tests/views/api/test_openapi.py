"""openapi.json says what the API does: every route, every example by its schema, and answers as they really come."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import ValidationError
from werkzeug.routing import Rule

from portal.models.api_key import Scope
from portal.views.api import schemas
from portal.web import access
from tests.support.json_schema import check, resolve
from tests.views.api.conftest import MESSAGE, problem


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    answer = client.get("/api/v1/openapi.json")
    assert answer.status_code == 200 and answer.content_type == "application/json"
    return dict(answer.get_json())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def contents(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for part in (*operation["responses"].values(), operation.get("requestBody")):
        yield from part["content"].values() if part else ()


def examples(document: dict[str, Any], content: dict[str, Any]) -> list[Any]:
    named = [resolve(document, e["$ref"])["value"] for e in content.get("examples", {}).values()]
    return named + ([content["example"]] if "example" in content else [])


def described(rule: Rule) -> str:
    """The rule's path as OpenAPI writes it."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removeprefix("/api/v1"))


def test_every_route_of_the_api_is_described_and_nothing_else(app: Flask, document: dict[str, Any]) -> None:
    rules = {
        (method, described(rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(method, path) for method, path, _ in operations(document)} == rules and len(rules) >= 6


def test_every_example_holds_by_its_schema(document: dict[str, Any]) -> None:
    checked = 0
    for method, path, operation in operations(document):
        for content in contents(operation):
            shown = examples(document, content)
            assert shown, f"{method} {path} has no example"
            for example in shown:
                assert check(document, content["schema"], example) == [], f"{method} {path}"
                checked += 1
    assert checked >= 40


def test_every_problem_stands_under_its_own_status(document: dict[str, Any]) -> None:
    used = set()
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            for example in response["content"].get("application/problem+json", {}).get("examples", {}).values():
                named = resolve(document, example["$ref"])["value"]
                assert named["status"] == int(status)
                assert ("retry_after" not in named) or "Retry-After" in response["headers"]
                used.add(example["$ref"].rpartition("/")[2])
    assert used == set(document["components"]["examples"])


def test_the_examples_of_requests_are_what_the_api_takes(document: dict[str, Any], api: FlaskClient) -> None:
    paths = document["paths"]

    def example(path: str, method: str = "post") -> Any:
        return paths[path][method]["requestBody"]["content"]["application/json"]["example"]

    def answer(path: str, method: str, status: int) -> dict[str, Any]:
        return dict(paths[path][method]["responses"][str(status)]["content"]["application/json"]["schema"])

    tenant = api.put("/api/v1/tenants/acme", json=example("/tenants/{tenant}", "put"))
    assert check(document, answer("/tenants/{tenant}", "put", 200), tenant.get_json()) == []
    message = api.post("/api/v1/messages", json=example("/messages"))
    assert check(document, answer("/messages", "post", 202), message.get_json()) == [] and message.status_code == 202
    batch = api.post("/api/v1/messages/batch", json=example("/messages/batch")).get_json()
    assert check(document, answer("/messages/batch", "post", 200), batch) == []
    assert [result["status"] for result in batch["results"]] == [202, 422]
    shown = document["paths"]["/messages/batch"]["post"]["responses"]["200"]["content"]["application/json"]["example"]
    assert batch["results"][1] == shown["results"][1]
    read = api.get(message.headers["Location"]).get_json()
    assert check(document, answer("/messages/{public_id}", "get", 200), read) == []
    cancelled = api.post(f"{message.headers['Location']}/cancel").get_json()
    assert check(document, answer("/messages/{public_id}/cancel", "post", 200), cancelled) == []


def test_refusals_are_as_the_examples_show_them(document: dict[str, Any], api: FlaskClient, app: Flask) -> None:
    shown = {name: example["value"] for name, example in document["components"]["examples"].items()}
    headers = {"Idempotency-Key": "a"}
    api.post("/api/v1/messages", json=MESSAGE, headers=headers)
    stranger = app.test_client()
    for name, answer in {
        "bad_json": api.post("/api/v1/messages", data=b"[]", content_type="application/json"),
        "bad_key": api.post("/api/v1/messages", json=MESSAGE, headers={"Idempotency-Key": "ä"}),
        "unauthorized": stranger.post("/api/v1/messages", json=MESSAGE),
        "no_message": api.get("/api/v1/messages/msg_x"),
        "no_user": api.delete("/api/v1/tenants/acme/users/nobody"),
        "conflict": api.post("/api/v1/messages", json=MESSAGE | {"subject": "x"}, headers=headers),
        "not_json": api.post("/api/v1/messages", data="x"),
        "too_large": api.post("/api/v1/messages", data=b"x" * (15 * 2**20 + 1), content_type="application/json"),
        "refused": api.post("/api/v1/messages", json=MESSAGE | {"to": "jane"}),
        "refused_tenant": api.put("/api/v1/tenants/acme", json={"timezone": "Mars"}),
        "refused_batch": api.post("/api/v1/messages/batch", json={"messages": []}),
    }.items():
        assert problem(answer, shown[name]["status"]) == shown[name], name


@pytest.mark.parametrize(
    "change", [{"tenant": "x" * 101}, {"kind": "spam"}, {"subject": "x" * 501}, {"cc": "x"}, {"text": 1}, {"to": None}]
)
def test_what_the_schema_refuses_the_api_refuses_too(document: dict[str, Any], change: dict[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/MessageRequest"}
    assert check(document, schema, MESSAGE) == [] and check(document, schema, MESSAGE | change) != []
    with pytest.raises(ValidationError):
        schemas.MessageRequest.model_validate(MESSAGE | change)


def test_it_says_how_to_sign_in_and_how_to_send_again(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert document["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"
    assert document["servers"] == [{"url": "http://localhost:8000/api/v1"}]
    for method, path, operation in operations(document):
        if operation["security"]:
            assert "Retry-After" in operation["responses"]["429"]["headers"], f"{method} {path}"
    names = [p["name"] for p in document["paths"]["/messages"]["post"]["parameters"]]
    assert names == ["Idempotency-Key"]


def test_each_operation_names_the_scope_that_its_view_asks_for(app: Flask, document: dict[str, Any]) -> None:
    rules = {described(rule): rule.endpoint for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/")}
    with app.app_context():
        declared = {path: access.declared(endpoint) for path, endpoint in rules.items()}
    needs = {}
    for _, path, operation in operations(document):
        declaration = declared[path]
        assert declaration is not None
        assert operation["security"] == ([{"api_key": [declaration.scope]}] if declaration.scope else [])
        named = [name for name in examples_of_403(operation) if name.startswith("lacks_")]
        assert named == ([f"lacks_{declaration.scope}"] if declaration.scope else []), path
        needs[operation["operationId"]] = declaration.scope
    assert needs == {
        "putTenant": "manage", "deleteUser": "manage", "postMessage": "send", "postBatch": "send",
        "cancelMessage": "send", "getMessage": "read", "getDescription": None,
    }  # fmt: skip


def examples_of_403(operation: dict[str, Any]) -> list[str]:
    refused = operation["responses"].get("403")
    return list(refused["content"]["application/problem+json"]["examples"]) if refused else []


def test_every_path_under_api_answers_with_problem_documents(api: FlaskClient) -> None:
    for path in ("/api", "/api/", "/api/v2/messages", "/api/v1/nothing", "/api/v1/messages/", "/api/v1/tenants"):
        problem(api.get(path), 404)
    refused = api.delete("/api/v1/messages")
    problem(refused, 405)
    assert refused.headers["Allow"]


def test_what_fails_in_the_api_is_a_problem_document_without_the_cause(
    api: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    @access.access("api_key", scope=Scope.READ)
    def broken(**_: str) -> str:
        raise RuntimeError("secret")

    monkeypatch.setitem(app.view_functions, "api_messages.get_message", broken)
    assert "secret" not in str(problem(api.get("/api/v1/messages/msg_x"), 500))
