"""JSON Schemas as vendors take them: of the arguments of tools, and of answers.

Rules, which hold whether or not a vendor is asked for its strict mode:
* A schema is one of JSON Schema 2020-12. Tuples and bounds of older drafts are rewritten, which
  several vendors refuse ("It must match JSON Schema draft 2020-12").
* An array has `items` ("array schema missing items"), and a place for a schema holds an object.
* The arguments of a tool are an object with `properties`, and not a reference.
* What nests deeper than `DEEPEST` stays as it is: it cannot be written as JSON.
"""

from __future__ import annotations

from .json_fields import list_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..records.types import ToolRecord
    from .json_fields import JsonObject

DEEPEST = 200
"""The levels of a schema that are looked at."""

ALTERNATIVES = ("anyOf", "oneOf", "allOf")
NOT_AT_ROOT = (*ALTERNATIVES, "not", "enum")
"""Keywords that a tool's schema must not have at its root at some vendors ("schema must have type 'object' and
not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level")."""

_ONE = (
    *("items", "additionalItems", "additionalProperties", "unevaluatedItems", "unevaluatedProperties", "contains"),
    *("propertyNames", "not", "if", "then", "else", "contentSchema"),
)
_LISTS = (*ALTERNATIVES, "prefixItems", "items")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def children_of(schema: JsonObject) -> Iterator[tuple[str, Any]]:
    """Yield the schemas that are directly in a schema, each with its keyword."""
    for keyword, value in schema.items():
        if keyword in _NAMED and isinstance(value, dict):
            yield from ((keyword, child) for child in value.values())
        elif keyword in _LISTS and isinstance(value, list):
            yield from ((keyword, child) for child in value)
        elif keyword in _ONE and not isinstance(value, list):
            yield keyword, value


def map_schema(schema: Any, change: Callable[[JsonObject], JsonObject], depth: int = 0) -> Any:
    """Return a copy of a schema in which `change` has replaced each schema, the inner ones first."""
    if not isinstance(schema, dict) or depth > DEEPEST:
        return schema
    copy: JsonObject = {}
    for keyword, value in schema.items():
        if keyword in _NAMED and isinstance(value, dict):
            value = {name: map_schema(child, change, depth + 1) for name, child in value.items()}
        elif keyword in _LISTS and isinstance(value, list):
            value = [map_schema(child, change, depth + 1) for child in value]
        elif keyword in _ONE:
            value = map_schema(value, change, depth + 1)
        copy[keyword] = value
    return change(copy)


def types_of(schema: JsonObject) -> list[Any]:
    """Return the types that a schema names, [] if it names none."""
    kinds = schema.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]


def properties_of(schema: JsonObject) -> JsonObject:
    """Return the properties of a schema, {} if it has none."""
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def modern_schema(schema: JsonObject) -> JsonObject:
    """Return a schema in the words of JSON Schema 2020-12, with `items` in each array. It means the same."""
    modern: JsonObject = map_schema(schema, _modernize)
    return modern if modern == schema else {name: value for name, value in modern.items() if name != "$schema"}


def _modernize(schema: JsonObject) -> JsonObject:
    if isinstance(schema.get("items"), list):
        schema = _tuple(schema)
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        is_exclusive = schema.get(exclusive)
        if isinstance(is_exclusive, bool):  # draft 4
            schema = {name: value for name, value in schema.items() if name != exclusive}
            if is_exclusive and bound in schema:
                schema[exclusive] = schema.pop(bound)
    if "items" not in schema and ("array" in types_of(schema) or "prefixItems" in schema):
        schema = {**schema, "items": {}}
    for keyword in _LISTS:
        if isinstance(schema.get(keyword), list):
            schema[keyword] = [_without_true(child) for child in schema[keyword]]
    if properties := properties_of(schema):
        schema["properties"] = {name: _without_true(child) for name, child in properties.items()}
    return schema


def _without_true(schema: Any) -> Any:
    """Return `{}` for `true`, which means the same."""
    return {} if schema is True else schema


