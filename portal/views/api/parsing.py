"""Reading a request's JSON: a pydantic model, or a problem document with one sentence per field."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

from flask import abort, request
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import BadRequest

from portal.views.api.problems import PROBLEMS
from portal.views.errors import document, problem, respond

MAX_BODY = 1024 * 1024  # octets of UTF-8
MAX_BATCH = 500

_ENTRIES = f"This must be a list of 1 to {MAX_BATCH} entries."
_SENTENCES = {
    "missing": "This field is required.",
    "extra_forbidden": "This field is not known.",
    "string_type": "This must be a text.",
    "string_unicode": "This holds a character that can't be sent (an unpaired surrogate).",
    "string_too_short": "This must not be empty.",
    "list_type": "This must be a list.",
    "model_type": "This must be a JSON object.",
}


class Request(BaseModel):
    """A request's body; what it doesn't name is refused, so that a typing error can't be lost."""

    model_config = ConfigDict(extra="forbid", strict=True)


Model = TypeVar("Model", bound=Request)


def read(model: type[Model]) -> Model:
    """The request's body as `model`; ends the request with 400, 415 or 422 where it is none."""
    if not request.is_json:
        abort(respond(PROBLEMS["not_json"]))
    try:
        value = request.get_json()
    except RecursionError:
        abort(problem(400, "Invalid JSON", "The body is nested too deeply."))
    except BadRequest:
        abort(respond(PROBLEMS["bad_json"]))
    if not isinstance(value, dict):
        abort(respond(PROBLEMS["bad_json"]))
    try:
        return model.model_validate(value)
    except ValidationError as error:
        refuse(errors_of(error))


def errors_of(error: ValidationError) -> list[tuple[str, str]]:
    """(field, sentence) of everything that is wrong."""
    return [(field_of(e["loc"]), _sentence(e)) for e in error.errors(include_url=False, include_input=False)]


def refuse(errors: list[tuple[str, str]]) -> NoReturn:
    """End the request with 422 and a sentence for each (field, sentence); "" is the request as a whole."""
    abort(respond(refusal(errors)))


def refusal(errors: list[tuple[str, str]], within: str = "") -> dict[str, Any]:
    """The problem document of it; `within` is where in the request the fields lie, such as "messages/3"."""
    places = [("/".join(part for part in (within, field) if part), sentence) for field, sentence in errors]
    listed = [{"pointer": f"#/{place}" if place else "#", "detail": sentence} for place, sentence in places]
    where = ", ".join(sorted({field for field, _ in errors if field}))
    detail = errors[0][1] if len(errors) == 1 and not where else f"Look at: {where or 'the request'}."
    return document(422, "The request can't be accepted as it is", detail, errors=listed)


def field_of(location: tuple[int | str, ...]) -> str:
    return "/".join(str(part) for part in location)


def _sentence(error: Any) -> str:
    kind = error["type"]
    if kind in _SENTENCES:
        return _SENTENCES[kind]
    if kind in ("too_long", "too_short"):
        return _ENTRIES
    if kind == "string_too_long":
        return f"This must have at most {error['ctx']['max_length']:,} characters."
    if kind == "literal_error":
        return f"This must be one of {error['ctx']['expected']}."
    message = str(error["msg"]).removeprefix("Value error, ")
    return message if message.endswith(".") else message + "."
