"""Lines to records and back: JSON Lines, read exactly and written compactly.

Rules:
* Nothing is rounded. A number that a double cannot hold as written stays a Python int
  or becomes a `Number`, and is written as it came.
* A line is refused by InputError with its number; the lines before it come out first.
* The Decoder does no I/O: bytes in, (record, line) out, the line as it came, without its
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

BOM = b"\xef\xbb\xbf"

# A number that orjson may have rounded: an exponent, or 15 digits and more. Integers beyond
# 64 bits come from it as floats too.
_ODD_NUMBER = re.compile(rb"(?:^|[:,\[])\s*-?[0-9](?:[0-9.]{14}|[0-9.]*[eE])")
_CHUNKS = frozenset(("text", "reasoning", "refusal"))
_HISTORY = frozenset(("message", "tool", "conversation"))


class Number(float):
    """A JSON number that a double cannot hold as written, such as 1e400: `text` is how it
    was written and how it is written again; as a float it is the nearest double."""

    text: str

    def __new__(cls, text: str) -> Number:
        """Make a number of its JSON text."""
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
    """Whether a number in `value` may have been rounded; our own timings are, and may be."""
    response = value.get("response") if type(value) is dict else None
    if type(response) is dict and "timing" in response:
        value = {**value, "response": {**response, "timing": None}}
    try:
        return _has_float(value)
    except RecursionError:
        return True


def _exactly(raw: bytes, value: Any) -> Any:
    """Return what `raw` holds, given what orjson made of it."""
    return _loads_exactly(raw) if _may_be_rounded(value) and _ODD_NUMBER.search(raw) else value


def _float(text: str) -> float:
    from decimal import Decimal  # only an odd number gets here

    value = float(text)
    held = value - value == 0 and Decimal(repr(value)) == Decimal(text)
    return value if held else Number(text)


def _refuse_constant(name: str) -> Any:
    raise InputError(f"{name} is not JSON")


def _loads_exactly(data: bytes) -> Any:
    import json

    try:
        value = json.loads(data, parse_float=_float, parse_constant=_refuse_constant)
        orjson.dumps(_plain(value), default=_written)  # refuses the lone surrogates that json takes
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"not JSON: {error}") from None
    return value


def loads(data: bytes | bytearray | memoryview | str) -> Any:
    """Return the JSON value in `data`, no number rounded. Raises InputError.

    llmtools.dumps(llmtools.loads("1e400"))  # b"1e400"
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if "infinity" in error.msg:
            return _loads_exactly(raw)
        raise InputError(f"not JSON: {error.msg} (column {error.colno})") from None
    return _exactly(raw, value)


def _may_be_deep(raw: bytes) -> bool:
    """Whether a line may nest deeper than can be written: orjson reads 1,024 levels and writes 254."""
    return raw.count(b"[") + raw.count(b"{") > 250


def _written(value: Any) -> Any:
    if isinstance(value, Number):
        return orjson.Fragment(value.text)
    raise TypeError(f"not JSON: {type(value).__name__}")


def _plain(value: Any) -> Any:
    """Return `value` with what orjson refuses made writable: integers beyond 64 bits."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if type(value) is int and not -(1 << 63) <= value < 1 << 64:
        return orjson.Fragment(str(value))
    return value


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

    Raises InputError for what is not JSON: a lone surrogate, NaN, another type of object.

        llmtools.dumps({"a": [1, "é"]})  # '{"a":[1,"é"]}'.encode()
    """
    try:
        data = orjson.dumps(value, default=_written)
    except TypeError:
        try:
            data = orjson.dumps(_plain(value), default=_written)
        except (TypeError, RecursionError) as error:
            raise InputError(f"not JSON: {error}") from None
    if b"null" in data:  # which orjson writes for NaN and infinity too
        _refuse_infinite(value)
    return data


def is_same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal: true is not 1 here, as it is in Python."""
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


def typed(record: Record) -> Record | None:
    """Return a bare message, `{"role", "parts"}` or `{"role", "content": TEXT}`, as a
    record with its type; None when it is none."""
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
    """Turns bytes, cut anywhere, into records.

    `feed` and `eof` return the good lines; when a line is refused they return those
    before it and set `error`, and every later call returns nothing.

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
        """Take the next bytes; return the (record, line) pairs that they complete."""
        if self.error is not None:
            return []
        first = data.find(b"\n")
        if first < 0:
            self._tail += data
            return []
        lines, start = [], 0
        if self._tail:  # apart from the rest, so that a long line is not copied once more
            self._tail += data[:first]
            lines, start = [bytes(self._tail)], first + 1
        end = data.rfind(b"\n")
        if start <= end:
            lines += data[start:end].split(b"\n")
        self._tail = bytearray(data[end + 1 :])
        return self._records(lines)

    def eof(self) -> list[Line]:
        """Say that no more bytes come; return the last line if it had no newline."""
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
                    continue  # what a stream is made of
                if kind != "tool_call_args" or len(record) != 4 or "tool_call_id" not in record:
                    records[place] = record = _exactly(lines[place], record)
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
        """As _records, where a line is blank, a bare message, an odd number, or wrong."""
        found: list[Line] = []
        for number, raw in enumerate(lines, first + 1):
            if not raw.strip():
                continue
            try:
                record = loads(raw)
                bare = typed(record) if type(record) is dict else None
                if bare is not None:
                    record, raw = bare, dumps(bare)
                check_record(record)
                if record["type"] in _HISTORY and _may_be_deep(raw):
                    dumps(record)
            except InputError as refusal:
                self.error = InputError(refusal.message, line=number, source=self.source)
                break
            found.append((record, raw))
        return found
