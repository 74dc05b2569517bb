"""The schemas of tools as vendors take them: an object with properties, and no alternatives at the root."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtools.protocols import PROTOCOLS, load
from llmtools.protocols.request import Request
from llmtools.protocols.schemas import without_alternatives
from llmtools.protocols.strict import strict_obstacle
from llmtools.providers.catalogue import PROVIDERS
from llmtools.records.conversation import Conversation
from llmtools.records.jsonl import loads
from support import schema_rules as rules
from support.strategies import QUICK, json_objects

USER = {"type": "message", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
EMPTY = {"type": "object", "properties": {}}
TEXT = {"type": "string"}


def sent(protocol: str, tool: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the schema of a tool as a protocol sends it, and the codes of the notices."""
    conversation = Conversation([{"type": "tool", "name": "f", **tool}, USER])
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
        ({"type": "object", "$ref": "#/$defs/A", "$defs": {"A": EMPTY}}, {**EMPTY, "$defs": {"A": EMPTY}}),
        ({"type": ["object", "null"], "properties": {"a": TEXT}}, {"type": "object", "properties": {"a": TEXT}}),
    ],
)
def test_a_schema_has_its_type_and_properties(protocol: str, schema: Any, expected: Any) -> None:
    assert sent(protocol, {"input_schema": schema}) == (expected, [])


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
        ({"anyOf": None, "oneOf": "x", "allOf": [{"required": [7, "a"]}], "required": True}, "", ["a"]),
        ({"properties": {"a": TEXT}, "not": {"required": ["b"]}, "enum": [{"a": "x"}]}, "a", None),
    ],
)
def test_alternatives_at_the_root_become_properties(schema: Any, properties: str, required: Any) -> None:
    flat = without_alternatives(schema)
    assert set(flat["properties"]) == set(properties)
    assert flat.get("required") == required
    assert flat.keys().isdisjoint(("anyOf", "oneOf", "allOf", "not", "enum"))
    assert flat.get("$defs") == schema.get("$defs")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_who_gets_them_flat(protocol: str) -> None:
    schema = {"type": "object", "properties": {"a": TEXT}, "anyOf": [{"required": ["a"]}]}
    found, notices = sent(protocol, {"input_schema": schema})
    is_flat = protocol in ("anthropic", "openai-responses")
    assert ("anyOf" in found) is not is_flat
    assert notices == (["changed_schema"] if is_flat else [])


def test_who_gets_them_flat_in_chat() -> None:
    schema = {"type": "object", "properties": {"a": TEXT}, "anyOf": [{"required": ["a"]}]}
    for provider, is_flat in (("azure", True), ("github", True), ("groq", False), ("mistral", False), ("vllm", False)):
        request = Request("m", quirks=PROVIDERS[provider].quirks)
        conversation = Conversation([{"type": "tool", "name": "f", "input_schema": schema}, USER])
        body = loads(load("openai-chat").encode(conversation, request)[0].body)
        assert ("anyOf" not in schemas_in(body["tools"])[0]) is is_flat


def test_alternatives_below_the_root_stay() -> None:
    schema = {"type": "object", "properties": {"a": {"anyOf": [TEXT, {"type": "null"}]}}}
    assert sent("anthropic", {"input_schema": schema}) == (schema, [])


