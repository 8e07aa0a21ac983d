"""Reading a request's JSON: a pydantic model, or a problem document with one sentence per field."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any, NoReturn, TypeVar

from flask import abort, request
from pydantic import BaseModel, ConfigDict, ValidationError

from portal.views.api.problems import PROBLEMS
from portal.views.errors import document, problem, respond

MAX_BODY = 1024 * 1024  # octets of UTF-8
MAX_BATCH = 500
MOST_VALUES = 200_000  # texts, lists, objects and commas: more than the largest batch has
MOST_NAMED = 20  # errors; of the rest only their number is said
_LONGEST_NAME = 100  # characters of a field's name that an answer repeats
_SMALL = 64 * 1024  # octets, which hold no number of values that is worth counting
_VALUE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[,\[{]', re.DOTALL)

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


def unless_blank(value: Any) -> Any:
    """The value of an optional field; None for a text of blanks, which says as little as a field that is left out."""
    return None if isinstance(value, str) and not value.strip() else value


Model = TypeVar("Model", bound=Request)


def read(model: type[Model]) -> Model:
    """The request's body as `model`; ends the request with 400, 415 or 422 where it is none."""
    if not request.is_json:
        abort(respond(PROBLEMS["not_json"]))
    body = request.get_data()
    if len(body) > _SMALL and _values_in(body) > MOST_VALUES:  # each would become an object many times its size
        refuse([("", f"The body has more than {MOST_VALUES:,} values.")])
    try:
        value = json.loads(body)
    except RecursionError:
        abort(problem(400, "Invalid JSON", "The body is nested too deeply."))
    except ValueError:  # also for octets that are no text
        abort(respond(PROBLEMS["bad_json"]))
    if not isinstance(value, dict):
        abort(respond(PROBLEMS["bad_json"]))
    try:
        return validated(model, value)
    except Unusable as refused:
        refuse(refused.errors)


class Unusable(ValueError):
    """A value that is no such request; `errors` has (field, sentence) of everything that is wrong."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__(len(errors))
        self.errors = errors


def validated(model: type[Model], value: Any) -> Model:
    """The value as `model`. Raises Unusable."""
    if isinstance(value, dict):
        unknown = [name for name in value if name not in model.model_fields]
        if len(unknown) > MOST_NAMED:  # pydantic would describe each of them
            raise Unusable([(field_of((name,)), _SENTENCES["extra_forbidden"]) for name in unknown])
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise Unusable([(field_of(e["loc"]), _sentence(e)) for e in found]) from None


def _values_in(body: bytes) -> int:
    """How many texts, lists, objects and commas are in it, counted to a little over MOST_VALUES."""
    return sum(1 for _ in islice(_VALUE.finditer(body), MOST_VALUES + 1))


def refuse(errors: list[tuple[str, str]]) -> NoReturn:
    """End the request with 422 and a sentence for each (field, sentence); "" is the request as a whole."""
    abort(respond(refusal(errors)))


def refusal(errors: list[tuple[str, str]], within: str = "") -> dict[str, Any]:
    """The problem document of it; `within` is where in the request the fields lie, such as "messages/3".

    It names MOST_NAMED errors at most, and in one more line how many there are besides.
    """
    more = len(errors) - MOST_NAMED
    errors = errors[:MOST_NAMED]
    places = [("/".join(part for part in (within, field) if part), sentence) for field, sentence in errors]
    listed = [{"pointer": f"#/{place}" if place else "#", "detail": sentence} for place, sentence in places]
    if more > 0:
        listed.append({"pointer": f"#/{within}" if within else "#", "detail": f"And {more:,} more errors."})
    where = ", ".join(sorted({field for field, _ in errors if field}))
    detail = errors[0][1] if len(errors) == 1 and not where else f"Look at: {where or 'the request'}."
    return document(422, "The request can't be accepted as it is", detail, errors=listed)


def field_of(location: tuple[int | str, ...]) -> str:
    return "/".join(str(part)[:_LONGEST_NAME] for part in location)


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
