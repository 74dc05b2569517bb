"""Python functions as tools: hints and docstrings to JSON Schema, JSON to values, values to results."""

from __future__ import annotations

import enum
import functools
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NewType, Optional, Required, TypedDict
from uuid import UUID

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtools.errors import InputError
from llmtools.records.jsonl import Number
from llmtools.tools.calls import Result
from llmtools.tools.function import (
    input_schema,
    parse_docstring,
    record_and_notices,
    result_of,
    tool_record,
    values_of,
)
from llmtools.tools.hints import convert, schema_of_hint


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclass
class Point:
    x: int
    y: float = 0.0
    tags: list[str] = field(default_factory=list)


class Options(TypedDict, total=False):
    name: Required[str]
    size: int


@dataclass
class Counted:
    size: Annotated[int, "how big"]
    total: int = field(init=False, default=0)
    count: ClassVar[int] = 0


ID = UUID("12345678-1234-5678-1234-567812345678")
INT, STR = {"type": "integer"}, {"type": "string"}
POINT = {
    "type": "object",
    "properties": {"x": INT, "y": {"type": "number"}, "tags": {"type": "array", "items": STR}},
    "required": ["x"],
}


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, STR),
        (int, INT),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (None, {"type": "null"}),
        (Any, {}),
        (object, {}),
        (Optional[str], {"anyOf": [STR, {"type": "null"}]}),  # noqa: UP045
        (int | str, {"anyOf": [INT, STR]}),
        (list, {"type": "array", "items": {}}),
        (list[int], {"type": "array", "items": INT}),
        (Sequence[str], {"type": "array", "items": STR}),
        (set[int], {"type": "array", "items": INT}),
        (set, {"type": "array", "items": {}}),
        (tuple[int, ...], {"type": "array", "items": INT}),
        (tuple[int, str], {"type": "array", "items": {"anyOf": [INT, STR]}, "minItems": 2, "maxItems": 2}),
        (tuple[int, int], {"type": "array", "items": INT, "minItems": 2, "maxItems": 2}),
        (tuple[int, Any], {"type": "array", "items": {}, "minItems": 2, "maxItems": 2}),
        (tuple, {"type": "array", "items": {}}),
        (dict, {"type": "object"}),
        (dict[str, int], {"type": "object", "additionalProperties": INT}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a", 1, "b"], {"anyOf": [{**STR, "enum": ["a", "b"]}, {**INT, "enum": [1]}]}),
        (Colour, {"type": "string", "enum": ["red", "green"]}),
        (Annotated[int, "how many"], {**INT, "description": "how many"}),
        (Point, POINT),
        (Options, {"type": "object", "properties": {"name": STR, "size": INT}, "required": ["name"]}),
        (Literal[Colour.RED], {"type": "string", "enum": ["red"]}),
        (Path, STR),
        (date, STR),
        (UUID, STR),
        (IPv4Address, STR),
        (Decimal, {"type": "number"}),
        (NewType("Id", int), INT),
        (Mapping[str, int], {"type": "object", "additionalProperties": INT}),
        (Counted, {"type": "object", "properties": {"size": {**INT, "description": "how big"}}, "required": ["size"]}),
        (list[Point | None], {"type": "array", "items": {"anyOf": [POINT, {"type": "null"}]}}),
    ],
)
def test_hints(hint: Any, schema: dict[str, Any]) -> None:
    assert schema_of_hint(hint) == schema
    jsonschema.Draft202012Validator.check_schema(schema)


def test_a_function() -> None:
    def greet(name: str, times: int = 1, *, colour: Colour = Colour.RED, anything=None) -> str:  # type: ignore[no-untyped-def]
        """Greet someone.

        It can be done more than once.

        Args:
            name (str): whom to greet,
                by the first name
            times: how often: once at least
        Returns:
            colour: this is not a parameter
        """
        return ""

    assert tool_record(greet) == {
        "type": "tool",
        "name": "greet",
        "description": "Greet someone.\n\nIt can be done more than once.",
        "input_schema": {
            "type": "object",
            "properties": {
                "name": {**STR, "description": "whom to greet, by the first name"},
                "times": {**INT, "description": "how often: once at least", "default": 1},
                "colour": {"type": "string", "enum": ["red", "green"]},
                "anything": {},
            },
            "required": ["name"],
            "additionalProperties": False,
        },
    }