ARRAY = {"type": "array", "items": TEXT}
PAIR = [{"type": "number"}, TEXT]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"type": ["array", "null"]}, {"type": ["array", "null"], "items": {}}),
        ({"type": "array", "prefixItems": PAIR}, {"type": "array", "prefixItems": PAIR, "items": {}}),
        ({"type": "array", "items": PAIR}, {"type": "array", "prefixItems": PAIR, "items": {}}),
        (
            {"type": "array", "items": PAIR, "additionalItems": False},
            {"type": "array", "prefixItems": PAIR, "items": {}, "maxItems": 2},
        ),
        (
            {"type": "array", "items": PAIR, "additionalItems": TEXT, "maxItems": 9},
            {"type": "array", "maxItems": 9, "prefixItems": PAIR, "items": TEXT},
        ),
        ({"anyOf": [ARRAY, {"type": "array"}]}, {"anyOf": [ARRAY, {"type": "array", "items": {}}]}),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, {"type": "integer", "exclusiveMinimum": 1}),
        ({"type": "integer", "maximum": 1, "exclusiveMaximum": False}, {"type": "integer", "maximum": 1}),
        (True, {}),
        ({"anyOf": [True, TEXT]}, {"anyOf": [{}, TEXT]}),
        ({}, {}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"type": "object", "additionalProperties": TEXT}, {"type": "object", "additionalProperties": TEXT}),
        ({"enum": [["array"]], "default": {"type": "array"}}, {"enum": [["array"]], "default": {"type": "array"}}),
    ],
)
def test_a_schema_is_one_of_2020_12_with_whole_arrays(given: Any, expected: Any) -> None:
    """At any place: of a property, named like a keyword or not, of items, of a definition."""
    outer = {"type": "object", "properties": {"items": given, "b": {"type": "array", "items": given}}}
    found, notices = sent("openai-chat", {"input_schema": {**outer, "$defs": {"D": given}}})
    assert found["properties"] == {"items": expected, "b": {"type": "array", "items": expected or given}}
    assert (found["$defs"], notices) == ({"D": given if given is True else expected}, [])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}),
        (
            {"$ref": "#/$defs/A", "description": "d", "default": None},
            {"description": "d", "default": None, "anyOf": [{"$ref": "#/$defs/A"}]},
        ),
        ({"const": "a"}, {"enum": ["a"]}),
        ({"const": 1, "type": "integer"}, {"type": "integer", "enum": [1]}),
        ({"const": None}, {"const": None}),
        ({"type": "object", "additionalProperties": TEXT}, {"type": "object", "additionalProperties": TEXT}),
        ({"type": "array", "items": PAIR}, {"type": "array", "prefixItems": PAIR, "items": {}}),
    ],
)
def test_what_google_takes(given: Any, expected: Any) -> None:
    schema = {"type": "object", "properties": {"a": given}, "$defs": {"A": EMPTY}}
    assert sent("gemini", {"input_schema": schema})[0]["properties"]["a"] == expected


CLOSED = {"type": "object", "properties": {"a": TEXT}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("change", "is_strict"),
    [
        ({}, True),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "title": "T", "description": "d"}, True),
        ({"additionalProperties": True}, False),
        ({"required": []}, False),
        ({"required": ["a", "b"]}, False),
        ({"properties": {"a": {"type": ["string", "null"]}}}, True),
        ({"properties": {"a": {"anyOf": [TEXT, {"type": "null"}]}}}, True),
        ({"properties": {"a": {"type": "string", "default": "x"}}}, False),
        ({"properties": {"a": {"type": "string", "const": "x"}}}, True),
        ({"properties": {"a": {"const": "x"}}}, False),
        ({"properties": {"a": {}}}, False),
        ({"properties": {"a": True}}, False),
        ({"properties": {"a": {"type": "string", "format": "date"}}}, True),
        ({"properties": {"a": {"type": "string", "format": "uri"}}}, False),
        ({"properties": {"a": {"type": "string", "minLength": 1}}}, False),
        ({"properties": {"a": {"type": "string", "pattern": "^a+$"}}}, True),
        ({"properties": {"a": {"type": "string", "pattern": "(?<!b)a"}}}, False),
        ({"properties": {"a": {"type": "integer", "minimum": 1}}}, True),
        ({"properties": {"a": {"type": "array"}}}, False),
        ({"properties": {"a": {**ARRAY, "minItems": 2}}}, True),
        ({"properties": {"a": {"type": "array", "items": PAIR}}}, False),
        ({"properties": {"a": {"type": "object"}}}, False),
        ({"properties": {"a": {"oneOf": [TEXT]}}}, False),
        ({"properties": {"a": {"anyOf": [CLOSED, CLOSED]}}}, False),
        ({"properties": {"a": {"type": "string", "enum": [str(number) for number in range(1001)]}}}, False),
        ({"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": CLOSED}}, True),
        ({"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": EMPTY}}, False),
        ({"properties": {"a": {"$ref": "#"}}}, True),
        ({"properties": {"a": {"$ref": "#/$defs/B"}}}, False),
        ({"properties": {"a": {"$ref": "#/$defs/A", "description": "d"}}, "$defs": {"A": CLOSED}}, False),
    ],
)
def test_a_tool_is_strict_only_if_its_whole_schema_is(change: Any, is_strict: bool) -> None:
    schema = {**CLOSED, **change}
    conversation = Conversation([{"type": "tool", "name": "f", "input_schema": schema}, USER])
    [tool] = loads(load("openai-responses").encode(conversation, Request("m"))[0].body)["tools"]
    assert tool["strict"] is is_strict
    rules.openai_tool(tool["parameters"], is_strict=is_strict)


def nested(levels: int) -> dict[str, Any]:
    """Return a schema of objects in objects."""
    inner: dict[str, Any] = CLOSED
    for _ in range(levels - 1):
        inner = {**CLOSED, "properties": {"a": inner}}
    return inner


def wide(count: int) -> dict[str, Any]:
    """Return a schema of an object with many properties."""
    names = [f"p{number}" for number in range(count)]
    return {**CLOSED, "properties": dict.fromkeys(names, TEXT), "required": names}


