"""Bytes to records: read exactly, refused with a line number, never with a traceback."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmtools.errors import InputError
from llmtools.records.jsonl import Decoder, Number, dumps, encode, loads, with_type
from support.strategies import QUICK, json_values, records

GOOD = b'{"type":"message","role":"user","parts":[{"type":"text","text":"h\xc3\xa9"}]}'
TEXT = b'{"type":"text","chunk":"a","part_index":0}'


def decode(*pieces: bytes) -> tuple[list[tuple[Any, bytes]], str | None]:
    """The lines that the pieces make, and the refusal."""
    decoder = Decoder()
    lines = [line for piece in pieces for line in decoder.feed(piece)] + decoder.eof()
    assert decoder.error is None or type(decoder.error) is InputError
    return lines, decoder.error.message if decoder.error else None


def values(data: bytes) -> list[Any]:
    lines, error = decode(data)
    assert error is None
    return [record for record, _ in lines]


def refusal(data: bytes) -> str:
    lines, error = decode(data)
    assert lines == []
    assert error is not None
    return error


# Lines


STREAM = (
    b"\xef\xbb\xbf" + GOOD + b'\r\n\n  \r\n{"role":"user","content":"hi"}\n' + TEXT + b"\n"
    b'{"type":"new","n":18446744073709551616}\n{"type":"part","part_index":0,"part":{"type":"x","n":1e400}}\n' + TEXT
)


def test_bytes_cut_anywhere_give_the_same_records() -> None:
    whole = decode(STREAM)
    assert len(whole[0]) == 6
    assert whole[1] is None
    assert decode(*(STREAM[place : place + 1] for place in range(len(STREAM)))) == whole
    for place in range(len(STREAM) + 1):
        assert decode(STREAM[:place], STREAM[place:]) == whole


def test_a_number_is_the_same_whatever_stands_beside_it() -> None:
    line = b'{"type":"text","chunk":"","part_index":0,"provider_metadata":{"a":{"n":18446744073709551616}}}\n'
    assert values(line) + values(TEXT) == values(line + b"\n" + TEXT)


def test_bytes_cut_anywhere_give_the_same_refusal() -> None:
    data = GOOD + b"\n" + TEXT + b'\n{"type":"text"}\n' + TEXT + b"\n"
    whole = decode(data)
    assert len(whole[0]) == 2
    assert whole[1] == "stdin line 3: text: chunk is missing"
    for place in range(len(data) + 1):
        assert decode(data[:place], data[place:]) == whole


@settings(QUICK)
@given(st.lists(records(), max_size=5), st.lists(st.integers(0, 4000), max_size=4))
def test_written_records_are_read_as_they_were(written: list[Any], cuts: list[int]) -> None:
    data = encode(written)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    lines, error = decode(*(data[a:b] for a, b in pairwise(places)))
    assert error is None
    assert [raw for _, raw in lines] == data.splitlines()[: len(lines)] == [dumps(record) for record in written]
    assert [record for record, _ in lines] == written


def test_a_line_comes_as_it_was_written() -> None:
    raw = b' { "type" : "x" , "a" : "\\u00e9" , "n": 1.50, "a": 2 } '
    assert decode(raw + b"\n")[0] == [({"type": "x", "a": 2, "n": 1.5}, raw)]


def test_crlf_ends_a_line() -> None:
    assert values(GOOD + b"\r\n" + TEXT + b"\r\n") == values(GOOD + b"\n" + TEXT + b"\n")


def test_a_missing_last_newline_is_no_matter() -> None:
    assert values(GOOD + b"\n" + TEXT) == values(GOOD + b"\n" + TEXT + b"\n")


def test_blank_lines_are_passed_over_and_counted() -> None:
    lines, error = decode(b"\n \t\r\n" + GOOD + b"\n\n[]\n")
    assert len(lines) == 1
    assert error == "stdin line 5: not a JSON object"


def test_nothing_is_no_record() -> None:
    assert decode() == decode(b"") == decode(b"\n") == decode(b"\xef\xbb\xbf") == ([], None)


def test_a_bom_is_taken_at_the_start_only() -> None:
    assert decode(b"\xef\xbb\xbf" + GOOD) == decode(GOOD)
    lines, error = decode(GOOD + b"\n\xef\xbb\xbf" + GOOD + b"\n")
    assert len(lines) == 1
    assert error is not None
    assert error.startswith("stdin line 2: ")
    assert refusal(b"\xef\xbb\xbf\xef\xbb\xbf" + GOOD).startswith("stdin line 1: ")


def test_after_a_refusal_nothing_more_comes() -> None:
    decoder = Decoder("talk.jsonl")
    assert len(decoder.feed(GOOD + b"\nnonsense\n" + GOOD + b"\n")) == 1
    error = decoder.error
    assert error is not None
    assert (error.line, error.exit_status) == (2, 65)
    assert error.message.startswith("talk.jsonl line 2: ")
    assert decoder.feed(GOOD + b"\n") == []
    assert decoder.eof() == []
    assert decoder.error is error


def test_a_last_line_that_was_cut_is_refused() -> None:
    lines, error = decode(GOOD + b"\n" + GOOD[:-5])
    assert len(lines) == 1
    assert error is not None
    assert error.startswith("stdin line 2: not JSON")


def test_line_numbers_go_on_from_feed_to_feed() -> None:
    _, error = decode(GOOD + b"\n", GOOD + b"\n\n", GOOD[:9], GOOD[9:] + b"\n{}\n")
    assert error == "stdin line 5: not a record of a stream: it has no type"


# Bare messages


def test_a_bare_message_is_given_its_type() -> None:
    lines, _ = decode(b'{"role":"user","parts":[],"x":1}\n{"role":"user","content":"hi","x":18446744073709551616}\n')
    assert lines == [
        (
            {"type": "message", "role": "user", "parts": [], "x": 1},
            b'{"type":"message","role":"user","parts":[],"x":1}',
        ),
        (
            {"type": "message", "role": "user", "parts": [{"type": "text", "text": "hi"}], "x": 2**64},
            b'{"type":"message","role":"user","parts":[{"type":"text","text":"hi"}],"x":18446744073709551616}',
        ),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b'{"role":"user"}',
        b'{"role":"user","content":[{"type":"text","text":"hi"}]}',
        b'{"role":"model","content":"hi"}',
        b'{"role":1,"parts":[]}',
        b'{"type":null,"role":"user","parts":[]}',
        b'{"role":"user","parts":{}}',
    ],
)
def test_what_only_looks_like_a_bare_message_is_refused(line: bytes) -> None:
    assert refusal(line).startswith("stdin line 1: ")


def test_typed_leaves_records_alone() -> None:
    assert with_type({"type": "message", "role": "user", "parts": []}) is None
    assert with_type({"x": 1}) is None


# What is refused

REFUSED = {
    "text": b"diff --git a/x b/x",
    "a number": b"1",
    "a list": b"[]",
    "null": b"null",
    "no type": b'{"a":1}',
    "a type that is a number": b'{"type":5}',
    "a type that is null": b'{"type":null}',
    "a type that is a list": b'{"type":[]}',
    "a type that is an object": b'{"type":{}}',
    "invalid UTF-8": b'{"type":"x","a":"\xff"}',
    "overlong UTF-8": b'{"type":"x","a":"\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"type":"x","a":"\xed\xa0\x80"}',
    "a surrogate pair in UTF-8": b'{"type":"x","a":"\xed\xa0\x81\xed\xb0\x80"}',
    "a lone surrogate": b'{"type":"x","a":"\\ud800"}',
    "a lone low surrogate": b'{"type":"x","a":"\\udc00"}',
    "NaN": b'{"type":"x","a":NaN}',
    "Infinity": b'{"type":"x","a":-Infinity}',
    "a raw control byte": b'{"type":"x","a":"\x01"}',
    "a raw NUL": b'{"type":"x"}\0',
    "two values": b'{"type":"x"} {"type":"x"}',
    "a trailing comma": b'{"type":"x",}',
    "a number with a leading zero": b'{"type":"x","a":01}',
    "cut off": b'{"type":"x"',
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_record_is_refused_after_the_lines_before_it(name: str) -> None:
    lines, error = decode(GOOD + b"\n" + REFUSED[name] + b"\n" + GOOD + b"\n")
    assert len(lines) == 1
    assert error is not None
    assert error.startswith("stdin line 2: ")


@pytest.mark.parametrize("name", [name for name in REFUSED if REFUSED[name].startswith(b'{"type":"x"')])
@pytest.mark.parametrize("odd", [b"1e400", b"18446744073709551616"])
def test_the_same_is_refused_beside_an_odd_number(name: str, odd: bytes) -> None:
    data = REFUSED[name].replace(b'{"type":"x"', b'{"type":"message","role":"user","parts":[],"n":' + odd)
    assert refusal(data).startswith("stdin line 1: ")


ODD = pytest.mark.parametrize("odd", [b"0", b"1e400", b"18446744073709551616"])
NESTED = {"lists": (b"[", b"]"), "objects": (b'{"a":', b"}")}


def nested(form: str, depth: int, odd: bytes) -> bytes:
    opened, closed = NESTED[form]
    start = b'{"type":"message","role":"user","parts":[],"n":' + odd + b',"a":'
    return start + opened * depth + b"1" + closed * depth + b"}"


@ODD
@pytest.mark.parametrize("form", NESTED)
@pytest.mark.parametrize("depth", [1100, 5000, 10**6])
def test_what_is_too_deep_is_refused(depth: int, form: str, odd: bytes) -> None:
    assert refusal(nested(form, depth, odd)).startswith("stdin line 1: not JSON")


@ODD
@pytest.mark.parametrize("form", NESTED)
def test_history_that_is_read_can_be_written(form: str, odd: bytes) -> None:
    for depth in [*range(1, 270), 300, 340, 500, 600, 980, 1000, 1023, 1024]:
        line = nested(form, depth, odd)
        lines, error = decode(line + b"\n")
        if error is None:
            assert dumps(lines[0][0]) == line
        else:
            assert depth > 128
            assert lines == []


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b'{"type":"x","a":1e400,"b":"\\ud800"}')
@example(b'{"role":"user","content":"\\ud800","n":1e400}')
@example(b'{"type":"message","role":"user","parts":[],"a":' + b"[" * 260 + b"]" * 260 + b',"n":1e5}')
@example(b'{"type":"x","a":' + b"1" * 5000 + b"}")
@example(b'\x00{\x00"\x00t\x00')
def test_no_bytes_whatever_raise_anything(data: bytes) -> None:
    decode(data)
    decode(*(data[place : place + 1] for place in range(len(data))))


_TOKENS = (
    *(b'{"type":"message",', b'"role":"user",', b'"parts":[]', b'{"type":"text","chunk":"a"', b',"part_index":0'),
    *(
        b"}",
        b"]",
        b"[",
        b"{",
        b",",
        b":",
        b"\n",
        b'"a"',
        b"1e400",
        b"18446744073709551616",
        b"\\ud800",
        b"\xed\xa0\x80",
    ),
    *(b'"type":', b"null", b"-", b"NaN", b'"', b"\xef\xbb\xbf", b"\r\n", b'{"type":"x","a":1e400,"b":'),
)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(_TOKENS), max_size=14).map(b"".join))
def test_no_pieces_of_records_raise_anything(data: bytes) -> None:
    assert decode(data) == decode(*(data[place : place + 1] for place in range(len(data))))


# What survives


def test_the_last_of_duplicate_keys_wins() -> None:
    assert values(b'{"type":"x","a":1,"a":2}') == [{"type": "x", "a": 2}]
    assert loads('{"a":1e400,"a":18446744073709551616}') == {"a": 2**64}


def test_line_ends_of_unicode_end_no_line() -> None:
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf"
    record = {"type": "message", "role": "user", "parts": [{"type": "text", "text": text}]}
    assert values(encode([record])) == [record]
    raw = json.dumps(record, ensure_ascii=False, separators=(",", ":")).replace("\\u000b", "").replace("\\f", "")
    assert values(raw.encode())[0]["parts"][0]["text"] == text.replace("\x0b", "").replace("\x0c", "")


def test_nul_in_a_string_survives() -> None:
    assert values(b'{"type":"x","a":"\\u0000"}') == [{"type": "x", "a": "\0"}]


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert values(b'{"type":"x","a":"\\ud83d\\ude00","n":1e400}')[0]["a"] == "😀"


# Numbers

EXACT = (
    *("0", "1", "-1", "0.1", "1.5", "-0.0", "1e400", "-1e400", "1e-400", "5e-324", "3.141592653589793238"),
    *("9007199254740993", "18446744073709551615", "18446744073709551616", "-9223372036854775809"),
    *("123456789012345678901234567890", "0.30000000000000004", "1.7976931348623157e+308", "2e308"),
    *("0.1000000000000000055511151231257827021181583404541015625", "1e99999", "100000000000000000000.5"),
)


@pytest.mark.parametrize("text", EXACT)
def test_a_number_comes_through_as_written(text: str) -> None:
    assert dumps(loads(text)).decode() == text


@pytest.mark.parametrize("text", ["2.50", "1E5", "-0", "1.0e2", "100.0", "1e23", "0.10000000000000000000", "0e400"])
def test_a_number_that_a_double_holds_is_a_plain_number(text: str) -> None:
    assert float(dumps(loads(text))) == float(text)
    assert type(loads(text)) in (int, float)


@settings(QUICK)
@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_no_decimal_number_is_rounded(number: Any) -> None:
    from decimal import Decimal

    assert Decimal(dumps(loads(str(number))).decode()) == number


@settings(QUICK)
@given(json_values())
def test_every_json_value_comes_through(value: Any) -> None:
    again = loads(dumps(value))
    assert again == value
    assert dumps(again) == dumps(value)
    assert json.loads(dumps(value)) == value


NUMBERED = {
    "message": b'{"type":"message","role":"user","parts":[{"type":"x","n":%s}]}',
    "an argument named timing": (
        b'{"type":"message","role":"user","parts":[{"type":"tool_call","name":"f","arguments":{"timing":%s}}]}'
    ),
    "tool": b'{"type":"tool","name":"f","input_schema":{"maximum":%s}}',
    "conversation": b'{"type":"conversation","messages":[],"options":{"seed":%s}}',
    "start": b'{"type":"start","response_id":"r","model":"m","request":{"options":{"seed":%s}}}',
    "text": b'{"type":"text","chunk":"","part_index":0,"provider_metadata":{"a":{"n":%s}}}',
    "tool_call_name": b'{"type":"tool_call_name","chunk":"","part_index":0,"provider_metadata":{"a":{"n":%s}}}',
    "part": b'{"type":"part","part_index":0,"part":{"type":"x","n":%s}}',
    "annotation": b'{"type":"annotation","part_index":0,"annotation":{"kind":"x","n":%s}}',
    "end": b'{"type":"end","response_id":"r","status":"ok","details":{"a":{"cost":%s}}}',
    "an unknown type": b'{"type":"x","n":%s}',
}


@pytest.mark.parametrize("number", [b"18446744073709551616", b"3.141592653589793238", b"1e-400", b"1e400"])
@pytest.mark.parametrize("name", NUMBERED)
def test_a_number_in_any_record_is_read_exactly(name: str, number: bytes) -> None:
    line = NUMBERED[name] % number
    (record,) = values(line)
    assert dumps(record) == line


def test_a_number_is_its_text() -> None:
    number = Number("1e400")
    assert number.text == "1e400"
    assert math.isinf(number)
    assert number == Number("1e400")
    assert hash(number) == hash(Number("1e400"))
    assert number != Number("1E400")
    assert number != math.inf
    assert repr(number) == "Number('1e400')"
    assert float(Number("1e-400")) == 0.0


def test_a_number_of_thousands_of_digits_is_exact_or_refused() -> None:
    text = "1" * 5000
    try:
        assert dumps(loads(text)).decode() == text
    except InputError:
        pass


# What cannot be written


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), "\ud800", {"\ud800": 1}, {1: 2}, {1, 2}, b"x", object(), [2**64, {1}]],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)
def test_what_is_not_json_is_refused_never_replaced(value: Any) -> None:
    for place in (value, [value], {"a": [value]}, [None, value], [2**64, value]):
        with pytest.raises(InputError, match="not JSON"):
            dumps(place)


def test_null_is_written_as_null() -> None:
    assert dumps({"a": None, "b": "null", "c": [None, 0.5, 2**64]}) == (
        b'{"a":null,"b":"null","c":[null,0.5,18446744073709551616]}'
    )


@pytest.mark.parametrize(
    "text", ["", " ", "{", "nul", "\ud800", '"\udc80"', '"\\ud800"', "[1e400,]", "\ufeff1"], ids=ascii
)
def test_loads_refuses_what_is_not_json(text: str) -> None:
    with pytest.raises(InputError):
        loads(text)


def test_a_circle_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(InputError):
        dumps(circle)
