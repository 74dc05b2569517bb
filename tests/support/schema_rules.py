"""The rules of vendors for JSON Schemas, as they publish them, each written once.

They judge what is sent: they are not made of the code under test. Sources: OpenAI, "Structured
Outputs: Supported schemas", and the words of its refusals; Anthropic, "Structured outputs: JSON Schema
limitations", and the words of its refusals; Google, `responseJsonSchema` in the API reference; Ollama,
the types of its API; mistral-common, its validator of tools.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema

Schema = dict[str, Any]

SINGLE = ("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else", "additionalItems")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")


class RefusedError(Exception):
    """What a vendor says of a schema."""


def nodes(schema: Any, depth: int = 0) -> Iterator[tuple[Any, int]]:
    """Yield each schema in a schema, and in how many others it is."""
    yield schema, depth
    if not isinstance(schema, dict):
        return
    for name in SINGLE:
        if name in schema:
            yield from nodes(schema[name], depth + 1)
    for name in LISTS:
        for child in schema.get(name, ()):
            yield from nodes(child, depth + 1)
    for name in MAPS:
        for child in schema.get(name, {}).values():
            yield from nodes(child, depth + 1)


def kinds(schema: Any) -> list[str]:
    """Return the types that a schema names."""
    found = schema.get("type", []) if isinstance(schema, dict) else []
    return [found] if isinstance(found, str) else found


def refuse(is_wrong: Any, why: str) -> None:
    """Raise RefusedError if something is wrong."""
    if is_wrong:
        raise RefusedError(why)


def check_draft(schema: Schema, validator: Any = jsonschema.Draft202012Validator) -> None:
    """Refuse a schema that is not one of its draft."""
    try:
        validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise RefusedError(f"JSON schema is invalid: {error.message}") from None


# Tools


def openai_tool(schema: Schema, *, is_strict: bool = False) -> None:
    """The parameters of a function at OpenAI."""
    check_draft(schema)
    refuse(schema.get("type") != "object", "schema must be a JSON Schema of 'type: \"object\"'")
    refuse("properties" not in schema, "object schema missing properties")
    refuse({"anyOf", "oneOf", "allOf", "enum", "not"} & schema.keys(), "not allowed at the top level")
    openai_arrays(schema)
    if is_strict:
        openai_strict(schema)


def chat_tool(schema: Schema) -> None:
    """The parameters of a function at a server of Chat Completions that is not OpenAI."""
    check_draft(schema)
    check_draft(schema, jsonschema.Draft7Validator)  # mistral-common
    refuse(schema.get("type") != "object" or "properties" not in schema, "not an object with properties")
    openai_arrays(schema)


def anthropic_tool(schema: Schema) -> None:
    """The input_schema of a tool at Anthropic."""
    check_draft(schema)
    refuse(schema.get("type") != "object", "input_schema.type: Field required")
    refuse({"anyOf", "oneOf", "allOf"} & schema.keys(), "input_schema does not support oneOf, allOf, or anyOf")
    odd = [name for name in schema.get("properties", {}) if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,64}", name)]
    refuse(odd, "Property keys should match pattern")


def google_schema(schema: Schema) -> None:
    """A JSON Schema at Google: of an answer, or of a function's parameters."""
    check_draft(schema)
    for node, _ in nodes(schema):
        if isinstance(node, dict):
            is_alone = "$ref" not in node or all(name.startswith("$") for name in node)
            refuse(not is_alone, "$ref has fields beside it")
            refuse("array" in kinds(node) and "items" not in node, "items: missing field")


def ollama_tool(schema: Schema) -> None:
    """The parameters of a function in the types of Ollama's API (api.ToolFunctionParameters)."""
    refuse(not isinstance(schema.get("type"), str), "type is not a string")
    refuse(not isinstance(schema.get("required", []), list), "required is not a list")
    for value in schema["properties"].values():
        refuse(not isinstance(value, dict), "a property is not an object")


TOOL_RULES: dict[str, Callable[[Schema], None]] = {
    "openai-chat": chat_tool,
    "openai-responses": openai_tool,
    "anthropic": anthropic_tool,
    "gemini": google_schema,
    "gemini-interactions": google_schema,
    "ollama": ollama_tool,
}


# The strict mode of OpenAI, and its answers


def openai_arrays(schema: Schema) -> None:
    """Refuse arrays that do not say what they hold."""
    for node, _ in nodes(schema):
        refuse("array" in kinds(node) and "items" not in node, "array schema missing items")


OPENAI_KEYWORDS = {
    *("type", "title", "description", "properties", "required", "additionalProperties", "items", "enum", "const"),
    *("anyOf", "$ref", "$defs", "definitions", "$schema", "pattern", "format", "multipleOf", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"),
}
OPENAI_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}


def openai_answer(schema: Schema, *, is_strict: bool) -> None:
    """The schema of an answer at OpenAI."""
    check_draft(schema)
    refuse(schema.get("type") != "object", "schema must be a JSON Schema of 'type: \"object\"'")
    refuse({"anyOf", "oneOf", "allOf"} & schema.keys(), "the root must not be anyOf")
    openai_arrays(schema)
    if is_strict:
        openai_strict(schema)