@pytest.mark.parametrize(
    ("schema", "is_strict"),
    [(nested(10), True), (nested(11), False), (wide(5000), True), (wide(5001), False), (nested(3000), False)],
)
def test_a_schema_that_is_too_large_is_not_strict(schema: Any, is_strict: bool) -> None:
    assert (strict_obstacle(schema) == "") is is_strict


# Whatever a tool asks for, its vendor takes it


@st.composite
def schemas(draw: st.DrawFn, depth: int = 3) -> Any:
    """A JSON Schema as tools have them: of any draft, with definitions, in good and in bad habits."""
    inner = schemas(depth - 1) if depth else st.just(TEXT)
    leaf = st.sampled_from([
        TEXT, {}, True, {"type": "integer", "minimum": 0}, {"type": ["string", "null"]},
        {"type": "number", "maximum": 2}, {"type": "boolean", "default": True},
        {"const": "x"}, {"enum": ["a", 1, None]}, {"type": "null"},
        {"type": "string", "format": "uri"}, {"type": "string", "format": "date"}, {"type": "array"},
        {"type": "string", "minLength": 1}, {"type": "string", "pattern": "^a"}, {"$ref": "#/$defs/A"},
        {"$ref": "#/$defs/A", "description": "d"}, {"$ref": "#/$defs/B"}, {"type": "object"},
    ])  # fmt: skip
    if not depth or draw(st.booleans()):
        return draw(leaf)
    kind = draw(st.sampled_from(("object", "object", "array", "tuple", "old tuple", "anyOf", "oneOf", "allOf")))
    if kind == "object":
        return draw(objects(inner))
    if kind == "array":
        return {"type": "array", "items": draw(inner)}
    several = draw(st.lists(inner, min_size=1, max_size=3))
    if kind in ("anyOf", "oneOf", "allOf"):
        return {kind: several}
    place = "items" if kind == "old tuple" else "prefixItems"
    rest: Any = draw(st.sampled_from([{}, {"additionalItems": False}, {"maxItems": 2}])) if kind == "old tuple" else {}
    return {"type": "array", place: several, **rest}


@st.composite
def objects(draw: st.DrawFn, inner: Any) -> Any:
    """A JSON Schema of an object, with odd names of properties."""
    names = st.sampled_from(("a", "b", "items", "type", "$ref", "enum", "properties"))
    properties = draw(st.dictionaries(names, inner, max_size=3))
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    required = draw(st.sampled_from(("all", "some", "none")))
    if required != "none":
        schema["required"] = list(properties)[: None if required == "all" else 1]
    return {**schema, **draw(st.sampled_from([{}, {"additionalProperties": False}, {"additionalProperties": TEXT}]))}


@st.composite
def whole_schemas(draw: st.DrawFn) -> Any:
    """A JSON Schema of an object, with the definitions that it may refer to."""
    schema = draw(objects(schemas()))
    more: Any = draw(
        st.sampled_from([{}, {"anyOf": [{"required": ["a"]}]}, {"not": {"required": ["b"]}}, {"title": "T"}])
    )
    recursive = {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}}
    return {**schema, **more, "$defs": {"A": draw(objects(schemas(1))), "B": recursive}}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@QUICK
@given(schema=whole_schemas())
def test_every_vendor_takes_every_tool(protocol: str, schema: Any) -> None:
    conversation = Conversation([{"type": "tool", "name": "f", "input_schema": schema}, USER])
    body = loads(load(protocol).encode(conversation, Request("m"))[0].body)
    [found] = schemas_in(body["tools"])
    rules.TOOL_RULES[protocol](found)
    if protocol == "openai-responses":
        rules.openai_tool(found, is_strict=body["tools"][0]["strict"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@QUICK
@given(schema=json_objects())
def test_no_schema_breaks_a_request(protocol: str, schema: Any) -> None:
    for request in (Request("m"), Request("m", schema=schema)):
        conversation = Conversation([{"type": "tool", "name": "f", "input_schema": schema}, USER])
        load(protocol).encode(conversation, request)


@pytest.mark.parametrize("name", ["filter[id]", "$top", "two words", "é", "x" * 65])
def test_properties_that_anthropic_refuses_by_their_names_are_left_out(name: str) -> None:
    schema = {"type": "object", "properties": {"a": TEXT, name: TEXT}, "required": [name, "a"]}
    found, notices = sent("anthropic", {"input_schema": schema})
    assert found == {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}
    assert notices == ["changed_schema"]
    assert sent("openai-responses", {"input_schema": schema})[0] == schema
    inner = {"type": "object", "properties": {"a": {"type": "object", "properties": {name: TEXT}}}}
    assert sent("anthropic", {"input_schema": inner}) == (inner, [])
