"""What the tests of the protocols have in common: the records that a decoder drafts, each of
them checked, and messages written in few words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from llmtools.errors import LlmToolsError
from llmtools.records.check import check_record
from llmtools.records.fold import message_of
from llmtools.records.jsonl import dumps

Object = dict[str, Any]


class Machine(Protocol):
    """A decoder of some protocol."""

    def feed(self, data: bytes) -> list[Object]: ...

    def eof(self) -> list[Object]: ...


def end_of(machine: Machine) -> list[Object]:
    """The last records, with the error that `eof` raises as a record."""
    try:
        return machine.eof()
    except LlmToolsError as error:
        return [dict(error.to_record())]


def decoded(make: Callable[[], Machine], data: bytes, issuer: str) -> list[Object]:
    """The records of a stream, which are the same however it is cut, each of them checked."""
    machine, bytewise = make(), make()
    records = machine.feed(data) + end_of(machine)
    assert [r for i in range(len(data)) for r in bytewise.feed(data[i : i + 1])] + end_of(bytewise) == records
    whole(records, issuer)
    return records


def whole(records: list[Object], issuer: str) -> Object:
    """The message of draft records, each of them checked, as if `Exchange` had completed them."""
    added = {"start": {"response_id": "r", "model": "m", "provider": issuer}, "end": {"response_id": "r"}}
    said = [{**added.get(record["type"], {}), **record} for record in records]
    for record in said:
        check_record(record)
        dumps(record)
    places = list(dict.fromkeys(record["part_index"] for record in said if "part_index" in record))
    assert places == list(range(len(places)))
    message = message_of(said)
    check_record(message)
    return dict(message)


def kinds(records: list[Object]) -> list[str]:
    return [record["type"] for record in records]


def end(records: list[Object]) -> Object:
    [record] = [record for record in records if record["type"] == "end"]
    return record


def user(*content: Object | str, role: str = "user") -> Object:
    said = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    return {"type": "message", "role": role, "parts": said}


def assistant(*said: Object, **fields: Any) -> Object:
    return {"type": "message", "role": "assistant", "parts": list(said), **fields}


def call(name: str, call_id: str | None = None, **fields: Any) -> Object:
    named = {} if call_id is None else {"tool_call_id": call_id}
    return {"type": "tool_call", "name": name, "arguments": {}, **named, **fields}


def results(*answers: tuple[str, str], **fields: Any) -> Object:
    said = [{"type": "tool_result", "name": "f", "output": out, "tool_call_id": to, **fields} for to, out in answers]
    return {"type": "message", "role": "tool", "parts": said}
