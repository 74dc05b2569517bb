"""Identity: the canonical form of a message, and the hash of its place in a conversation."""

from __future__ import annotations

import json
import struct
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtools.errors import InputError
from llmtools.records.canonical import ROOT, canonical_json, format_number, node_hash
from llmtools.records.jsonl import loads
from support.paths import TESTS
from support.strategies import QUICK, json_objects, messages, texts

VECTORS = (TESTS / "support" / "vectors" / "identity.jsonl").read_text("utf-8").rstrip("\n").split("\n")

# RFC 8785, appendix B: the bits of a double, and its form.
APPENDIX_B = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


def user(*parts: Any, **fields: Any) -> Any:
    return {"type": "message", "role": "user", "parts": list(parts), **fields}


def test_the_hash_of_an_empty_conversation_is_zero() -> None:
    assert ROOT.hex() == "00" * 32


@pytest.mark.parametrize("line", VECTORS, ids=range(1, len(VECTORS) + 1))
def test_vector(line: str) -> None:
    vector = loads(line)
    parent = bytes.fromhex(vector["parent"])
    assert canonical_json(vector["message"]).decode() == vector["canonical"]
    assert node_hash(vector["message"], parent).hex() == vector["hash"]
    assert sha256(b"llmtools/message/1\n" + parent + vector["canonical"].encode()).hexdigest() == vector["hash"]


def test_the_vectors_make_a_chain() -> None:
    first, second = (json.loads(line) for line in VECTORS[:2])
    assert first["parent"] == ROOT.hex()
    assert second["parent"] == first["hash"]


@pytest.mark.parametrize("bits", APPENDIX_B)
def test_a_double_is_written_as_in_rfc_8785(bits: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert format_number(value) == APPENDIX_B[bits]


@QUICK
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_form_of_a_double_is_the_double(value: float) -> None:
    text = format_number(value)
    assert float(text) == value
    assert "e" in text or abs(value) < 1e21
    assert "e" not in text or not 1e-6 <= abs(value) < 1e21
    assert text == format_number(float(text)) == format_number(loads(text))


@QUICK
@given(st.integers())
def test_a_whole_number_is_the_same_however_it_is_written(value: int) -> None:
    assert int(format_number(loads(str(value)))) == value
    if abs(value) < 2**53:
        assert (
            format_number(value)
            == format_number(float(value))
            == format_number(loads(f"{value}.0"))
            == format_number(loads(f"{value}e0"))
        )


@pytest.mark.parametrize(
    "text", ["9007199254740993", "18446744073709551616", "1e400", "1e-400", "3.141592653589793238"]
)
def test_a_number_that_a_double_cannot_hold_stays_as_it_was_written(text: str) -> None:
    assert format_number(loads(text)) == text


@QUICK
@given(messages())
def test_response_type_and_unknown_fields_of_the_message_do_not_count(message: Any) -> None:
    bare: Any = {name: message[name] for name in ("role", "parts", "provider_metadata") if name in message}
    more: Any = {**bare, "response": {"id": "r"}, "x": 1}
    assert canonical_json(message) == canonical_json(bare) == canonical_json(more)


@QUICK
@given(messages())
def test_the_order_of_keys_does_not_count(message: Any) -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: turned(value[name]) for name in reversed(value)}
        return [turned(item) for item in value] if isinstance(value, list) else value

    assert node_hash(turned(message)) == node_hash(message)


@QUICK
@given(json_objects())
def test_keys_are_sorted_by_code_point_at_every_depth(fields: Any) -> None:
    def keys_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert [name for name, _ in pairs] == sorted(name for name, _ in pairs)
        return dict(pairs)

    text = canonical_json(user({"type": "x", "fields": fields}))
    json.loads(text, object_pairs_hook=keys_of)


@QUICK
@given(texts(20))
def test_strings_are_not_normalised(text: str) -> None:
    assert json.loads(canonical_json(user({"type": "text", "text": text})))["parts"] == [{"text": text, "type": "text"}]


@pytest.mark.parametrize(
    "other",
    [
        user({"type": "text", "text": "hi", "x": 1}),
        user({"type": "text", "text": "hi", "provider_metadata": {}}),
        user({"type": "text", "text": "hi "}),
        user({"type": "reasoning", "text": "hi"}),
        user({"type": "text", "text": "hi"}, provider_metadata={"a": {}}),
        {**user({"type": "text", "text": "hi"}), "role": "system"},
        user({"type": "text", "text": "h"}, {"type": "text", "text": "i"}),
    ],
)
def test_all_that_a_message_is_counts(other: Any) -> None:
    assert node_hash(other) != node_hash(user({"type": "text", "text": "hi"}))


def test_the_same_message_after_another_is_another_node() -> None:
    message = user({"type": "text", "text": "hi"})
    assert node_hash(message, node_hash(message)) != node_hash(message)


@pytest.mark.parametrize("field", ["attachment", "attachments"])
@pytest.mark.parametrize("value", [5, None, "x", [1], {"content": "YWJj", "name": "n"}], ids=repr)
def test_fields_of_an_unknown_part_count_as_they_are(field: str, value: Any) -> None:
    part = {"type": "x", field: value}
    assert json.loads(canonical_json(user(part)))["parts"] == [part]


def nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


NO_FORM = {
    "no base64": {"type": "attachment", "attachment": {"content": "a"}},
    "no ASCII": {"type": "attachment", "attachment": {"content": "é"}},
    "a lone surrogate": {"type": "text", "text": "\ud800"},
    "too deep": {"type": "x", "deep": nested(254)},
    "much too deep": {"type": "x", "deep": nested(1020)},
}


@pytest.mark.parametrize("name", NO_FORM)
def test_a_message_without_a_canonical_form_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        canonical_json(user(NO_FORM[name]))