def openai_strict(schema: Schema) -> None:
    """Refuse a schema that is not in the strict mode, all through."""
    sizes = {"properties": 0, "choices": 0, "characters": 0}
    for node, _ in nodes(schema):
        if node is False:  # additionalProperties
            continue
        refuse(not isinstance(node, dict), f"{node} is not a schema")
        refuse(node.keys() - OPENAI_KEYWORDS, f"{node.keys() - OPENAI_KEYWORDS} is not permitted")
        refuse("$ref" in node and node.keys() - {"$ref", "$defs", "definitions", "$schema"}, "$ref has other keywords")
        refuse(not {"type", "anyOf", "$ref"} & node.keys(), "schema must have a 'type' key")
        refuse("format" in node and node["format"] not in OPENAI_FORMATS, "format is not supported")
        refuse(re.search(r"\(\?[=!<]", node.get("pattern", "")), "look-around is not supported")
        openai_strict_object(node)
        choices = [*node.get("enum", ()), *([node["const"]] if "const" in node else [])]
        refuse(any(isinstance(choice, dict | list) for choice in choices), "enum holds an object")
        refuse("enum" in node and not node["enum"], "enum is empty")
        length = sum(len(str(choice)) for choice in choices)
        refuse(len(choices) > 250 and length > 15000, "enum is too long")
        sizes["properties"] += len(node.get("properties", {}))
        sizes["choices"] += len(node.get("enum", ()))
        sizes["characters"] += length + sum(map(len, [*node.get("properties", {}), *node.get("$defs", {})]))
        firsts = [next(iter(one.get("properties", {}).items()), None) for one in node.get("anyOf", ())]
        found = [first for first in firsts if first]
        refuse(any(first in found[:place] for place, first in enumerate(found)), "identical first keys")
    refuse(sizes["properties"] > 5000, "more than 5000 properties")
    refuse(sizes["choices"] > 1000, "more than 1000 enum values")
    refuse(sizes["characters"] > 120_000, "more than 120,000 characters")
    refuse(levels(schema, schema, ()) > 10, "more than 10 levels of nesting")


def openai_strict_object(node: Schema) -> None:
    """Refuse an object that is open, or has a property that may be absent."""
    if "object" in kinds(node) or "properties" in node:
        refuse(node.get("additionalProperties") is not False, "'additionalProperties' is required to be false")
        names, required = set(node.get("properties", {})), set(node.get("required", ()))
        refuse("properties" not in node, "object schema missing properties")
        refuse(names - required, f"'required' is missing {names - required}")
        refuse(required - names, f"extra required key {required - names}")


def levels(schema: Any, root: Schema, seen: tuple[str, ...]) -> int:
    """Return how deep objects are in objects; a schema that contains itself counts once."""
    if not isinstance(schema, dict):
        return 0
    reference = schema.get("$ref")
    if reference:
        return 0 if reference in seen else levels(target(root, reference), root, (*seen, reference))
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), schema.get("items")]
    return ("object" in kinds(schema)) + max((levels(one, root, seen) for one in inner), default=0)


def target(root: Schema, reference: str) -> Any:
    """Return what a reference means. Raises RefusedError if there is no such place."""
    place: Any = root
    for name in reference.removeprefix("#").split("/")[1:]:
        refuse(not isinstance(place, dict) or name not in place, f"{reference} is not defined")
        place = place[name]
    return place


# Anthropic's answers

ANTHROPIC_KEYWORDS = {
    *("type", "title", "description", "properties", "required", "additionalProperties", "items", "minItems", "enum"),
    *("const", "anyOf", "allOf", "$ref", "$defs", "definitions", "$schema", "default", "format", "pattern"),
}
ANTHROPIC_FORMATS = OPENAI_FORMATS | {"uri"}


def anthropic_answer(schema: Schema) -> None:
    """The schema of an answer at Anthropic."""
    check_draft(schema)
    optional = unions = 0
    for node, _ in nodes(schema):
        if node is False:
            continue
        refuse(not isinstance(node, dict), f"{node} is not a schema")
        refuse(node.keys() - ANTHROPIC_KEYWORDS, f"{node.keys() - ANTHROPIC_KEYWORDS} is not supported")
        refuse(not {"type", "anyOf", "allOf", "enum", "const", "$ref"} & node.keys(), "a schema has no type")
        refuse(node.get("minItems", 0) not in (0, 1), "minItems must be 0 or 1")
        refuse("format" in node and node["format"] not in ANTHROPIC_FORMATS, "format is not supported")
        is_object = "object" in kinds(node) or "properties" in node
        refuse(is_object and node.get("additionalProperties") is not False, "additionalProperties must be false")
        choices = [*node.get("enum", ()), node.get("const")]
        refuse(any(isinstance(choice, dict | list) for choice in choices), "complex types within enums")
        refuse(any("$ref" in one for one in node.get("allOf", ())), "allOf with $ref")
        optional += len(set(node.get("properties", {})) - set(node.get("required", ())))
        unions += "anyOf" in node or len(kinds(node)) > 1
    refuse(optional > 24, "more than 24 optional parameters")
    refuse(unions > 16, "more than 16 union types")
    refuse(contains_itself(schema, schema, ()), "recursive schemas")


def contains_itself(schema: Any, root: Schema, seen: tuple[str, ...]) -> bool:
    """Return whether following the references of a schema leads back to it."""
    for node, _ in nodes(schema):
        reference = node.get("$ref") if isinstance(node, dict) else None
        if reference and (reference in seen or contains_itself(target(root, reference), root, (*seen, reference))):
            return True
    return False
