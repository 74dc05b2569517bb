"""Values that others sent, made fit for a stream: halves of characters, and what nests too deep.

A stream is UTF-8, and a line of it nests 254 levels at most. What a server sends beside a text must not cost
the text.
"""

from __future__ import annotations

import re

from ..errors import InputError
from .jsonl import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HALF = re.compile("[\ud800-\udfff]")
_LEVELS = 6
"""How many levels a value of a message is below the top of a conversation record."""


def join_halves(text: str) -> str:
    """Return a text with the halves of surrogate pairs joined, and U+FFFD for each lone half."""
    return text if not _HALF.search(text) else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def join_all_halves(value: Any) -> Any:
    """Return a JSON value with the halves joined in all its strings."""
    if isinstance(value, str):
        return join_halves(value)
    if isinstance(value, dict):
        return {join_halves(name): join_all_halves(item) for name, item in value.items()}
    return [join_all_halves(item) for item in value] if isinstance(value, list) else value


def make_writable(value: Any) -> Any:
    """Return a value as it can be written inside a message of a conversation record: itself, or with its halves
    joined. Raises InputError if it nests too deep."""
    inside = value
    for _ in range(_LEVELS):
        inside = [inside]
    try:
        dumps(inside)
    except InputError:
        try:
            joined = join_all_halves(inside)
        except RecursionError:
            raise InputError("not JSON: it nests too deep") from None
        dumps(joined)
        return joined[0][0][0][0][0][0]
    return value


def is_writable(value: Any) -> bool:
    """Return whether `make_writable` takes a value."""
    try:
        make_writable(value)
    except InputError:
        return False
    return True


def writable_fields(fields: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the fields that can be written, their halves joined, and the names of the others."""
    filled = {name: make_writable(value) for name, value in fields.items() if is_writable(value)}
    return {join_halves(name): value for name, value in filled.items()}, [name for name in fields if name not in filled]