def _tuple(schema: JsonObject) -> JsonObject:
    """Return the schema of a tuple, whose `items` is a list, in the words of 2020-12."""
    places, rest = schema["items"], schema.get("additionalItems", True)
    schema = {name: value for name, value in schema.items() if name not in ("items", "additionalItems")}
    schema.setdefault("prefixItems", places)
    schema["items"] = rest if isinstance(rest, dict) else {}
    if rest is False:
        most = schema.get("maxItems")
        schema["maxItems"] = min(most, len(places)) if type(most) is int else len(places)
    return schema


def reference_in(root: JsonObject, reference: Any) -> Any:
    """Return what a reference within a schema means, None if there is no such place."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    place: Any = root
    for name in reference[1:].split("/")[1:]:
        place = place.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(place, dict) else None
    return place


# ---- tools


def parameters_of(tool: ToolRecord) -> JsonObject:
    """Return the JSON Schema of a tool's arguments. One of an object has `type` and `properties`, without
    which vendors refuse it (https://platform.openai.com/docs/guides/function-calling)."""
    schema: JsonObject = {"type": "object", **tool.get("input_schema", {})}
    schema = modern_schema(without_reference(schema))
    if "object" in types_of(schema):
        schema["type"] = "object"
    is_complete = schema["type"] != "object" or "properties" in schema or "$ref" in schema
    return schema if is_complete else {**schema, "properties": {}}


def without_reference(schema: JsonObject) -> JsonObject:
    """Return a schema whose root is not a reference, if the reference can be followed."""
    for _ in range(DEEPEST):
        target = reference_in(schema, schema.get("$ref"))
        if "$ref" not in schema or not isinstance(target, dict) or target is schema:
            break
        schema = {**target, **{name: value for name, value in schema.items() if name != "$ref"}}
    return schema


def without_alternatives(schema: JsonObject) -> JsonObject:
    """Return a schema without the keywords of `NOT_AT_ROOT` at its root. The properties in anyOf, oneOf and
    allOf are allowed, those of allOf are required as they were."""
    branches = [(name, _definition(one, schema)) for name in ALTERNATIVES for one in list_of(schema.get(name))]
    properties, required = properties_of(schema), _required_names(schema)
    for name, branch in branches:
        properties = {**properties_of(branch), **properties}
        required += _required_names(branch) if name == "allOf" else []
    rest = {name: value for name, value in schema.items() if name not in NOT_AT_ROOT}
    return {**rest, "properties": properties, **({"required": list(dict.fromkeys(required))} if required else {})}


def without_properties(schema: JsonObject, names: list[str]) -> JsonObject:
    """Return the schema of an object without some of its properties, which are not required either."""
    properties = {name: value for name, value in properties_of(schema).items() if name not in names}
    rest: JsonObject = {**schema, "properties": properties}
    if "required" in schema:
        rest["required"] = [name for name in list_of(schema["required"]) if name not in names]
    return rest


def _required_names(schema: JsonObject) -> list[str]:
    return [name for name in list_of(schema.get("required")) if isinstance(name, str)]


def _definition(branch: Any, root: JsonObject) -> JsonObject:
    """Return a branch of a schema, that to which it refers instead of a reference."""
    target = reference_in(root, branch["$ref"]) if isinstance(branch, dict) and "$ref" in branch else branch
    found = branch if target is None else target
    return found if isinstance(found, dict) else {}


# ---- Google


def google_schema(schema: JsonObject) -> JsonObject:
    """Return a JSON Schema as Google takes it: a reference is alone, and a constant is an enum
    (https://ai.google.dev/api/generate-content#FIELDS.response_json_schema)."""
    found: JsonObject = map_schema(modern_schema(schema), _google_form)
    return found


def _google_form(schema: JsonObject) -> JsonObject:
    if "$ref" in schema and any(not name.startswith("$") for name in schema) and "anyOf" not in schema:
        schema = {name: value for name, value in schema.items() if name != "$ref"} | {
            "anyOf": [{"$ref": schema["$ref"]}]
        }
    if isinstance(schema.get("const"), str | int | float) and not isinstance(schema["const"], bool):
        schema = {**{name: value for name, value in schema.items() if name != "const"}, "enum": [schema["const"]]}
    return schema