def test_a_sphinx_docstring() -> None:
    def add(a: int, b: int) -> int:
        """Add.

        :param a: the first,
            which counts
        :param int b: the second
        :returns: a: the sum
        """
        return a + b

    assert parse_docstring(add) == ("Add.", {"a": "the first, which counts", "b": "the second"})


def test_a_function_without_a_docstring() -> None:
    def silent() -> None: ...

    record = tool_record(silent, "box_silent")
    assert record == {
        "type": "tool",
        "name": "box_silent",
        "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
    }


def test_the_hint_of_the_result_is_not_evaluated() -> None:
    def table(n: int) -> pandas.DataFrame:  # type: ignore[name-defined]  # noqa: F821
        return [[n]]

    assert input_schema(table)["properties"] == {"n": {"type": "integer"}}
    assert values_of(table, {"n": 3}) == {"n": 3}


def test_a_function_that_cannot_be_a_tool() -> None:
    def positional(a: int, /) -> None: ...

    with pytest.raises(InputError, match="the tool positional: a is positional-only"):
        input_schema(positional)


@dataclass
class Holder:
    frame: pandas.DataFrame  # type: ignore[name-defined]  # noqa: F821
    size: int = 0


def test_a_type_that_only_a_checker_knows_accepts_any_value() -> None:
    def plot(frame: pandas.DataFrame, size: int = 3) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    record, [notice] = record_and_notices(plot)
    assert record["input_schema"]["properties"] == {"frame": {}, "size": {**INT, "default": 3}}
    assert notice == "the tool plot: frame accepts any value, as its type has no schema: name 'pandas' is not defined"
    assert values_of(plot, {"frame": [[1]], "size": 4}) == {"frame": [[1]], "size": 4}
    assert schema_of_hint(Holder)["properties"] == {"frame": {}, "size": INT}
    assert convert({"frame": 1, "size": 2}, Holder) == Holder(1, 2)


