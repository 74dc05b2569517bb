"""Gemini generateContent, the calls of a reply: whole ones, and those whose arguments are streamed.

Rules:
* A call comes whole, or begins with a name and `willContinue`; then come pieces of its
  arguments, each at a JSON path, until a piece without `willContinue`, an empty call,
  another part, or the end of the reply.
* The pieces are no text of JSON, so the arguments are told once they are whole. Where the
  reply is cut in the middle of a call, they are told as text that does not parse: such a
  call must not run.
* An id is the vendor's or none is told; two calls never have one id.

Facts: wire-protocols.md section 4.
"""

from __future__ import annotations

import re
from itertools import pairwise

from ...errors import InputError, ProtocolError
from ...records.jsonl import dumps
from ..reply_writer import objects_in, said_in, text_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..reply_writer import Draft

_OF_CALL = frozenset(("id", "name", "args", "willContinue", "partialArgs"))
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,6})\]|\[(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")\]")
_LONGEST_GAP = 1000
_VALUES = ("stringValue", "numberValue", "boolValue", "structValue", "listValue")


def steps_of(path: str) -> list[str | int]:
    """Return the names and places of a JSON path. Raises ProtocolError for what is none."""
    steps: list[str | int] = []
    at = 1 if path.startswith("$") else 0
    text = path if at or path.startswith(("[", ".")) else "." + path
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise ProtocolError(f"the provider sent a part of arguments at no path: {path[:80]}")
        quoted = match[3] if match[3] is not None else match[4]
        if match[2] is not None:
            steps.append(int(match[2]))
        else:
            steps.append(match[1] if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        at = match.end()
    return steps


def _hold(holder: Any, step: str | int) -> None:
    """Make room for `step` in an object or a list. Raises ProtocolError where it fits not."""
    if isinstance(step, str) and isinstance(holder, dict):
        holder.setdefault(step, None)
    elif isinstance(step, int) and isinstance(holder, list) and step < len(holder) + _LONGEST_GAP:
        holder.extend([None] * (step + 1 - len(holder)))
    else:
        raise ProtocolError("the provider sent parts of arguments that do not fit together")


def put(arguments: dict[str, Any], steps: list[str | int], value: Any, is_more: bool = False) -> None:
    """Put a value at its path; `is_more` joins a text to the one that stands there."""
    holder: Any = arguments
    for step, following in pairwise(steps):
        _hold(holder, step)
        if holder[step] is None:
            holder[step] = [] if isinstance(following, int) else {}
        holder = holder[step]
    if not steps:
        raise ProtocolError("the provider sent a part of arguments with no path")
    _hold(holder, steps[-1])
    before = holder[steps[-1]]
    is_joined = is_more and isinstance(before, str) and isinstance(value, str)
    holder[steps[-1]] = before + value if is_joined else value


class Calls:
    """Writes the function calls of one reply into its draft. `count` is how many there are."""

    def __init__(self, draft: Draft) -> None:
        self.count = 0
        self._draft = draft
        self._ids: set[str] = set()
        self._index = -1
        self._named: dict[str, str] = {}
        self._arguments: dict[str, Any] | None = None
        self._growing = ""

    def take(self, call: dict[str, Any], rest: dict[str, Any]) -> None:
        """Take a functionCall; `rest` are the other fields of its part."""
        name = text_in(call.get("name"))
        is_more = self._arguments is not None and (not name or ("partialArgs" in call and not call.get("id")))
        if not is_more:
            if not name and not call.get("args") and not call.get("partialArgs") and not rest:
                return
            self.end()
            self._begin(call, name, rest)
        elif rest:
            record = {"type": "tool_call_name", "chunk": "", "part_index": self._index}
            self._draft.add(record, rest)
        for piece in objects_in(call.get("partialArgs")):
            self._take_piece(piece)
        if not call.get("willContinue"):
            self.end()

    def end(self, is_cut: bool = False) -> None:
        """Tell the arguments of the call that is open; `is_cut`: it was, in the middle."""
        if self._arguments is None:
            return
        try:
            text = dumps(self._arguments).decode()
        except InputError:  # nested deeper than can be written: text that the fold refuses
            text = "[" * 1000
        self._arguments = None
        self._growing = ""
        self._draft.say("tool_call_args", text[:-1] if is_cut else text, self._index, None, **self._named)

    def _begin(self, call: dict[str, Any], name: str, rest: dict[str, Any]) -> None:
        call_id = text_in(call.get("id"))
        self._named = {"tool_call_id": call_id} if call_id and call_id not in self._ids else {}
        self._ids.add(call_id)
        self.count += 1
        self._index = self._draft.next()
        inner = said_in(call, _OF_CALL)
        metadata = {**rest, "functionCall": inner} if inner else rest
        self._draft.say("tool_call_name", name, self._index, metadata, **self._named)
        arguments = call.get("args")
        self._arguments = arguments if isinstance(arguments, dict) else {}

    def _take_piece(self, piece: dict[str, Any]) -> None:
        path = text_in(piece.get("jsonPath"))
        value = next((piece[name] for name in _VALUES if name in piece), None)
        if self._arguments is None or (value is None and "nullValue" not in piece):
            return
        put(self._arguments, steps_of(path), value, is_more=self._growing == path)
        self._growing = path if piece.get("willContinue") else ""
