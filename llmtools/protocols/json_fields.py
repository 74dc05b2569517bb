"""Fields of JSON objects that others wrote: any field may be absent, or of any type.

Rules for the arguments of a call, which most vendors promise as the text of one JSON object:
* A value that is not a string becomes its JSON text. What is not an object is refused where the
  call is read (`records.fold.parse_arguments`): it never becomes {}.
* Some servers write the text as a JSON string, send `{}` before the arguments, send them whole
  again behind the pieces, or send all that came so far with each piece. The object that they
  mean is found only if all that came agrees with it.
"""

from __future__ import annotations

import re
from itertools import pairwise

from ..errors import InputError, ProtocolError
from ..records.jsonl import dumps, exact_float, exact_integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    JsonObject: TypeAlias = "dict[str, Any]"

UNWRITABLE = "[" * 1000
"""Arguments that nest too deep to be written as JSON become this text, which `fold` refuses."""

_COUNT = re.compile(r"\s*\+?(\d{1,15})(?:\.\d*)?\s*")
_MOST = 1e15
_MOST_VALUES = 10000
_DEEPEST_TEXT = 20
_SPACE = re.compile(r"\s*")
_EMPTY: tuple[Any, ...] = (None, "", {})


def take_safely(take: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `take` makes of a server's value. Raises ProtocolError for one that nests too deep to be read
    or written."""
    try:
        return take(*arguments)
    except InputError as error:
        raise ProtocolError(f"the provider sent JSON that cannot be written again: {error.message}") from None
    except RecursionError:
        raise ProtocolError("the provider sent JSON that nests too deep") from None


def string_or_empty(value: Any) -> str:
    """Return a string as it is, "" for any other value."""
    return value if isinstance(value, str) else ""


def string_of(value: Any) -> str:
    """Return a string as it is, "" for null, and the JSON text of any other value."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return dumps(value).decode()
    except InputError:
        return _lenient_text(value)


def _lenient_text(value: Any) -> str:
    """Return the JSON text of a value that has halves of characters, or that nests deep."""
    import json

    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return UNWRITABLE


def inside_of_string(text: str) -> str:
    """Return a text as the inside of a JSON string; half a character stays."""
    try:
        return dumps(text).decode()[1:-1]
    except InputError:
        return _lenient_text(text)[1:-1]


def objects_of(value: Any) -> list[JsonObject]:
    """Return the objects of a list, [] for any other value."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def list_of(value: Any) -> list[Any]:
    """Return a list as it is, [] for null or "", and a list of any other value."""
    return value if isinstance(value, list) else [] if value in (None, "") else [value]


def count_or_none(value: Any) -> int | None:
    """Return a count as a whole number from 0, also if it is a float or a string; None for any other value."""
    if type(value) is int:
        return value if 0 <= value < _MOST else None
    if isinstance(value, float):
        return int(value) if 0 <= value < _MOST else None
    match = _COUNT.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) if match else None


def count_of(holder: Any, name: str) -> int:
    """Return a field of an object that counts something, 0 if it does not."""
    return count_or_none(holder.get(name)) or 0 if isinstance(holder, dict) else 0


def unhandled_fields(value: JsonObject, handled: frozenset[str] = frozenset()) -> JsonObject:
    """Return the fields of an object that are neither `handled` nor empty (null, "", [], {})."""
    return {name: item for name, item in value.items() if name not in handled and item not in (None, "", [], {})}


def code_points_of(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return a range of UTF-8 bytes of a text as one of code points, None if it is empty, or not in the text."""
    data = text.encode("utf-8", "surrogatepass")
    if not 0 <= start < end <= len(data):
        return None
    try:
        before, inside = data[:start].decode(), data[start:end].decode()
    except UnicodeDecodeError:
        return None
    return len(before), len(before) + len(inside)


def readable_text(value: Any, names: tuple[str, ...], depth: int = 0) -> str:
    """Return the text that a person would read in the result of a tool: strings, and the fields `names` of
    objects, a line each. What nests deeper than `_DEEPEST_TEXT` is not read."""
    if isinstance(value, str):
        return value
    if depth > _DEEPEST_TEXT:
        return ""
    if isinstance(value, list):
        texts = [readable_text(item, names, depth + 1) for item in value]
    elif isinstance(value, dict):
        texts = [readable_text(value.get(name), names, depth + 1).rstrip("\n") for name in names]
    else:
        return ""
    return "\n".join([text for text in texts if text])


def _values_in(text: str) -> list[tuple[Any, str]]:
    """Return the JSON values that follow each other in a text, each with its text; [] if it has anything else."""
    import json

    decoder, at, text = json.JSONDecoder(parse_float=exact_float, parse_int=exact_integer), 0, text.strip()
    values: list[tuple[Any, str]] = []
    try:
        while at < len(text) and len(values) < _MOST_VALUES:
            value, end = decoder.raw_decode(text, at)
            values.append((value, text[at:end]))
            at = _SPACE.match(text, end).end()  # type: ignore[union-attr]
    except (ValueError, RecursionError):
        return []
    return values if at >= len(text) else []


def _without_quotes(value: Any, text: str) -> tuple[Any, str]:
    """Return the object in a string of JSON, and its text; any other value as it is."""
    for _ in range(3):
        inner = _values_in(value) if isinstance(value, str) else []
        if len(inner) != 1 or not isinstance(inner[0][0], (dict, str)):
            break
        value, text = inner[0]
    return value, text


def _grows(values: list[Any]) -> bool:
    """Return whether each value is an object that has all members of the one before."""
    if not all(isinstance(value, dict) for value in values):
        return False
    return all(
        name in after and after[name] == item for before, after in pairwise(values) for name, item in before.items()
    )


def is_open_object(text: str) -> bool:
    """Return whether a text begins a JSON object, or a string of JSON, and does not end it."""
    return text.lstrip().startswith(("{", '"')) and not _values_in(text)


def object_in_chunks(chunks: list[str]) -> str | None:
    """Return the JSON text of the object that the chunks of a call's arguments mean, None if it is
    simply all of them, or if they do not mean one object."""
    whole = "".join(chunks)
    values = _values_in(whole)
    if len(values) == 1 and isinstance(values[0][0], dict):
        return None
    found = [_without_quotes(*item) for item in values]
    if found:
        filled = [item for item in found if item[0] not in _EMPTY]
        found = filled or [item for item in found if item[0] == {}][:1]
    elif len(chunks) > 1 and chunks[0]:
        last, before = chunks[-1], chunks[:-1]
        if last.startswith("".join(before)) or all(last.startswith(chunk) for chunk in before):
            found = _values_in(last)
            found = found if len(found) == 1 else []
    return found[-1][1] if found and _grows([value for value, _ in found]) else None
