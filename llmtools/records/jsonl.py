"""Reads and writes JSON Lines: exact numbers, compact lines.

Rules:
* Numbers are not rounded. A number that a double cannot represent stays a Python int or becomes a
  `Number`, and is written in the form that it came in.
* A wrong line becomes an InputError with its line number, after the lines before it.
* The Decoder does no I/O: it takes bytes and returns pairs (record, line), the line without its
  newline.
"""

from __future__ import annotations

import re

import orjson

from ..errors import InputError
from .check import CHECKS, check_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .types import Record

    Line = tuple[Record, bytes]

_MOST_DIGITS = 400
"""The most digits of an integer that is read as one. A double has 309 at most."""
BOM = b"\xef\xbb\xbf"

# A number that orjson may have rounded: one with an exponent, or with 15 digits or more. orjson
# reads integers of more than 64 bits as floats.
_ODD_NUMBER = re.compile(rb"(?:^|[:,\[])\s*-?[0-9](?:[0-9.]{14}|[0-9.]*[eE])")
_CHUNKS = frozenset(("text", "reasoning", "refusal"))
_HISTORY = frozenset(("message", "tool", "conversation"))


class Number(float):
    """A JSON number that a double cannot represent, such as 1e400. `text` is its form in JSON; as a
    float it is the nearest double."""

    text: str

    def __new__(cls, text: str) -> Number:
        """Return the number of a JSON text."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.text == other.text

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Number({self.text!r})"


def _has_float(value: Any) -> bool:
    if type(value) is dict:
        return any(map(_has_float, value.values()))
    if type(value) is list:
        return any(map(_has_float, value))
    return type(value) is float


def _may_be_rounded(value: Any) -> bool:
    """Return whether a number in `value` may be rounded. Those of `timing` may, and do not count."""
    response = value.get("response") if type(value) is dict else None
    if type(response) is dict and "timing" in response:
        value = {**value, "response": {**response, "timing": None}}
    try:
        return _has_float(value)
    except RecursionError:
        return True


def _with_exact_numbers(raw: bytes, value: Any) -> Any:
    """Return the value of `raw`; `value` is what orjson reads in it, which may be rounded."""
    return _loads_exactly(raw) if _may_be_rounded(value) and _ODD_NUMBER.search(raw) else value


def exact_float(text: str) -> float:
    """Return the number of a JSON text with a fraction or an exponent: a float if that is exact, else a Number."""
    value = float(text)
    is_exact = value - value == 0 and _decimal_of(repr(value)) == _decimal_of(text)
    return value if is_exact else Number(text)


def exact_integer(text: str) -> int | Number:
    """Return the whole number of a JSON text: one with very many digits, which Python does not take, as a Number."""
    return int(text) if len(text) <= _MOST_DIGITS else Number(text)


def _decimal_of(text: str) -> tuple[str, str, str]:
    """Return the sign, the digits and the exponent of a number, the same for all its forms. The number of digits
    and the size of the exponent have no limit; the time is linear."""
    mantissa, _, exponent = text.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "", "", ""
    significant = digits.rstrip("0")
    if len(exponent.lstrip("+-0")) > _MOST_DIGITS:
        return text[:1], significant, exponent  # that of no double
    place = int(exponent or 0) - len(fraction) + len(digits) - len(significant)
    return "-" if text.startswith("-") else "", significant, str(place)


def _refuse_constant(name: str) -> Any:
    raise InputError(f"{name} is not JSON")


def _loads_exactly(data: bytes) -> Any:
    import json

    try:
        value = json.loads(data, parse_float=exact_float, parse_int=exact_integer, parse_constant=_refuse_constant)
        orjson.dumps(_with_large_integers(value), default=_encode_number)  # refuses the lone surrogates that json takes
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"not JSON: {error}") from None
    return value


def loads(data: bytes | bytearray | memoryview | str) -> Any:
    """Return the JSON value in `data`, with exact numbers. Raises InputError.

    llmtools.dumps(llmtools.loads("1e400"))  # b"1e400"
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if "infinity" in error.msg:
            return _loads_exactly(raw)
        raise InputError(f"not JSON: {error.msg} (column {error.colno})") from None
    return _with_exact_numbers(raw, value)


def _may_be_deep(raw: bytes) -> bool:
    """Return whether a line may have more levels than can be written: orjson reads 1,024 and writes 254."""
    return raw.count(b"[") + raw.count(b"{") > 250


def _encode_number(value: Any) -> Any:
    if isinstance(value, Number):
        return orjson.Fragment(value.text)
    raise TypeError(f"not JSON: {type(value).__name__}")


def _with_large_integers(value: Any) -> Any:
    """Return `value` with the integers of more than 64 bits, which orjson refuses, as fragments."""
    if isinstance(value, dict):
        return {key: _with_large_integers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_large_integers(item) for item in value]
    if type(value) is int and not -(1 << 63) <= value < 1 << 64:
        return orjson.Fragment(_digits_of(value))
    return value


