"""Schemas: what the short form means, and how a value is held against one."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from llmtools import schema
from llmtools.errors import InputError, NoInputError, UsageError
from llmtools.tools.calls import refusal_reason
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
    ({"type": ["string", "null"]}, None),
    ({"type": "number"}, 1),
    ({"enum": ["a", 1, None]}, None),
    ({"enum": [1.0]}, 1),
    ({"const": {"a": [1]}}, {"a": [1]}),
    ({"minimum": 5}, "not a number"),
    ({"minLength": 2, "maxLength": 2}, "🙂🙂"),
    ({"pattern": "b+"}, "abba"),
    ({"pattern": r"^\p{L}+$"}, "a pattern that Python cannot read"),
    ({"multipleOf": 0.01}, 19.99),
    ({"multipleOf": 0.1}, 0.3),
    (TREE, {"value": 1, "next": {"value": 2.5, "next": None}}),
    ({"$ref": "#/$defs/a~1b~0c", "$defs": TREE["$defs"]}, "x"),
    ({"$ref": "#here", "$defs": {"a": {"$anchor": "here", "type": "string"}}}, "x"),
    ({"$ref": "other.json", "$id": "https://example.com/a.json", "$defs": {"b": {"$id": "other.json"}}}, "x"),
    ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, ["a", 1, 2]),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}, ["a", 1]),
    ({"$schema": "http://json-schema.org/draft-04/schema#", "maximum": 1, "exclusiveMaximum": True}, 0),
    ({"$schema": "https://example.com/unheard-of", "type": "string"}, "x"),
    ({"patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False}, {"ab": "x"}),
    ({"format": "email", "unheardOf": 1}, "anything"),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "format": "date"}, "anything"),
]

BREAKS: list[tuple[Any, Any, str]] = [
    (PERSON, {"name": "Ada"}, r"the answer: 'age' is a required property"),
    (PERSON, {"name": 1, "age": 1}, r"the answer\.name: 1 is not of type 'string'"),
    (PERSON, {"name": "Ada", "age": 1.5}, r"answer\.age"),
    (PERSON, {"name": "Ada", "age": True}, r"answer\.age"),
    (PERSON, {"name": "Ada", "age": 1, "more": 1}, "'more' was unexpected"),
    (PERSON, [], "type 'object'"),
    (False, 1, "does not allow 1"),
    ({"type": "number"}, True, "number"),
    ({"enum": [1]}, True, "is not one of"),
    ({"const": "a"}, "b", "was expected"),
    ({"minimum": 1}, 0, "minimum"),
    ({"multipleOf": 0.01}, 0.015, "multiple"),
    ({"maxLength": 1}, "ab", "too long"),
    ({"minItems": 2}, [], "too short"),
    ({"pattern": "^b"}, "ab", "match"),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 1, "1 is not"),
    ({"oneOf": [{"type": "integer"}, {"minimum": 0}]}, 1, "valid under each"),
    ({"items": {"type": "integer"}}, [1, "x"], r"the answer\[1\]: 'x'"),
    ({"additionalProperties": {"type": "integer"}}, {"a": "x"}, r"answer\.a"),
    ({"patternProperties": {"^a": {"type": "string"}}}, {"ab": 1}, r"answer\.ab"),
    ({"prefixItems": [{"type": "string"}]}, [1], r"answer\[0\]"),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}, [1], r"answer\[0\]"),
    ({"$schema": "http://json-schema.org/draft-04/schema#", "maximum": 1, "exclusiveMaximum": True}, 1, "maximum"),
    ({"$ref": "#here", "$defs": {"a": {"$anchor": "here", "type": "string"}}}, 1, "string"),
    (TREE, {"value": 1, "next": {"value": 2}}, r"answer\.next: 'next' is a required"),
    ({"$ref": "#/$defs/a~1b~0c", "$defs": TREE["$defs"]}, 1, "string"),
]


@pytest.mark.parametrize(("described_by", "value"), HOLDS)
def test_what_fits_its_schema(described_by: Any, value: Any) -> None:
    schema.check(value, described_by, "the answer")
    if isinstance(described_by, dict):
        assert schema.parse_answer(json.dumps(value), described_by) == value


@pytest.mark.parametrize(("described_by", "value", "says"), BREAKS)
def test_what_does_not_fit_is_refused_with_its_place(described_by: Any, value: Any, says: str) -> None:
    with pytest.raises(InputError, match=says) as refused:
        schema.check(value, described_by, "the answer")
    assert not isinstance(refused.value, schema.SchemaError)


def test_an_error_repeats_no_long_value() -> None:
    with pytest.raises(InputError, match=r"^the answer: \[0, 1.* … .* is not of type 'string'$") as refused:
        schema.check(list(range(100_000)), {"type": "string"}, "the answer")
    assert len(refused.value.message) < 400


@pytest.mark.parametrize(
    ("text", "described_by", "fits"),
    [
        ("1e400", {"type": "integer"}, False),
        ("1e400", {"type": "number", "minimum": 1}, True),
        ("1e999999999", {"multipleOf": 0.5}, True),
        ("18446744073709551617", {"type": "integer", "multipleOf": 2}, False),
        ("18446744073709551617", {"const": 18446744073709551617}, True),
        ("18446744073709551617", {"const": 18446744073709551616}, False),
    ],
)
def test_numbers_are_exact(text: str, described_by: Any, fits: bool) -> None:
    with contextlib.nullcontext() if fits else pytest.raises(InputError, match="the answer: "):
        schema.parse_answer(text, described_by)


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ({"pattern": 7}, r"\$\.pattern: 7 is not of type 'string'"),
        ({"properties": {"a": {"minLength": "3"}}}, r"\$\.properties\.a\.minLength: '3'"),
        ({"required": None, "properties": []}, "is not valid"),
        ({"enum": 5}, "is not valid"),
        ({"anyOf": {}}, "is not valid"),
        ({"type": "unheard of"}, "is not valid"),
        ({"type": [["string"]]}, "is not valid"),
        ({"$schema": 7}, "is not valid"),
        ({"$ref": "#/no/where"}, "refers to #/no/where, which is not in it"),
        ({"properties": {"a": {"$ref": "https://example.com/a.json"}}}, "nothing is fetched"),
        ({"$ref": "#/x", "x": {"properties": {"a": {"$ref": "https://example.com/a.json"}}}}, "nothing is fetched"),
        ({"patternProperties": {r"\p{L}": {}}}, "has a pattern that cannot be read"),
    ],
)
def test_an_invalid_schema_is_an_error_of_its_own(odd: dict[str, Any], says: str, tmp_path: Path) -> None:
    """It may come from a stream. An answer is not taken for right where that cannot be known."""
    for value in ({"a": 1}, {"a": "x"}):
        with pytest.raises(schema.SchemaError, match=f"the answer cannot be checked: the schema .*{says}"):
            schema.parse_answer(json.dumps(value), odd)


@pytest.mark.parametrize("text", ['{"minLength": "3"}', '{"$ref": "https://example.com/a.json"}', '{"$ref": "#/a"}'])
def test_a_schema_that_is_given_is_checked(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^the schema (is not valid|refers to)"):
        schema.schema_from_text(text)
    (tmp_path / "some.json").write_text(text)
    with pytest.raises(UsageError, match=r"some\.json (is not valid|refers to)"):
        schema.schema_from_text(str(tmp_path / "some.json"))


def _doubling(levels: int) -> dict[str, Any]:
    """Return a schema that asks for 2 ** levels references."""
    levels_of = {f"l{each}": {"allOf": [{"$ref": f"#/$defs/l{each + 1}"}] * 2} for each in range(levels)}
    return {"$ref": "#/$defs/l0", "$defs": {**levels_of, f"l{levels}": {}}}


def _dynamic(levels: int) -> dict[str, Any]:
    return {
        f"l{each}": {"$dynamicAnchor": f"l{each}", "allOf": [{"$dynamicRef": f"#l{min(each + 1, levels)}"}] * 2}
        for each in range(levels)
    } | {f"l{levels}": {"$dynamicAnchor": f"l{levels}"}}


@pytest.mark.parametrize(
    ("looping", "says"),
    [
        ({"$ref": "#"}, "leads back"),
        ({"anyOf": [{"$ref": "#"}]}, "leads back"),
        ({"$ref": "#/a", "a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}}, "leads back"),
        ({"$dynamicRef": "#a", "$dynamicAnchor": "a"}, "leads back"),
        (_doubling(100), "takes too long"),
        ({"$dynamicRef": "#l0", "$defs": _dynamic(100)}, "takes too long"),
    ],
)
def test_a_schema_that_has_no_end_is_refused(
    looping: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "CHECK_TIME", 0.2)
    with pytest.raises(schema.SchemaError, match=says):
        schema.parse_answer("1", looping)


A = "a" * 40 + "!"
SLOW: list[tuple[dict[str, Any], Any]] = [
    ({"pattern": "^(a+)+$"}, A),
    ({"pattern": "^(a|aa)+$"}, A),
    ({"pattern": "a*a*a*a*a*a*a*a*a*a*b"}, "a" * 300),
    ({"pattern": "(.*.*.*)*x"}, "a" * 100),
    ({"properties": {"a": {"items": {"pattern": "^(a+)+$"}}}}, {"a": [A]}),
    ({"patternProperties": {"^(a+)+$": {}}}, {A: 1}),
    ({"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}, {A: 1}),
    ({"uniqueItems": True}, [{"a": each} for each in range(100_000)]),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"pattern": "^(a+)+$"}}}, A),
]


@pytest.mark.parametrize(
    ("hostile", "value"), [*SLOW[:1], *(pytest.param(*each, marks=pytest.mark.slow) for each in SLOW[1:])]
)
def test_a_pattern_that_takes_for_ever_is_an_error(
    hostile: dict[str, Any], value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "CHECK_TIME", 1.0)
    with pytest.raises(schema.SchemaError, match="the schema takes too long to check"):
        schema.parse_answer(json.dumps(value), hostile)


def test_a_call_whose_arguments_take_for_ever_to_check_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "CHECK_TIME", 1.0)
    hostile = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    tool: Any = {"type": "tool", "name": "f", "input_schema": hostile}
    call: Any = {"type": "tool_call", "name": "f", "arguments": {"a": "a" * 40 + "!"}, "tool_call_id": "c"}
    why = refusal_reason(call, {"f": tool}, {"f": tool})
    assert why == "the call was not run: the schema of its arguments takes too long to check"


@pytest.mark.parametrize(
    ("pattern", "fits", "breaks"),
    [
        ("^(a|b)+$", "abba", "abc"),
        (r"^(\d{4})-(\d{2})$", "2026-11", "2026"),
        (r"^\S+@\S+$", "x" * 2000 + "@y", "x" * 2000),
        ("a{99999999999999}", "what Python cannot read fits", None),
        ("(" * 5000 + ")" * 5000, "this too", None),
        ("(?<n>a)", "this too", None),
    ],
)
def test_a_pattern_that_may_take_long_is_checked_all_the_same(pattern: str, fits: str, breaks: str | None) -> None:
    schema.check({"a": fits}, {"properties": {"a": {"pattern": pattern}}}, "the answer")
    if breaks is not None:
        with pytest.raises(InputError, match=r"^the answer\.a: .* does not match ") as refused:
            schema.check({"a": breaks}, {"properties": {"a": {"pattern": pattern}}}, "the answer")
        assert not isinstance(refused.value, schema.SchemaError)


@pytest.mark.parametrize("text", ["", "no", "{", "```json\n{}\n```", "NaN", "[" * 2000])
def test_invalid_json_is_not_an_answer(text: str) -> None:
    with pytest.raises(InputError, match="the answer"):
        schema.parse_answer(text, {})
