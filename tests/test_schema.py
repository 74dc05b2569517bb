"""Schemas: what the short form means, and how a value is held against one."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from llmtools import schema
from llmtools.errors import InputError, NoInputError, UsageError
from support.schemas import described

SHORT: list[tuple[str, dict[str, Any]]] = [
    ("name", described(name="string")),
    ("name, age int", described(name="string", age="integer")),
    ("a str, b int, c float, d bool", described(a="string", b="integer", c="number", d="boolean")),
    ("name, bio: one line", described(name="string", bio={"type": "string", "description": "one line"})),
    ("age int: in years,name", described(age={"type": "integer", "description": "in years"}, name="string")),
    ("age int : x : y", described(age={"type": "integer", "description": "x : y"})),
    ("  name  ,\tage  int  ", described(name="string", age="integer")),
    ("name,", described(name="string")),
    ("name\nage int", described(name="string", age="integer")),
    ("\nname: the first, then the last\n\nage int\n", {}),
    ("größe float, first_name, x-y", described(größe="number", first_name="string", **{"x-y": "string"})),
    ("name:", described(name="string")),
]
SHORT[9] = (
    SHORT[9][0],
    described(name={"type": "string", "description": "the first, then the last"}, age="integer"),
)


@pytest.mark.parametrize(("text", "means"), SHORT)
def test_the_short_form(text: str, means: dict[str, Any]) -> None:
    found = schema.schema_from_text(text)
    assert found == means
    assert list(found["properties"]) == list(means["properties"])


@pytest.mark.parametrize(
    "text", ["", " ", ",", "\n", "name string", "age int int", "age INT", ": words", "a b c", "a 7"]
)
def test_an_invalid_short_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        schema.schema_from_text(text)


def test_a_json_schema_is_taken_as_it_is(tmp_path: Path) -> None:
    text = ' {"type": "array", "items": {"type": "integer", "maximum": 18446744073709551616}}'
    assert schema.schema_from_text(text) == json.loads(text)
    path = tmp_path / "some.json"
    path.write_text(text)
    assert schema.schema_from_text(str(path)) == json.loads(text)


@pytest.mark.parametrize("text", ["{", '{"a": }', "{} {}"])
def test_invalid_json_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the schema"):
        schema.schema_from_text(text)
    path = tmp_path / "some.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"some\.json"):
        schema.schema_from_text(str(path))


def test_a_file_that_holds_no_schema(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    for content in (b"[]", b"1", b"\xff\xff"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"some\.json"):
            schema.schema_from_text(str(path))
    with pytest.raises(NoInputError, match=r"missing\.json"):
        schema.schema_from_text(str(tmp_path / "missing.json"))


# The check

PERSON = schema.schema_from_short_form("name, age int")
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "number"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["value", "next"],
            "additionalProperties": False,
        },
        "a/b~c": {"type": "string"},
    },
}

HOLDS: list[tuple[Any, Any]] = [
    (PERSON, {"name": "Ada", "age": 36}),
    (PERSON, {"age": 36.0, "name": ""}),
    ({}, [1, None, {"a": True}]),
    (True, 1),
    ({"type": "object"}, {"any": 1}),
    ({"type": ["string", "null"]}, None),
    ({"type": "unheard of"}, 1),
    ({"type": "number"}, 1),
    ({"type": "boolean"}, False),
    ({"enum": ["a", 1, None]}, None),
    ({"enum": [1.0]}, 1),
    ({"const": {"a": [1]}}, {"a": [1]}),
    ({"minimum": 1, "maximum": 1}, 1),
    ({"exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
    ({"minimum": 5}, "not a number"),
    ({"minLength": 2, "maxLength": 2}, "🙂🙂"),
    ({"minItems": 1, "maxItems": 2}, [1]),
    ({"minItems": 5}, "not a list"),
    ({"pattern": "b+"}, "abba"),
    ({"pattern": "^a"}, 7),
    ({"allOf": [{"type": "string"}, {"minLength": 1}]}, "a"),
    ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, 1),
    ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "1"),
    ({"items": {"type": "integer"}}, [1, 2, 3]),
    ({"additionalProperties": {"type": "integer"}}, {"a": 1}),
    ({"properties": {"a": {"type": "integer"}}}, {"b": "x"}),
    (TREE, {"value": 1, "next": {"value": 2.5, "next": None}}),
    ({"$ref": "#/$defs/a~1b~0c", "$defs": TREE["$defs"]}, "x"),
    ({"$ref": "#/no/where"}, 1),
    ({"format": "email", "unheardOf": 1}, "anything"),
]

BREAKS: list[tuple[Any, Any, str]] = [
    (PERSON, {"name": "Ada"}, "age is missing"),
    (PERSON, {"name": 1, "age": 1}, "answer.name"),
    (PERSON, {"name": "Ada", "age": 1.5}, "answer.age"),
    (PERSON, {"name": "Ada", "age": True}, "answer.age"),
    (PERSON, {"name": "Ada", "age": 1, "more": 1}, "answer.more"),
    (PERSON, [], "type object"),
    (False, 1, "must be absent"),
    ({"type": ["string", "null"]}, 1, "string or null"),
    ({"type": "number"}, True, "number"),
    ({"type": "number"}, "1", "number"),
    ({"type": "boolean"}, 0, "boolean"),
    ({"type": "null"}, False, "null"),
    ({"enum": [1]}, True, "enumerated"),
    ({"enum": []}, 1, "enumerated"),
    ({"const": "a"}, "b", "constant"),
    ({"minimum": 1}, 0, "minimum"),
    ({"maximum": 1}, 1.5, "maximum"),
    ({"exclusiveMinimum": 0}, 0, "exclusiveMinimum"),
    ({"exclusiveMaximum": 1}, 1, "exclusiveMaximum"),
    ({"minLength": 2}, "🙂", "minLength"),
    ({"maxLength": 1}, "ab", "maxLength"),
    ({"minItems": 1}, [], "minItems"),
    ({"maxItems": 1}, [1, 2], "maxItems"),
    ({"pattern": "^b"}, "ab", "match"),
    ({"allOf": [{"type": "string"}, {"minLength": 2}]}, "a", "minLength"),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 1, "anyOf"),
    ({"oneOf": [{"type": "string"}]}, 1, "oneOf"),
    ({"items": {"type": "integer"}}, [1, "x"], r"answer\[1\]"),
    ({"additionalProperties": {"type": "integer"}}, {"a": "x"}, "answer.a"),
    (TREE, {"value": 1, "next": {"value": 2}}, "anyOf"),
    ({"$ref": "#/$defs/a~1b~0c", "$defs": TREE["$defs"]}, 1, "string"),
]


@pytest.mark.parametrize(("described_by", "value"), HOLDS)
def test_what_fits_its_schema(described_by: Any, value: Any) -> None:
    schema.check(value, described_by, described_by, "the answer")
    if isinstance(described_by, dict):
        assert schema.parse_answer(json.dumps(value), described_by) == value


@pytest.mark.parametrize(("described_by", "value", "says"), BREAKS)
def test_what_does_not_fit_is_refused_with_its_place(described_by: Any, value: Any, says: str) -> None:
    with pytest.raises(InputError, match=says) as refused:
        schema.check(value, described_by, described_by, "the answer")
    assert refused.value.message.startswith("the answer")


@pytest.mark.parametrize(
    "odd",
    [
        {"pattern": 7},
        {"minimum": "a", "minLength": None},
        {"required": None, "properties": []},
        {"enum": 5},
        {"anyOf": {}},
        {"type": 7},
        {"type": [["string"]]},
    ],
)
def test_an_invalid_schema_does_not_crash_the_check(odd: dict[str, Any]) -> None:
    """It may come from a stream. An answer is not taken for right where that cannot be known."""
    for value in ("x", 1, {"a": 1}, ["x"]):
        with contextlib.suppress(InputError):
            assert schema.parse_answer(json.dumps(value), odd) == value


def test_a_pattern_that_python_cannot_read_is_passed_over() -> None:
    assert schema.parse_answer('"x"', {"pattern": r"^\p{L}+$"}) == "x"


@pytest.mark.parametrize(
    "looping", [{"$ref": "#"}, {"anyOf": [{"$ref": "#"}]}, {"$ref": "#/a", "a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}}]
)
def test_a_schema_that_leads_back_to_itself_is_refused(looping: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        schema.parse_answer("1", looping)


@pytest.mark.parametrize("text", ["", "no", "{", "```json\n{}\n```", "NaN", "[" * 2000])
def test_invalid_json_is_not_an_answer(text: str) -> None:
    with pytest.raises(InputError, match="the answer"):
        schema.parse_answer(text, {})