def _digits_of(value: int) -> str:
    """Return an integer as text. Raises InputError for one that Python does not write."""
    try:
        return str(value)
    except ValueError as error:
        raise InputError(f"not JSON: {error}") from None


def _refuse_infinite(value: Any) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            _refuse_infinite(item)
    elif type(value) is float and value - value != 0:
        raise InputError(f"not JSON: {value}")


def dumps(value: Any) -> bytes:
    """Return `value` as compact JSON in UTF-8.

    Raises InputError for a value that is not JSON: a lone surrogate, NaN, an object of another type.

        llmtools.dumps({"a": [1, "é"]})  # '{"a":[1,"é"]}'.encode()
    """
    try:
        data = orjson.dumps(value, default=_encode_number)
    except TypeError:
        try:
            data = orjson.dumps(_with_large_integers(value), default=_encode_number)
        except (TypeError, RecursionError) as error:
            raise InputError(f"not JSON: {error}") from None
    if b"null" in data:  # orjson writes null for NaN and infinity
        _refuse_infinite(value)
    return data


def is_same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal. In JSON true is not 1, as it is in Python."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def encode(records: Iterable[Record]) -> bytes:
    """Return the records as lines.

    llmtools.encode([{"type": "notice", "code": "a", "message": "b"}])
    """
    return b"".join([dumps(record) + b"\n" for record in records])


def with_type(record: Record) -> Record | None:
    """Return a message without a type, `{"role", "parts"}` or `{"role", "content": TEXT}`, as a record
    with its type; None for another record."""
    if "type" in record or type(record.get("role")) is not str:
        return None
    if "parts" in record:
        return {"type": "message", **record}
    if type(record.get("content")) is str:
        rest = {name: value for name, value in record.items() if name not in ("role", "content")}
        parts = [{"type": "text", "text": record["content"]}]
        return {"type": "message", "role": record["role"], "parts": parts, **rest}
    return None


class Decoder:
    """Turns bytes into records. The bytes may be cut at any place.

    `feed` and `eof` return the records of complete lines. At a wrong line they return those before
    it and set `error`; every later call returns an empty list.

        decoder = llmtools.Decoder()
        lines = [*decoder.feed(b'{"role": "user", "con'), *decoder.feed(b'tent": "hi"}'), *decoder.eof()]
        [record["type"] for record, _ in lines]  # ["message"]
    """

    def __init__(self, source: str = "stdin") -> None:
        self.source = source
        self.line: int = 0
        self.error: InputError | None = None
        self._tail = bytearray()

    def feed(self, data: bytes) -> list[Line]:
        """Take the next bytes; return the pairs (record, line) of the lines that they complete."""
        if self.error is not None:
            return []
        first = data.find(b"\n")
        if first < 0:
            self._tail += data
            return []
        lines, start = [], 0
        if self._tail:  # on its own, so that a long line is copied only once
            self._tail += data[:first]
            lines, start = [bytes(self._tail)], first + 1
        end = data.rfind(b"\n")
        if start <= end:
            lines += data[start:end].split(b"\n")
        self._tail = bytearray(data[end + 1 :])
        return self._records(lines)

    def eof(self) -> list[Line]:
        """Take the end of the bytes; return the last line, if it has no newline."""
        if self.error is not None or not self._tail:
            return []
        last, self._tail = bytes(self._tail), bytearray()
        return self._records([last])

    def _records(self, lines: list[bytes]) -> list[Line]:
        if not self.line and lines[0].startswith(BOM):
            lines[0] = lines[0][3:]
        first, self.line = self.line, self.line + len(lines)
        try:
            records = list(map(orjson.loads, lines))
            for place, record in enumerate(records):
                kind = record["type"]
                if (
                    kind in _CHUNKS
                    and len(record) == 3
                    and type(record["chunk"]) is str
                    and type(record["part_index"]) is int
                    and record["part_index"] >= 0
                ):
                    continue  # most records of a stream
                if kind != "tool_call_args" or len(record) != 4 or "tool_call_id" not in record:
                    records[place] = record = _with_exact_numbers(lines[place], record)
                if kind in CHECKS:
                    CHECKS[kind](record, kind)
                elif type(kind) is not str:
                    raise TypeError
                if kind in _HISTORY and _may_be_deep(lines[place]):
                    dumps(record)
        except (orjson.JSONDecodeError, InputError, KeyError, TypeError):
            return self._one_by_one(lines, first)
        return list(zip(records, lines, strict=True))

    def _one_by_one(self, lines: list[bytes], first: int) -> list[Line]:
        """As _records, for lines that are blank, wrong, without a type, or with an odd number."""
        good: list[Line] = []
        for number, raw in enumerate(lines, first + 1):
            if not raw.strip():
                continue
            try:
                record = loads(raw)
                bare = with_type(record) if type(record) is dict else None
                if bare is not None:
                    record, raw = bare, dumps(bare)
                check_record(record)
                if record["type"] in _HISTORY and _may_be_deep(raw):
                    dumps(record)
            except InputError as refusal:
                self.error = InputError(refusal.message, line=number, source=self.source)
                break
            good.append((record, raw))
        return good