def test_decorators_keep_the_signature() -> None:
    def traced(function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return call

    @traced
    @functools.cache
    def area(size: tuple[int, int]) -> int:
        """Return an area."""
        return size[0] * size[1]

    record = tool_record(area)
    assert (record["name"], record["description"]) == ("area", "Return an area.")
    assert list(record["input_schema"]["properties"]) == ["size"]
    assert area(**values_of(area, {"size": [2, 3]})) == 6


@pytest.mark.parametrize(("value", "says"), [(["a", 1], r"\[0\]: 'a' is not of type 'integer'"), ([1], "longer")])
def test_the_items_of_a_tuple_are_checked(value: Any, says: str) -> None:
    with pytest.raises((InputError, ValueError), match=says):
        convert(value, tuple[int, str])


def test_a_pydantic_model() -> None:
    pydantic = pytest.importorskip("pydantic")
    Book = pydantic.create_model("Book", title=(str, ...), pages=(int, 1))

    def read(book: Book) -> Book:  # type: ignore[valid-type]
        return book

    read.__annotations__ = {"book": Book, "return": Book}
    assert input_schema(read)["properties"]["book"]["properties"]["title"]["type"] == "string"
    values = values_of(read, {"book": {"title": "Emma"}})
    assert values["book"].pages == 1
    assert json.loads(result_of(values["book"]).output) == {"title": "Emma", "pages": 1}
    with pytest.raises(InputError, match=r"(?s)book: .*title"):
        values_of(read, {"book": {}})


def test_shared_types_move_to_the_top_level_definitions() -> None:
    pydantic = pytest.importorskip("pydantic")
    Author = pydantic.create_model("Author", name=(str, ...))
    Book = pydantic.create_model("Book", author=(Author, ...))

    def read(book: Any, others: Any) -> None: ...

    read.__annotations__ = {"book": Book, "others": list[Book]}  # type: ignore[valid-type]
    schema = input_schema(read)
    assert list(schema["$defs"]) == ["Author"] and "$defs" not in schema["properties"]["book"]
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate({"book": {"author": {"name": "Ada"}}, "others": []})
    assert not validator.is_valid({"book": {"author": {"name": 1}}, "others": []})
    values = values_of(read, {"book": {"author": {"name": "Ada"}}, "others": [{"author": {"name": "Bo"}}]})
    assert (values["book"].author.name, values["others"][0].author.name) == ("Ada", "Bo")


@dataclass
class Tree:
    inner: list[Tree]


def test_a_recursive_type_accepts_any_value() -> None:
    def plant(tree: Tree) -> None: ...

    record, [notice] = record_and_notices(plant)
    assert record["input_schema"]["properties"] == {"tree": {}}
    assert notice == "the tool plant: tree accepts any value, as its type has no schema: it contains itself"


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (Colour, "green", Colour.GREEN),
        (Literal[Colour.RED, "x"], "red", Colour.RED),
        (Path, "a/b", Path("a/b")),
        (date, "2026-11-21", date(2026, 11, 21)),
        (Mapping[str, Point], {"a": {"x": 1}}, {"a": Point(1)}),
        (int, 3.0, 3),
        (int, 1e30, 1e30),
        (float, 2**64 + 1, 2**64 + 1),
        (Point, {"x": 1, "tags": ["a"]}, Point(1, 0.0, ["a"])),
        (list[Point], [{"x": 1}], [Point(1)]),
        (Point | None, None, None),
        (Point | None, {"x": 2}, Point(2)),
        (set[int], [1, 1, 2], {1, 2}),
        (tuple[int, Colour], [1, "red"], (1, Colour.RED)),
        (dict[str, Colour], {"a": "red"}, {"a": Colour.RED}),
        (float, 1, 1.0),
        (int, 2**64, 2**64),
        (Any, {"x": 1}, {"x": 1}),
        (Sequence[int], [1], [1]),
        (set, ["a", "a"], {"a"}),
        (frozenset[UUID], [str(ID)], frozenset([ID])),
        (UUID, str(ID), ID),
        (UUID | None, str(ID), ID),
        (IPv4Address, "127.0.0.1", IPv4Address("127.0.0.1")),
        (Decimal, 0.1, Decimal("0.1")),
        (Decimal, Number("1e400"), Decimal("1e400")),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (tuple[int, str] | None, [1, "a"], (1, "a")),
    ],
)
def test_values(hint: Any, value: Any, expected: Any) -> None:
    converted = convert(value, hint)
    assert converted == expected
    assert type(converted) is type(expected)


def test_a_number_too_large_for_python_is_refused() -> None:
    def scale(factor: float) -> float:
        return factor

    with pytest.raises(InputError, match="factor: 1e400 does not fit"):
        values_of(scale, {"factor": Number("1e400")})


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (None, ""),
        ("text", "text"),
        (3, "3"),
        (True, "true"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ([1, "b"], '[1,"b"]'),
        ((1, 2), "[1,2]"),
        (Point(1), '{"x":1,"y":0.0,"tags":[]}'),
        (Colour.RED, '"red"'),
        ({1: Colour.RED}, '{"1":"red"}'),
        (2**70, str(2**70)),
        (Result("kept", "failed"), "kept"),
    ],
)
def test_results(value: Any, output: str) -> None:
    assert result_of(value).output == output


def test_bytes_are_attachments() -> None:
    image = b"\x89PNG\r\n\x1a\n"
    attachment = {"type": "image/png", "content": b64encode(image).decode()}
    assert result_of(image) == Result(attachments=[attachment])  # type: ignore[list-item]
    assert result_of(["two", image, image]) == Result("two", None, [attachment, attachment])  # type: ignore[list-item]


def test_images_are_attachments() -> None:
    class Image:
        def save(self, file: Any, kind: str) -> None:
            assert kind == "PNG"
            file.write(b"\x89PNG\r\n\x1a\n")

    Image.__module__ = "PIL.Image"
    for value in (Image(), [Image()]):
        assert [item["type"] for item in result_of(value).attachments] == ["image/png"]


def test_a_result_that_is_not_json_is_refused() -> None:
    with pytest.raises(InputError):
        result_of(float("nan"))


LEAVES = st.none() | st.booleans() | st.integers() | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(JSON)
def test_json_results_are_unchanged(value: Any) -> None:
    output = result_of(value).output
    assert (output if isinstance(value, str) else json.loads(output or "null")) == value
