"""The reply of a model of one's own: what its `execute` yields, as the records of a stream.

Rules:
* `execute` yields texts and events. An event without a `part_index` gets one: texts of one kind that
  follow each other are one part, and the pieces of a call with one id are.
* What `execute` tells its response besides (usage, calls) comes at the end.
"""

from __future__ import annotations

from typing import Any

from ..errors import InputError, RequestError
from ..http.request import Emit, Pull
from ..records.check import check_record
from ..records.jsonl import dumps
from .calls import ToolCall
from .messages import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..http.request import Want

PART_FIELDS = ("tool_call_id", "server_executed", "tool_name", "redacted", "provider_metadata", "exception", "phase")
"""The fields of an event of `execute` that go into the stream."""
CALL_EVENTS = ("tool_call_name", "tool_call_args")


class OwnReply:
    """What a model of one's own says in one response. `add_call`, and the other fields, are for its `execute`."""

    def __init__(self) -> None:
        self.usage: dict[str, Any] = {}
        self.model_served: str | None = None
        self.json: Any = None
        self._added: list[ToolCall] = []
        self._places: dict[Any, int] = {}
        self._last: tuple[str, Any] = ("", None)
        self._calls: set[str | None] = set()

    def add_call(self, call: ToolCall) -> None:
        """Take a call of a tool."""
        self._added.append(call)

    def wants(self, source: Any) -> Iterator[Want]:
        """Yield wants: the items of `source`, an iterator or an asynchronous one, as records."""
        yield Emit([{"type": "start"}])
        while (item := (yield Pull(source))) is not None:
            if record := self._record(Event("text", item) if isinstance(item, str) else item):
                yield Emit([record])
        calls = [record for call in self._added for record in self._call_records(call)]
        yield Emit([*calls, self._end()])

    def _record(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the record of an event; None for one that says nothing."""
        fields = {name: event[name] for name in PART_FIELDS if event.get(name)}
        chunk = event.get("chunk", "")
        if not (chunk or fields):
            return None
        if event["type"] in CALL_EVENTS:
            self._calls.add(event.get("tool_call_id"))
        record = {"type": event["type"], "chunk": chunk, "part_index": self._place(event), **fields}
        try:
            check_record(record)
        except InputError as error:
            raise RequestError(f"execute: {error.message}") from None
        return record

    def _place(self, event: Mapping[str, Any]) -> int:
        kind = "call" if event["type"] in CALL_EVENTS else event["type"]
        before, last = self._last
        if event.get("part_index") is not None:
            key: Any = ("given", event["part_index"])
        elif kind == "call" and event.get("tool_call_id"):
            key = ("call", event["tool_call_id"])
        elif kind == before and event["type"] not in ("tool_call_name", "tool_result"):
            key = last
        else:
            key = ("new", len(self._places))
        self._last = kind, key
        return self._places.setdefault(key, len(self._places))

    def _call_records(self, call: ToolCall) -> Iterator[dict[str, Any]]:
        """Yield the events of a call that `execute` added, unless it has yielded them too."""
        if call.tool_call_id in self._calls:
            return
        identity = {"tool_call_id": call.tool_call_id} if call.tool_call_id else {}
        place = self._places.setdefault(("added", len(self._places)), len(self._places))
        self._calls.add(call.tool_call_id or f"~{place}")
        pieces = zip(CALL_EVENTS, (call.name, dumps(call.arguments).decode()), strict=True)
        for kind, chunk in pieces:
            yield {"type": kind, "chunk": chunk, "part_index": place, **identity}

    def _end(self) -> dict[str, Any]:
        counts = {name: self.usage[name] for name in ("input", "output") if self.usage.get(name) is not None}
        served = {"model_served": self.model_served} if self.model_served else {}
        reason = "tool_calls" if self._calls else "stop"
        return {"type": "end", "status": "ok", "finish_reason": reason, "usage": counts, **served}
