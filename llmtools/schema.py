"""JSON Schemas of answers: the short form, and the check of an answer.

The short form is that of `llm`: fields separated by commas, or by newlines if the text has one.
A field is `NAME [TYPE] [: DESCRIPTION]`, TYPE one of str, int, float, bool. All are required.

    name, age int, bio: one line

`check` knows the keywords that vendors accept for structured output, and skips others.
"""

from __future__ import annotations

import re

from .errors import InputError, NoInputError, UsageError
from .records.jsonl import Number, is_same, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_FIELD = re.compile(r"\s*(?P<name>[^\s:,]+)(?:\s+(?P<type>[a-z]+))?\s*(?::\s*(?P<description>.*?))?\s*", re.DOTALL)


def schema_from_text(text: str) -> dict[str, Any]:
    """Return the schema of a text: JSON, the name of a JSON file, or the short form.

    Raises UsageError or NoInputError.
    """
    if text.lstrip().startswith("{"):
        return _object(text, "the schema")
    if text.endswith(".json"):
        return _object(_read_text(text), text)
    return schema_from_short_form(text)


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise NoInputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a JSON Schema: not UTF-8 text") from None


def _object(text: str, source: str) -> dict[str, Any]:
    try:
        schema = loads(text)
    except InputError as error:
        raise UsageError(f"{source}: {error.message}") from None
    if type(schema) is not dict:
        raise UsageError(f"{source}: not a JSON Schema: not an object")
    return schema


def schema_from_short_form(text: str) -> dict[str, Any]:
    """Return the schema of a text in the short form. Raises UsageError."""
    properties: dict[str, Any] = {}
    for field in text.split("\n" if "\n" in text.strip() else ","):
        if not field.strip():
            continue
        match = _FIELD.fullmatch(field)
        kind = (match["type"] or "str") if match else ""
        if not match or kind not in _TYPES:
            raise UsageError(f"--schema: {field.strip()!r} is not NAME [str|int|float|bool] [: DESCRIPTION]")
        properties[match["name"]] = {"type": _TYPES[kind]}
        if match["description"]:
            properties[match["name"]]["description"] = match["description"]
    if not properties:
        raise UsageError("--schema: it has no field")
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def schema_of_list(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object whose `items` is a list of values of `schema`."""
    return {
        "type": "object",
        "properties": {"items": {"type": "array", "items": schema}},
        "required": ["items"],
        "additionalProperties": False,
    }


def parse_answer(text: str, schema: dict[str, Any]) -> Any:
    """Return the JSON value of an answer. Raises InputError for one that does not fit its schema."""
    try:
        value = loads(text)
    except InputError as error:
        raise InputError(f"the answer is {error.message}") from None
    try:
        check(value, schema, schema, "the answer")
    except (TypeError, AttributeError, RecursionError):
        raise InputError("the answer cannot be checked: its schema is not valid") from None
    return value


_KINDS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(value, float) and not isinstance(value, Number) and value.is_integer())
    ),
}
_BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
}
_LENGTHS = {
    "minLength": (str, lambda length, bound: length >= bound),
    "maxLength": (str, lambda length, bound: length <= bound),
    "minItems": (list, lambda length, bound: length >= bound),
    "maxItems": (list, lambda length, bound: length <= bound),
}


def check(value: Any, schema: Any, root: dict[str, Any], place: str) -> None:
    """Check a value against its schema; `root` is the schema that a $ref points into.

    Raises InputError with the place of the first error.
    """
    if schema is False:
        raise InputError(f"{place}: must be absent")
    if type(schema) is not dict:
        return
    if isinstance(schema.get("$ref"), str):
        check(value, _resolve_ref(schema["$ref"], root), root, place)
    _check_kind(value, schema, place)
    _check_bounds(value, schema, place)
    _check_choices(value, schema, root, place)
    if isinstance(value, dict):
        _check_members(value, schema, root, place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check(item, schema.get("items", True), root, f"{place}[{index}]")


def _resolve_ref(reference: str, root: dict[str, Any]) -> Any:
    target: Any = root
    for name in reference.removeprefix("#").split("/")[1:]:
        target = target.get(name.replace("~1", "/").replace("~0", "~"), True) if isinstance(target, dict) else True
    return target


def _check_kind(value: Any, schema: dict[str, Any], place: str) -> None:
    kinds = schema.get("type")
    names = [kinds] if isinstance(kinds, str) else kinds or []
    if names and not any(_KINDS.get(name, lambda _: True)(value) for name in names):
        raise InputError(f"{place}: must be of type {' or '.join(names)}")
    if "enum" in schema and not any(is_same(value, choice) for choice in schema["enum"]):
        raise InputError(f"{place}: must be one of the enumerated values")
    if "const" in schema and not is_same(value, schema["const"]):
        raise InputError(f"{place}: must be the constant of the schema")


def _check_bounds(value: Any, schema: dict[str, Any], place: str) -> None:
    if _KINDS["number"](value):
        for name, holds in _BOUNDS.items():
            if name in schema and not holds(value, schema[name]):
                raise InputError(f"{place}: does not keep to {name} {schema[name]}")
    for name, (kind, holds_length) in _LENGTHS.items():
        if name in schema and isinstance(value, kind) and not holds_length(len(value), schema[name]):
            raise InputError(f"{place}: does not keep to {name} {schema[name]}")
    if isinstance(value, str) and "pattern" in schema and not _matches(schema["pattern"], value):
        raise InputError(f"{place}: does not match {schema['pattern']}")


def _matches(pattern: str, text: str) -> bool:
    """Return whether a text matches. A pattern that Python does not know (`\\p{L}`) matches."""
    try:
        return bool(re.search(pattern, text))
    except re.error:
        return True


def _check_choices(value: Any, schema: dict[str, Any], root: dict[str, Any], place: str) -> None:
    for one in schema.get("allOf", ()):
        check(value, one, root, place)
    for name in ("anyOf", "oneOf"):
        if name in schema and not any(_holds(value, one, root, place) for one in schema[name]):
            raise InputError(f"{place}: fits no schema of {name}")


def _holds(value: Any, schema: Any, root: dict[str, Any], place: str) -> bool:
    try:
        check(value, schema, root, place)
    except InputError:
        return False
    return True


def _check_members(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], place: str) -> None:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            raise InputError(f"{place}: {name} is missing")
    for name, item in value.items():
        check(item, properties.get(name, schema.get("additionalProperties", True)), root, f"{place}.{name}")
