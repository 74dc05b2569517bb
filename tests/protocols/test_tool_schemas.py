"""The schemas of tools as vendors take them: an object with properties, and no alternatives at the root."""

from __future__ import annotations

from typing import Any

import pytest

from llmtools.protocols import PROTOCOLS, load
from llmtools.protocols.builder import without_alternatives
from llmtools.protocols.request import Request
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import loads

EMPTY = {"type": "object", "properties": {}}
TEXT = {"type": "string"}


def sent(protocol: str, tool: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the schema of a tool as a protocol sends it, and the codes of the notices."""
    user = {"type": "message", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
    conversation = Conversation([{"type": "tool", "name": "f", **tool}, user])
    request, notices = load(protocol).encode(conversation, Request("m"))
    [found] = schemas_in(loads(request.body)["tools"])
    return found, [notice["code"] for notice in notices]


def schemas_in(value: Any) -> list[dict[str, Any]]:
    """Return the schemas of functions, by the names that vendors give them."""
    if isinstance(value, list):
        return [schema for item in value for schema in schemas_in(item)]
    if not isinstance(value, dict):
        return []
    names = ("parameters", "input_schema", "parametersJsonSchema")
    here = [value[name] for name in names if name in value]
    return here or [schema for item in value.values() for schema in schemas_in(item)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object"}, EMPTY),
        ({}, EMPTY),
        ({"description": "Nothing"}, {**EMPTY, "description": "Nothing"}),
        ({"properties": {"a": TEXT}}, {"type": "object", "properties": {"a": TEXT}}),
        ({"type": "object", "additionalProperties": False}, {**EMPTY, "additionalProperties": False}),
        ({"type": "object", "$ref": "#/$defs/A", "$defs": {"A": EMPTY}}, None),
    ],
)
def test_a_schema_has_its_type_and_properties(protocol: str, schema: Any, expected: Any) -> None:
    assert sent(protocol, {"input_schema": schema}) == (schema if expected is None else expected, [])


def test_a_tool_without_a_schema() -> None:
    for protocol in PROTOCOLS:
        assert sent(protocol, {}) == (EMPTY, [])


@pytest.mark.parametrize(
    ("schema", "properties", "required"),
    [
        ({"properties": {"a": TEXT, "b": TEXT}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, "ab", None),
        ({"anyOf": [{"properties": {"a": TEXT}, "required": ["a"]}, {"properties": {"b": TEXT}}]}, "ab", None),
        ({"oneOf": [{"$ref": "#/$defs/A"}, {"type": "null"}], "$defs": {"A": {"properties": {"a": TEXT}}}}, "a", None),
        ({"properties": {"a": TEXT}, "required": ["a"], "allOf": [{"properties": {"b": TEXT}}]}, "ba", ["a"]),
        ({"allOf": [{"properties": {"a": TEXT}, "required": ["a"]}, {"required": ["a"]}]}, "a", ["a"]),
        ({"anyOf": [True, {"$ref": "#/elsewhere"}]}, "", None),
    ],
)
def test_alternatives_at_the_root_become_properties(schema: Any, properties: str, required: Any) -> None:
    flat = without_alternatives(schema)
    assert set(flat["properties"]) == set(properties)
    assert flat.get("required") == required
    assert flat.keys().isdisjoint(("anyOf", "oneOf", "allOf"))
    assert flat.get("$defs") == schema.get("$defs")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_who_gets_them_flat(protocol: str) -> None:
    schema = {"type": "object", "properties": {"a": TEXT}, "anyOf": [{"required": ["a"]}]}
    found, notices = sent(protocol, {"input_schema": schema})
    is_flat = protocol in ("anthropic", "openai-responses")
    assert ("anyOf" in found) is not is_flat
    assert notices == (["changed_schema"] if is_flat else [])


def test_alternatives_below_the_root_stay() -> None:
    schema = {"type": "object", "properties": {"a": {"anyOf": [TEXT, {"type": "null"}]}}}
    assert sent("anthropic", {"input_schema": schema}) == (schema, [])
