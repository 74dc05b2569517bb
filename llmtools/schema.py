"""Schemas for answers: the short form, and the check of what came.

The short form, as `llm` has it: fields separated by commas (or, where a newline is in it, by
newlines), each `NAME [TYPE] [: DESCRIPTION]`, TYPE one of str, int, float, bool; all required.

    name, age int, bio: one line

`check` knows the keywords that vendors take in structured output; others it passes over.
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


def from_text(text: str) -> dict[str, Any]:
    """Return the schema that a text means: JSON, the name of a file of JSON, or the short form.

    Raises UsageError or NoInputError.
    """
    if text.lstrip().startswith("{"):
        return _object(text, "the schema")
    if text.endswith(".json"):
        return _object(_read(text), text)
    return from_short(text)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise NoInputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: no JSON Schema, not even text") from None


def _object(text: str, source: str) -> dict[str, Any]:
    try:
        schema = loads(text)
    except InputError as error:
        raise UsageError(f"{source}: {error.message}") from None
    if type(schema) is not dict:
        raise UsageError(f"{source}: a JSON Schema is an object")
    return schema


def from_short(text: str) -> dict[str, Any]:
    """Return the schema that the short form means. Raises UsageError."""
    properties: dict[str, Any] = {}
    for field in text.split("\n" if "\n" in text.strip() else ","):
        if not field.strip():
            continue
        match = _FIELD.fullmatch(field)
        kind = (match["type"] or "str") if match else ""
        if not match or kind not in _TYPES:
            raise UsageError(f"--schema: {field.strip()!r} is no NAME [str|int|float|bool] [: DESCRIPTION]")
        properties[match["name"]] = {"type": _TYPES[kind]}
        if match["description"]:
            properties[match["name"]]["description"] = match["description"]
    if not properties:
        raise UsageError("--schema: names no field")
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def many(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object whose `items` is a list of what `schema` describes."""
    return {
        "type": "object",
        "properties": {"items": {"type": "array", "items": schema}},
        "required": ["items"],
        "additionalProperties": False,
    }


def parsed(text: str, schema: dict[str, Any]) -> Any:
    """Return the JSON value that an answer is, held against its schema. Raises InputError."""
    try:
        value = loads(text)
    except InputError as error:
        raise InputError(f"the answer is {error.message}") from None
    try:
        check(value, schema, schema, "the answer")
    except (TypeError, AttributeError, RecursionError):
        raise InputError("the answer: its schema is none that can be checked") from None
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
    """Refuse a value that its schema does not describe; `root` is where $ref looks.

    Raises InputError with the place of what is wrong.
    """
    if schema is False:
        raise InputError(f"{place}: nothing may stand here")
    if type(schema) is not dict:
        return
    if isinstance(schema.get("$ref"), str):
        check(value, _resolved(schema["$ref"], root), root, place)
    _check_kind(value, schema, place)
    _check_bounds(value, schema, place)
    _check_choices(value, schema, root, place)
    if isinstance(value, dict):
        _check_object(value, schema, root, place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check(item, schema.get("items", True), root, f"{place}[{index}]")


def _resolved(reference: str, root: dict[str, Any]) -> Any:
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
        raise InputError(f"{place}: must be the constant that is named")


def _check_bounds(value: Any, schema: dict[str, Any], place: str) -> None:
    if _KINDS["number"](value):
        for name, holds in _BOUNDS.items():
            if name in schema and not holds(value, schema[name]):
                raise InputError(f"{place}: breaks {name} {schema[name]}")
    for name, (kind, holds_length) in _LENGTHS.items():
        if name in schema and isinstance(value, kind) and not holds_length(len(value), schema[name]):
            raise InputError(f"{place}: breaks {name} {schema[name]}")
    if isinstance(value, str) and "pattern" in schema and not _matches(schema["pattern"], value):
        raise InputError(f"{place}: does not match {schema['pattern']}")


def _matches(pattern: str, text: str) -> bool:
    """Return whether a text matches; a pattern that Python has no word for (`\\p{L}`) is passed over."""
    try:
        return bool(re.search(pattern, text))
    except re.error:
        return True


def _check_choices(value: Any, schema: dict[str, Any], root: dict[str, Any], place: str) -> None:
    for one in schema.get("allOf", ()):
        check(value, one, root, place)
    for name in ("anyOf", "oneOf"):
        if name in schema and not any(_holds(value, one, root, place) for one in schema[name]):
            raise InputError(f"{place}: fits none of {name}")


def _holds(value: Any, schema: Any, root: dict[str, Any], place: str) -> bool:
    try:
        check(value, schema, root, place)
    except InputError:
        return False
    return True


def _check_object(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], place: str) -> None:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            raise InputError(f"{place}: {name} is missing")
    for name, item in value.items():
        check(item, properties.get(name, schema.get("additionalProperties", True)), root, f"{place}.{name}")


def is_strict(schema: Any) -> bool:
    """Return whether a JSON Schema can be asked for strictly: every object in it requires
    all its properties and allows no others."""
    pending = [schema]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending += item
        elif isinstance(item, dict):
            said = item.get("properties")
            properties = said if isinstance(said, dict) else {}
            if item.get("type") == "object" or "properties" in item:
                required = item.get("required", [])
                if item.get("additionalProperties") is not False or not isinstance(required, list):
                    return False
                if any(name not in required for name in properties):
                    return False
                pending += properties.values()
            pending += [value for name, value in item.items() if name not in ("properties", "enum", "const")]
    return True
