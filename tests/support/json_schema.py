"""A checker for the part of JSON Schema (2020-12) that openapi.json uses; a keyword it doesn't know is an error."""

import re
from datetime import datetime
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
_SAYING_NOTHING = {"title", "description", "default", "examples"}


def check(document: dict[str, Any], schema: dict[str, Any], value: Any, at: str = "#") -> list[str]:
    """What is wrong with `value`; a property that the schema doesn't name is wrong, too."""
    if "$ref" in schema:
        schema = resolve(document, schema["$ref"])
    wrong: list[str] = []
    for keyword, wanted in schema.items():
        match keyword:
            case "type":
                good = isinstance(value, _TYPES[wanted]) and not (wanted == "integer" and isinstance(value, bool))
            case "enum":
                good = value in wanted
            case "const":
                good = value == wanted
            case "minLength" | "minItems":
                good = not isinstance(value, str | list) or len(value) >= wanted
            case "maxProperties":
                good = not isinstance(value, dict) or len(value) <= wanted
            case "propertyNames":
                good = all(not check(document, wanted, name, at) for name in value)
            case "maxLength" | "maxItems":
                good = not isinstance(value, str | list) or len(value) <= wanted
            case "minimum":
                good = not isinstance(value, int) or value >= wanted
            case "format":
                assert wanted == "date-time", wanted
                good = isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
            case "required":
                good = all(name in value for name in wanted)
            case "anyOf":
                good = any(not check(document, option, value, at) for option in wanted)
            case "items":
                good = True
                for number, item in enumerate(value):
                    wrong += check(document, wanted, item, f"{at}/{number}")
            case "properties":
                good = isinstance(value, dict) and value.keys() <= wanted.keys()
                for name in value.keys() & wanted.keys() if isinstance(value, dict) else ():
                    wrong += check(document, wanted[name], value[name], f"{at}/{name}")
            case "additionalProperties":
                good = True
                named = schema.get("properties", {})
                for name in value.keys() - named.keys() if isinstance(wanted, dict) else ():
                    wrong += check(document, wanted, value[name], f"{at}/{name}")
            case _:
                assert keyword in _SAYING_NOTHING, f"a keyword that this checker doesn't know: {keyword}"
                good = True
        if not good:
            wrong.append(f"{at}: {keyword} {wanted!r:.80} against {value!r:.80}")
    return wrong


def resolve(document: dict[str, Any], reference: str) -> Any:
    """What a `$ref` within the document leads to. Raises KeyError where that is nothing."""
    assert re.fullmatch(r"#(/[\w~]+)+", reference), reference
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found
