"""Recorded replies with one JSON value replaced: what a server sends that keeps to no document.

A place is a path into one event of a recording. Places of one shape (the same path through
objects, any index of a list, an event of the same type) are one place, the first of them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from support.decoding import Machine, whole
from support.recordings import ISSUER, Object, fed, read

Path = tuple[str | int, ...]
REMOVED = "removed"
REPLACEMENTS: tuple[Any, ...] = (None, 7, "zz", [], [1], {}, {"a": 1}, REMOVED)
_OWN_TYPES = {"text", "reasoning", "refusal", "tool_call", "tool_result", "attachment"}
_ARGUMENT_FIELDS = {"arguments", "args", "input", "partial_json", "partialArgs", "operation", "action", "item"}
"""Fields that hold arguments, or an object of which all fields but its type are arguments."""

_NO_ARGUMENTS: tuple[Any, ...] = (None, "", {}, REMOVED)


@dataclass(frozen=True)
class Place:
    """A value in an event. `line` counts the lines of the recording, 0 for a body."""

    line: int
    path: Path
    value: Any


class Recording:
    """A recorded reply. `message` is what it says, `is_complete` whether it ends without an error."""

    def __init__(self, name: str, make: Callable[[], Machine]) -> None:
        self.name = name
        self._make = make
        self._is_body = name.endswith(".json")
        data = read(name).decode("utf-8", "replace")
        self._lines = [data] if self._is_body else data.replace("\r\n", "\n").split("\n")
        records = self._records(data)
        self.message = whole(records, ISSUER)
        self.is_complete = all(record["type"] != "error" for record in records)

    def places(self) -> Iterator[Place]:
        seen = set()
        for number, line in enumerate(self._lines):
            event = _event_of(line)
            kind = event.get("type") if isinstance(event, dict) else None
            for path, value in _walk(event):
                shape = (str(kind), *["#" if isinstance(step, int) else step for step in path])
                if shape not in seen:
                    seen.add(shape)
                    yield Place(number, path, value)

    def records_with(self, place: Place, value: Any) -> list[Object]:
        """The records of the reply with another value at a place."""
        lines = list(self._lines)
        begin = "data: " if lines[place.line].startswith("data:") else ""
        lines[place.line] = begin + json.dumps(_replaced(_event_of(lines[place.line]), place.path, value))
        return self._records("\n".join(lines))

    def _records(self, data: str) -> list[Object]:
        machine = self._make()
        return machine.body(data.encode()) if self._is_body else fed(machine, data.encode())


def losses(before: Object, records: list[Object], place: Place, value: Any) -> list[str]:
    """What a reply with an odd value keeps quiet about, in words; `before` is the message without it."""
    if any(record["type"] == "error" for record in records):
        return []
    after = whole(records, ISSUER)
    found = [
        f"the call {name} has arguments that were not sent: {arguments}"
        for name, arguments in _calls(after)
        if not _is_sent(arguments, before, place, value)
    ]
    if _is_reported(before, after, records):
        return found
    replaced = _shown_letters(place.value, _text(before))
    lost = len(_text(before)) - len(_text(after))
    if lost > replaced:
        found.append(f"{lost} letters are lost, of which {replaced} were replaced")
    missing = _call_count(before) - _call_count(after)
    if missing > 0 and not isinstance(place.value, (dict, list)):
        found.append(f"{missing} calls are lost")
    return found


def _event_of(line: str) -> Any:
    try:
        return json.loads(line.removeprefix("data:"))
    except ValueError:
        return None


def _walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if path:
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _walk(inner, (*path, key))


def _replaced(event: Any, path: Path, value: Any) -> Any:
    event = copy.deepcopy(event)
    holder = event
    for step in path[:-1]:
        holder = holder[step]
    if value == REMOVED:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return event


def _is_reported(before: Object, after: Object, records: list[Object]) -> bool:
    """Whether people are told that the reply is not what it could have been."""
    if any(record["type"] == "notice" for record in records):
        return True
    [end] = [record for record in records if record["type"] == "end"]
    return end["finish_reason"] not in ("stop", "tool_calls") or _unknown_count(after) > _unknown_count(before)


def _unknown_count(message: Object) -> int:
    return sum(part["type"] not in _OWN_TYPES for part in message["parts"])


def _call_count(message: Object) -> int:
    return sum(part["type"] == "tool_call" for part in message["parts"])


def _text(message: Object) -> str:
    return "".join(part["text"] for part in message["parts"] if "text" in part)


def _calls(message: Object) -> list[tuple[str, Object]]:
    """The calls that would run."""
    calls = [part for part in message["parts"] if part["type"] == "tool_call"]
    return [(c["name"], c["arguments"]) for c in calls if "exception" not in c and not c.get("server_executed")]


def _is_sent(arguments: Object, before: Object, place: Place, value: Any) -> bool:
    """Whether the arguments of a call that would run are what the server sent.

    A piece of the text of arguments that is not there cannot be told from one that never was.
    """
    sent = [part["arguments"] for part in before["parts"] if part["type"] == "tool_call"]
    if arguments in sent or (place.path[-1] == "name" and not arguments):
        return True
    if not _ARGUMENT_FIELDS.intersection(place.path):
        return False
    is_piece = "partialArgs" in place.path  # a list of pieces may be empty
    if not arguments or value in (None, REMOVED) or (is_piece and value == []):
        return value in _NO_ARGUMENTS or is_piece
    replaced = _leaves(value) | {json.dumps(json.dumps(value, separators=(",", ":")))}
    return place.path[-1] == "jsonPath" or _leaves(arguments) <= replaced.union(*map(_leaves, sent))


def _leaves(value: Any) -> set[str]:
    """The names and the scalars in a value, as JSON."""
    if isinstance(value, dict):
        return {json.dumps(name) for name in value}.union(*map(_leaves, value.values()))
    return set().union(*map(_leaves, value)) if isinstance(value, list) else {json.dumps(value)}


def _shown_letters(value: Any, text: str) -> int:
    """How many letters in a value are in the text of the message."""
    if isinstance(value, str):
        return len(value) if value in text else 0
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(_shown_letters(item, text) for item in items)
