"""stream.schema.json says to other programs what `llmtools.records.check` says here."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtools.errors import InputError
from llmtools.records.check import CHECKS, PARTS, check_record
from support.strategies import WRONG, known_parts, known_records, mutations, records

SCHEMA = json.loads(files("llmtools.records").joinpath("stream.schema.json").read_bytes())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def accepts(record: Any) -> bool:
    """Whether check_record accepts a record; the schema must say the same."""
    try:
        check_record(record)
    except InputError:
        accepted = False
    else:
        accepted = True
    by_schema = VALIDATOR.is_valid(record)
    assert accepted == by_schema, f"check says {accepted}, the schema {by_schema}: {record}"
    return accepted


def test_the_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_it_knows_the_same_record_and_part_types_as_the_check() -> None:
    def types(schema: Any) -> set[str]:
        return {case["if"]["properties"]["type"]["const"] for case in schema["allOf"]}

    assert types(SCHEMA) == set(CHECKS) == set(known_records())
    assert types(SCHEMA["$defs"]["part"]) == set(PARTS) == set(known_parts())


def test_every_field_is_described() -> None:
    def described(field: Any) -> bool:
        if "description" in field:
            return True
        name = field.get("$ref", "").rpartition("/")[2]
        return name in SCHEMA["$defs"] and described(SCHEMA["$defs"][name])

    bare = [
        f"{name}.{field}"
        for name, definition in SCHEMA["$defs"].items()
        for field, schema in definition.get("properties", {}).items()
        if not described(schema)
    ]
    assert bare == []


def test_every_definition_is_used() -> None:
    text = json.dumps(SCHEMA)
    assert [name for name in SCHEMA["$defs"] if f'"#/$defs/{name}"' not in text] == []


@pytest.mark.parametrize("kind", sorted(known_records()))
def test_valid_records_are_accepted(kind: str) -> None:
    @settings(derandomize=True, deadline=None, max_examples=8)
    @given(known_records()[kind])
    def holds(record: Any) -> None:
        assert accepts(record)

    holds()


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", sorted(known_records()))
def test_check_and_schema_refuse_the_same(kind: str) -> None:
    @settings(derandomize=True, deadline=None, max_examples=30)
    @given(mutations(known_records()[kind]))
    def holds(record: Any) -> None:
        accepts(record)

    holds()


@settings(derandomize=True, deadline=None, max_examples=20)
@given(records(), st.sampled_from(("x", "", "conversation2")))
def test_an_unknown_record_type_is_allowed_whatever_it_holds(record: Any, kind: str) -> None:
    assert accepts({**record, "type": kind})


@pytest.mark.parametrize("wrong", [value for value in WRONG if not isinstance(value, str)], ids=repr)
def test_a_type_that_is_not_a_string_is_refused(wrong: Any) -> None:
    assert not accepts({"type": wrong})


@pytest.mark.parametrize("record", [None, [], "text", 0, {}], ids=repr)
def test_only_objects_with_a_type_are_records(record: Any) -> None:
    assert not accepts(record)


REFUSED = {
    "role of no one": {"type": "message", "role": "model", "parts": []},
    "parts missing": {"type": "message", "role": "user"},
    "part without type": {"type": "message", "role": "user", "parts": [{"text": "hi"}]},
    "text missing": {"type": "message", "role": "user", "parts": [{"type": "text"}]},
    "metadata of an issuer no object": {
        "type": "message",
        "role": "user",
        "parts": [{"type": "x", "provider_metadata": {"openai": 1}}],
    },
    "not ok without exit_status": {
        "type": "message",
        "role": "assistant",
        "parts": [],
        "response": {"status": "truncated"},
    },
    "end not ok without exit_status": {"type": "end", "response_id": "r", "status": "error"},
    "true as a place": {"type": "text", "chunk": "", "part_index": True},
    "negative place": {"type": "text", "chunk": "", "part_index": -1},
    "tokens in halves": {"type": "end", "response_id": "r", "status": "ok", "usage": {"input": 0.5}},
    "error code a list, in a response": {
        "type": "message",
        "role": "assistant",
        "parts": [],
        "response": {"status": "error", "exit_status": 1, "error": {"code": []}},
    },
    "exit_status a text, in a conversation": {
        "type": "conversation",
        "messages": [],
        "error": {"code": "failed", "exit_status": "1"},
    },
    "metadata of a part event no object": {
        "type": "part",
        "part_index": 0,
        "part": {"type": "x"},
        "provider_metadata": [],
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_known_field_of_the_wrong_kind_is_refused(name: str) -> None:
    assert not accepts(REFUSED[name])
