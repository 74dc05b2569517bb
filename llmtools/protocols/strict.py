"""The strict mode of OpenAI's structured outputs, in Chat Completions and in Responses.

Rules (https://developers.openai.com/api/docs/guides/structured-outputs, "Supported schemas"):
* A tool is strict only if its schema already is what the mode takes, all through.
* The schema of an answer is first narrowed to the form of the mode, if every answer that fits
  the narrow one fits the schema too: objects are closed, words that only describe are left out.
  If the mode does not take it even so, the schema is sent as it is, and not as strict.
"""

from __future__ import annotations

import re

from .json_fields import list_of
from .schemas import (
    ALTERNATIVES,
    DEEPEST,
    children_of,
    map_schema,
    properties_of,
    reference_in,
    types_of,
    without_reference,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .json_fields import JsonObject

LEVELS, PROPERTIES, CHOICES, CHARACTERS = 10, 5000, 1000, 120_000
"""The most levels of objects and arrays, properties, values of enums, and characters of names and
values of one schema."""
MANY_CHOICES, CHARACTERS_OF_MANY = 250, 15_000
"""An enum of more values than the first has at most so many characters as the second."""

_TYPES = ("string", "number", "boolean", "integer", "object", "array", "null")
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
_WORDS = (
    "type title description properties required additionalProperties items enum const anyOf $ref $defs definitions "
    "$schema pattern format multipleOf minimum maximum exclusiveMinimum exclusiveMaximum minItems maxItems"
)
_KEYWORDS = frozenset(_WORDS.split())
_NOTES = ("default", "examples", "example", "$comment", "$id", "deprecated", "readOnly", "writeOnly")
"""Keywords that only describe a value."""
_UNKNOWN_PATTERN = re.compile(r"\(\?(?!:)|\\[1-9]")
"""Matches what a pattern must not have: groups that look around, references to groups."""
_BESIDE_REFERENCE = frozenset(("$ref", "$defs", "definitions", "$schema"))
_NAMED_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def strict_answer(schema: JsonObject) -> tuple[JsonObject, str]:
    """Return the schema of an answer as it is sent, and why it is not strict, "" if it is."""
    narrow: JsonObject = map_schema(without_reference(schema), _narrow)
    obstacle = strict_obstacle(narrow)
    return (schema, obstacle) if obstacle else (narrow, "")


def _narrow(schema: JsonObject) -> JsonObject:
    """Return a schema, whose inner ones are narrow, in the form of the strict mode as far as it has one."""
    schema = {name: value for name, value in schema.items() if name not in _NOTES}
    if "$ref" in schema and schema.keys() - _BESIDE_REFERENCE:
        schema = {"anyOf": [{"$ref": schema.pop("$ref")}], **schema} if "anyOf" not in schema else schema
    choices = list_of(schema.get("enum")) if "enum" in schema else [schema["const"]] if "const" in schema else []
    if choices and not {"type", "anyOf"} & schema.keys():
        kinds = list(dict.fromkeys(_NAMED_TYPES.get(type(choice), "") for choice in choices))
        schema["type"] = kinds[0] if len(kinds) == 1 else kinds
    if properties_of(schema) and schema.keys().isdisjoint((*ALTERNATIVES, "$ref", "if", "patternProperties")):
        schema.setdefault("type", "object")
        schema.setdefault("additionalProperties", False)
    return schema


def strict_obstacle(schema: Any) -> str:
    """Return why the strict mode does not take a schema, "" if it does."""
    if not isinstance(schema, dict) or schema.get("type") != "object" or "anyOf" in schema:
        return "its root is not simply an object"
    try:
        _Check(schema).check(schema, "", 0)
    except _NotStrictError as error:
        return str(error)
    return ""


class _NotStrictError(Exception):
    """Says why a schema is not strict."""


class _Check:
    """Checks one schema, and counts what it has."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._properties = self._choices = self._characters = 0
        self._levels: dict[str, int] = {}

    def check(self, schema: Any, place: str, depth: int) -> None:
        """Raise _NotStrictError for the first thing that the mode does not take."""
        at = f"at {place}: " if place else ""
        if depth > DEEPEST or not isinstance(schema, dict):
            raise _NotStrictError(f"{at}no object" if depth <= DEEPEST else "it nests too deep")
        if obstacle := next((found for check in _CHECKS if (found := check(schema))), ""):
            raise _NotStrictError(at + obstacle)
        reference = schema.get("$ref")
        if reference is not None and not isinstance(reference_in(self._root, reference), dict):
            raise _NotStrictError(f"{at}$ref {reference} is not in the schema")
        self._count(schema)
        if not place and self._levels_of(schema, 0) > LEVELS:
            raise _NotStrictError(f"more than {LEVELS} levels")
        names = list(properties_of(schema))
        for keyword, child in children_of(schema):
            step = names.pop(0) if keyword == "properties" else keyword
            if keyword != "additionalProperties":
                self.check(child, f"{place}.{step}" if place else step, depth + 1)

    def _count(self, schema: JsonObject) -> None:
        definitions = [schema[name] for name in ("$defs", "definitions") if isinstance(schema.get(name), dict)]
        names = [*properties_of(schema), *(name for names in definitions for name in names)]
        values = [*list_of(schema.get("enum")), *([schema["const"]] if "const" in schema else [])]
        self._properties += len(properties_of(schema))
        self._choices += len(list_of(schema.get("enum")))
        self._characters += sum(len(str(text)) for text in (*names, *values))
        if self._properties > PROPERTIES or self._choices > CHOICES or self._characters > CHARACTERS:
            raise _NotStrictError("it is too large")

    def _levels_of(self, schema: Any, depth: int) -> int:
        """Return the levels of objects and arrays from a schema on; one that refers to itself counts once."""
        if not isinstance(schema, dict) or depth > DEEPEST:
            return 0
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference not in self._levels:
                self._levels[reference] = 0
                self._levels[reference] = self._levels_of(reference_in(self._root, reference), depth + 1)
            return self._levels[reference]
        inner = [child for keyword, child in children_of(schema) if keyword not in ("$defs", "definitions")]
        own = 1 if {"object", "array"} & set(map(str, types_of(schema))) else 0
        return own + max((self._levels_of(child, depth + 1) for child in inner), default=0)


def _keyword_obstacle(schema: JsonObject) -> str:
    unknown = sorted(schema.keys() - _KEYWORDS)
    if unknown:
        return f"{unknown[0]} is not allowed"
    if "$ref" in schema and schema.keys() - _BESIDE_REFERENCE:
        return "$ref is not alone"
    return "" if {"type", "anyOf", "$ref"} & schema.keys() else "it has no type"


def _object_obstacle(schema: JsonObject) -> str:
    if "object" not in types_of(schema) and "properties" not in schema:
        return ""
    properties, required = schema.get("properties"), schema.get("required", [])
    if not isinstance(properties, dict) or "anyOf" in schema:
        return "an object without simple properties"
    if schema.get("additionalProperties") is not False:
        return "additionalProperties is not false"
    if not isinstance(required, list) or any(not isinstance(name, str) or name not in properties for name in required):
        return "required names other things than properties"
    return next((f"{name} is not required" for name in properties if name not in required), "")


def _value_obstacle(schema: JsonObject) -> str:
    kinds, choices = types_of(schema), schema.get("enum", [None])
    if not all(kind in _TYPES for kind in kinds) or schema.get("type") == []:
        return "its type is not known"
    if ("array" in kinds or "items" in schema) and not isinstance(schema.get("items"), dict):
        return "an array without items"
    if not isinstance(choices, list) or not choices or any(isinstance(one, (dict, list)) for one in choices):
        return "enum is not a list of simple values"
    if isinstance(schema.get("const"), (dict, list)):
        return "const is not a simple value"
    if len(choices) > MANY_CHOICES and sum(len(str(one)) for one in choices) > CHARACTERS_OF_MANY:
        return "enum is too long"
    return ""


def _text_obstacle(schema: JsonObject) -> str:
    if schema.get("format", _FORMATS[0]) not in _FORMATS:
        return f"format {schema['format']} is not allowed"
    pattern = schema.get("pattern", "")
    return "pattern looks around" if not isinstance(pattern, str) or _UNKNOWN_PATTERN.search(pattern) else ""


def _alternative_obstacle(schema: JsonObject) -> str:
    """Members of anyOf must differ in their first property ("must not share identical first keys")."""
    members = schema.get("anyOf", [{}])
    if not isinstance(members, list) or not members:
        return "anyOf is not a list of schemas"
    firsts = [next(iter(properties_of(member).items()), None) for member in members if isinstance(member, dict)]
    found = [first for first in firsts if first is not None]
    is_shared = any(first in found[:place] for place, first in enumerate(found))
    return "objects of anyOf begin with the same property" if is_shared else ""


_CHECKS = (_keyword_obstacle, _object_obstacle, _value_obstacle, _text_obstacle, _alternative_obstacle)
