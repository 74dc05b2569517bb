"""The schema of an answer as Anthropic's structured outputs take it.

Rules (https://platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema
limitations", and what the vendor's SDK does):
* Every object is closed. One that must be open, a schema that contains itself or lacks a type, and
  more optional properties or unions than the limits allow have no such form.
* A keyword that the vendor does not take becomes part of the description, in words that the model
  reads. The answer is checked against the whole schema by `llm-parts --json`.
* oneOf is anyOf. An enum or a const needs no type.
"""

from __future__ import annotations

import re

from ...records.jsonl import dumps
from ..json_fields import list_of
from ..schemas import (
    DEEPEST,
    children_of,
    map_schema,
    modern_schema,
    properties_of,
    reference_in,
    types_of,
    without_reference,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..json_fields import JsonObject

OPTIONAL_PROPERTIES, UNIONS = 24, 16
"""The most properties that are not required, and parameters of several types, of one schema."""

_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_LARGEST = 5000
"""The schemas that are looked at, each as often as it is referred to."""
_WORDS = (
    "type title description properties required additionalProperties items minItems enum const anyOf allOf $ref $defs "
    "definitions $schema default format pattern"
)
_KEYWORDS = frozenset(_WORDS.split())
_UNKNOWN_PATTERN = re.compile(r"\(\?(?!:)|\\[1-9bB]")
"""Matches what a pattern must not have: groups that look around, references, boundaries of words."""


def answer_schema(schema: JsonObject) -> tuple[JsonObject, list[str], str]:
    """Return the schema as the vendor takes it, the keywords that became descriptions, and why there is
    no such schema, "" if there is."""
    form = _Form()
    closed: JsonObject = map_schema(modern_schema(without_reference(schema)), form.close)
    return closed, sorted(form.described), form.obstacle or _obstacle_of(closed)


class _Form:
    """Brings the schemas of one schema into form."""

    def __init__(self) -> None:
        self.described: set[str] = set()
        self.obstacle = ""

    def close(self, schema: JsonObject) -> JsonObject:
        """Return a schema, whose inner ones are in form, in form."""
        schema = _one_way(schema)
        is_object = "object" in types_of(schema) or "properties" in schema
        if is_object and schema.get("additionalProperties", False) is not False:
            self.obstacle = self.obstacle or "an object must be closed"
        elif is_object and not properties_of(schema) and "additionalProperties" not in schema:
            self.obstacle = self.obstacle or "an object must name its properties"
        elif is_object and ("anyOf" in schema or "allOf" in schema):
            self.obstacle = self.obstacle or "an object has alternatives beside its properties"
        elif is_object:
            schema = {"type": "object", **schema, "additionalProperties": False}
        unknown = [name for name in schema if not _is_known(name, schema[name])]
        if unknown:
            words = ", ".join(f"{name}: {dumps(schema[name]).decode()}" for name in unknown)
            schema = {name: value for name, value in schema.items() if name not in unknown}
            text = schema.get("description")
            schema["description"] = f"{text}\n\n{{{words}}}" if isinstance(text, str) and text else f"{{{words}}}"
            self.described.update(unknown)
        return schema


def _one_way(schema: JsonObject) -> JsonObject:
    """Return a schema in the words that the vendor has for what it says."""
    schema = {name: value for name, value in schema.items() if not name.startswith("$") or name in _KEYWORDS}
    if "oneOf" in schema and "anyOf" not in schema:
        schema["anyOf"] = schema.pop("oneOf")
    if "$ref" in schema and schema.keys() - {"$ref", "$defs", "definitions", "$schema"} and "anyOf" not in schema:
        schema["anyOf"] = [{"$ref": schema.pop("$ref")}]
    if "prefixItems" in schema and schema.get("items") in ({}, False):
        schema["items"] = {"anyOf": schema["prefixItems"]}
    if schema.get("items") == {}:
        del schema["items"]
    return schema


def _is_known(name: str, value: Any) -> bool:
    if name == "minItems":
        return value in (0, 1)
    if name == "format":
        return value in _FORMATS
    if name == "pattern":
        return isinstance(value, str) and not _UNKNOWN_PATTERN.search(value)
    if name in ("enum", "const"):
        values = value if name == "enum" and isinstance(value, list) else [value]
        return bool(values) and not any(isinstance(one, (dict, list)) for one in values)
    return name in _KEYWORDS


def _obstacle_of(schema: JsonObject) -> str:
    """Return why the vendor does not take a schema whose objects are closed, "" if it does."""
    count = _Count(schema)
    return (
        count.obstacle_in(schema, (), 0)
        or ("too many properties are optional" if count.optional > OPTIONAL_PROPERTIES else "")
        or ("too many properties have several types" if count.unions > UNIONS else "")
    )


class _Count:
    """Looks for what has no form, and counts what is limited."""

    def __init__(self, root: JsonObject) -> None:
        self.optional = self.unions = 0
        self._root = root
        self._visited = 0

    def obstacle_in(self, schema: Any, references: tuple[str, ...], depth: int) -> str:
        """Return why a schema has no form, "" if it has one. `references`: those that led to it."""
        self._visited += 1
        if not isinstance(schema, dict):
            return "it is not made of objects"
        if depth > DEEPEST or self._visited > _LARGEST:
            return "it is too large"
        reference = schema.get("$ref")
        if reference is not None:
            target = reference_in(self._root, reference)
            if not isinstance(target, dict) or reference in references or reference == "#":
                return "it contains itself" if isinstance(target, dict) else f"$ref {reference} is not in the schema"
            return self.obstacle_in(target, (*references, reference), depth + 1)
        if not {"type", "anyOf", "allOf", "enum", "const"} & schema.keys():
            return "a value has no type"
        if any(isinstance(one, dict) and {"$ref", "properties"} & one.keys() for one in list_of(schema.get("allOf"))):
            return "allOf has objects or references"  # objects that are closed exclude each other
        self.optional += sum(name not in list_of(schema.get("required")) for name in properties_of(schema))
        self.unions += "anyOf" in schema or len(types_of(schema)) > 1
        if self.optional > OPTIONAL_PROPERTIES or self.unions > UNIONS:
            return ""
        inner = [child for name, child in children_of(schema) if name not in _NOT_VALUES]
        return next((found for child in inner if (found := self.obstacle_in(child, references, depth + 1))), "")


_NOT_VALUES = ("$defs", "definitions", "additionalProperties")
