"""Gemini, the calls of a reply: whole ones, and those whose arguments are streamed.

Rules:
* A call comes whole, or begins with a name and `willContinue`. Then pieces of its arguments
  follow, each at a JSON path, until a piece without `willContinue`, an empty call, another
  part, or the end of the reply.
* The pieces are not JSON text, so the arguments are added once they are whole. If the reply is
  cut off in the middle of a call, its arguments become text that does not parse: such a call
  must not run.
* Arguments that are not an object are kept as text. The text of a JSON object is the arguments;
  with any other text the call must not run.
* A call gets an id only from the vendor. Two calls never have the same id.
"""

from __future__ import annotations

import re
from itertools import pairwise

from ...errors import ProtocolError
from ..json_fields import object_in_chunks, string_of, string_or_empty, unhandled_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..json_fields import JsonObject
    from ..reply_writer import ReplyWriter

_CALL_FIELDS = frozenset(("id", "name", "args", "willContinue", "partialArgs"))
_LAST_FIELDS = frozenset(("willContinue",))
"""The fields of the empty call that ends the pieces of another."""

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,6})\]|\[(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")\]")
_LONGEST_GAP = 1000
_VALUE_TYPES: dict[str, type | tuple[type, ...]] = {
    "stringValue": str,
    "numberValue": (int, float),
    "boolValue": bool,
    "structValue": dict,
    "listValue": list,
    "nullValue": object,
}
"""The field of a piece that has its value -> the type of the value."""


def _has_type(value: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, kind) and (kind in (bool, object) or not isinstance(value, bool))


def steps_of(path: str) -> list[str | int]:
    """Return the names and indices of a JSON path. Raises ProtocolError if it is not one."""
    steps: list[str | int] = []
    at = 1 if path.startswith("$") else 0
    text = path if at or path.startswith(("[", ".")) else "." + path
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise ProtocolError(f"the provider sent a piece of arguments with an invalid path: {path[:80]}")
        quoted = match[3] if match[3] is not None else match[4]
        if match[2] is not None:
            steps.append(int(match[2]))
        else:
            steps.append(match[1] if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        at = match.end()
    return steps


def _make_room(holder: Any, step: str | int) -> None:
    """Make `step` a valid key of an object or index of a list. Raises ProtocolError if it cannot be."""
    if isinstance(step, str) and isinstance(holder, dict):
        holder.setdefault(step, None)
    elif isinstance(step, int) and isinstance(holder, list) and step < len(holder) + _LONGEST_GAP:
        holder.extend([None] * (step + 1 - len(holder)))
    else:
        raise ProtocolError("the provider sent pieces of arguments that do not fit together")


def put_at_path(arguments: JsonObject, steps: list[str | int], value: Any, is_more: bool = False) -> None:
    """Put a value at a path. With `is_more` a string continues the one that is there.

    Raises ProtocolError if the path is empty, or does not fit the values that are there.
    """
    holder: Any = arguments
    for step, following in pairwise(steps):
        _make_room(holder, step)
        if holder[step] is None:
            holder[step] = [] if isinstance(following, int) else {}
        holder = holder[step]
    if not steps:
        raise ProtocolError("the provider sent a piece of arguments without a path")
    _make_room(holder, steps[-1])
    before = holder[steps[-1]]
    is_joined = is_more and isinstance(before, str) and isinstance(value, str)
    holder[steps[-1]] = before + value if is_joined else value


class FunctionCalls:
    """Writes the function calls of one reply. `count` is their number."""

    def __init__(self, writer: ReplyWriter) -> None:
        self.count = 0
        self._writer = writer
        self._ids: set[str] = set()
        self._index = -1
        self._id_field: dict[str, str] = {}
        self._arguments: JsonObject | None = None
        self._odd_arguments = ""
        self._growing = ""

    def take(self, call: JsonObject, rest: JsonObject) -> None:
        """Take a functionCall; `rest` are the other fields of its part. Raises ProtocolError."""
        name = string_or_empty(call.get("name"))
        is_more = self._arguments is not None and (not name or ("partialArgs" in call and not call.get("id")))
        if not is_more:
            if not call.keys() - _LAST_FIELDS and not rest:
                return
            if not name and call.get("partialArgs"):
                raise ProtocolError("the provider sent a piece of arguments of a call that is not open")
            self.end()
            self._begin(call, name, rest)
        elif rest:
            record = {"type": "tool_call_name", "chunk": "", "part_index": self._index}
            self._writer.add(record, rest)
        pieces = call.get("partialArgs")
        for piece in pieces if isinstance(pieces, list) else [] if pieces is None else [pieces]:
            self._take_piece(piece)
        if not call.get("willContinue"):
            self.end()

    def end(self, is_cut: bool = False) -> None:
        """Add the arguments of the open call, if there is one; `is_cut`: it was cut off."""
        if self._arguments is None:
            return
        text = self._odd_arguments or string_of(self._arguments)
        self._arguments, self._odd_arguments = None, ""
        self._growing = ""
        self._writer.add_chunk("tool_call_args", text[:-1] if is_cut else text, self._index, None, **self._id_field)

    def _begin(self, call: JsonObject, name: str, rest: JsonObject) -> None:
        call_id = string_or_empty(call.get("id"))
        self._id_field = {"tool_call_id": call_id} if call_id and call_id not in self._ids else {}
        self._ids.add(call_id)
        self.count += 1
        self._index = self._writer.new_index()
        inner = unhandled_fields(call, _CALL_FIELDS)
        metadata = {**rest, "functionCall": inner} if inner else rest
        self._writer.add_chunk("tool_call_name", name, self._index, metadata, **self._id_field)
        arguments = call.get("args")
        self._arguments = arguments if isinstance(arguments, dict) else {}
        if arguments is not None and not isinstance(arguments, dict):
            text = string_of(arguments)
            self._odd_arguments = object_in_chunks([text]) or text

    def _take_piece(self, piece: Any) -> None:
        fields = piece if isinstance(piece, dict) else {}
        path, is_more = fields.get("jsonPath"), fields.get("willContinue", False)
        names = [name for name in _VALUE_TYPES if name in fields]
        has_types = all(_has_type(fields[name], _VALUE_TYPES[name]) for name in names)
        if not isinstance(path, str) or not isinstance(is_more, bool) or not has_types:
            self._writer.refuse("a piece of arguments in another form", piece)
        elif self._arguments is not None and names:
            value = None if names[0] == "nullValue" else piece[names[0]]
            put_at_path(self._arguments, steps_of(path), value, is_more=self._growing == path)
            self._growing = path if is_more else ""
