"""What the tests of the protocols have in common: the records that a decoder drafts, each of
them checked, and messages written in few words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llmtools.protocols import load
from llmtools.records.check import check_record
from llmtools.records.fold import message_of
from llmtools.records.jsonl import dumps

if TYPE_CHECKING:
    from llmtools.protocols import Decoding

Object = dict[str, Any]


class Machine:
    """A decoder whose failure is the last record, `error`, as `Exchange` writes it."""

    def __init__(self, decoder: Decoding) -> None:
        self.decoder = decoder
        self._has_failed = False

    @property
    def seen(self) -> int:
        return self.decoder.seen

    def feed(self, data: bytes) -> list[Object]:
        return self._with_error(self.decoder.feed(data))

    def eof(self) -> list[Object]:
        return self._with_error(self.decoder.eof())

    def body(self, data: bytes) -> list[Object]:
        return self._with_error(self.decoder.body(data))

    def known_end(self) -> Object:
        return self.decoder.known_end()

    def _with_error(self, records: list[Object]) -> list[Object]:
        if self.decoder.failure is None or self._has_failed:
            return records
        self._has_failed = True
        return [*records, dict(self.decoder.failure.to_record())]


def machines(protocol: str) -> Callable[..., Machine]:
    """Return what makes a machine of a protocol, from an issuer and quirks."""
    vendor = load(protocol)
    return lambda issuer, quirks=frozenset(): Machine(vendor.Decoder(issuer, quirks))


def decoded(make: Callable[[], Machine], data: bytes, issuer: str) -> list[Object]:
    """The records of a stream, which are the same however it is cut, each of them checked."""
    machine, bytewise = make(), make()
    records = machine.feed(data) + machine.eof()
    assert [r for i in range(len(data)) for r in bytewise.feed(data[i : i + 1])] + bytewise.eof() == records
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
