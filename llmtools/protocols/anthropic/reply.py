"""Anthropic Messages, the reply: events and whole bodies to records.

Rules:
* A block is a part, known by its index while it is open; a block that starts at the index
  of another is another part. A text or thinking block with nothing in it is none.
* provider_metadata holds what the neutral fields do not give back: the signature of a
  thinking block, the data of a redacted one, `caller`, what a citation says beside its
  url, title and text, the type of a server's call and its result, whole; any block that
  has no part of its own, whole, under its own type.
* Output only, so kept in details and never sent back: the usage object, stop_sequence,
  stop_details, context_management, and every other field of the message.
* A message may start with blocks in it, whole, and with its stop_reason: so it does where
  code that the server runs calls tools.
* A message that starts again goes on with the first: what came is kept, a notice tells it.
* An unknown event or delta says nothing.

Facts: wire-protocols.md section 3.
"""

from __future__ import annotations

from ...records.jsonl import dumps
from ..reply_writer import (
    Draft,
    objects_in,
    said_in,
    text_in,
)
from .results import cited_fields, exception_of, readable
from .usage import usage_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Record

    Wire = dict[str, Any]

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "compaction": "pause",
    "refusal": "refusal",
}
"""The vendor's words and ours; any other is `stop`."""

OURS = frozenset(("text", "reasoning", "refusal", "tool_call", "tool_result", "attachment", ""))
"""Types that a block of the vendor's cannot have here without being taken for a part of ours."""

_OF_MESSAGE = frozenset(("id", "type", "role", "model", "content", "usage", "stop_reason", "container"))
_OF_EVENT = frozenset(("type", "delta", "usage", "message", "index"))


def _index(event: Wire) -> int | None:
    value = event.get("index")
    return value if isinstance(value, int) else None


class _Block:
    """An open block: its part's place, None while it has none, and what of it waits."""

    __slots__ = ("call_id", "has_arguments", "index", "input", "kind", "raw")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.index: int | None = None
        self.call_id = ""
        self.input: Wire = {}
        self.has_arguments = False
        self.raw: Wire = {}


class Reply:
    """Turns the events of one response into draft records. `is_begun` says whether the
    message has started; `plain` is the place of the text part to which an event that is
    nothing but its text adds, by the block's index on the wire."""

    def __init__(self, issuer: str) -> None:
        self.is_begun = False
        self.plain: dict[int | None, int] = {}
        self._draft = Draft(issuer)
        self._id = ""
        self._model = ""
        self._finish = ""
        self._open: dict[int | None, _Block] = {}
        self._names: dict[str, str] = {}
        self._usage: Wire = {}
        self._details: Wire = {}
        self._metadata: Wire = {}
        self._has_calls = False

    def loads(self, payload: bytes) -> Any:
        """Return the JSON value of a payload, read leniently. Raises ProtocolError."""
        return self._draft.loads(payload)

    def take(self, event: Wire) -> list[Record]:
        """Return the records of an event."""
        taking = _TAKEN.get(text_in(event.get("type")))
        if taking is not None:
            taking(self, event)
        self.plain = {} if self._draft.has_half else self.plain
        return self._draft.taken()

    def take_body(self, body: Wire) -> list[Record]:
        """Return the records of a whole message."""
        self._start_message({"message": body})
        return self._draft.taken() + self.end()

    # ---- the message

    def _start_message(self, event: Wire) -> None:
        message = event.get("message")
        message = message if isinstance(message, dict) else {}
        identity = text_in(message.get("id"))
        is_repeated = self.is_begun and identity == self._id
        if self.is_begun and not is_repeated:
            self._draft.notice("restarted", "the server began its message again in the middle; what came is kept")
            self._open, self.plain = {}, {}
        self.is_begun = True
        self._id = self._draft.response_id = identity
        self._model = text_in(message.get("model")) or self._model
        self._take_usage(message.get("usage"))
        self._draft.open()
        for index, block in enumerate(() if is_repeated else objects_in(message.get("content"))):
            self._start({"index": index, "content_block": block})
            self._stop({"index": index})
        self._take_delta(message)

    def _end_message(self, event: Wire) -> None:
        delta = event.get("delta")
        if isinstance(delta, dict):
            self._take_delta(delta)
        self._take_usage(event.get("usage"))
        self._details.update(said_in(event, _OF_EVENT))

    def _take_delta(self, delta: Wire) -> None:
        self._finish = text_in(delta.get("stop_reason")) or self._finish
        self._details.update(said_in(delta, _OF_MESSAGE))
        self._take_container(delta)

    def _take_container(self, holder: Wire) -> None:
        if isinstance(holder.get("container"), dict):
            self._metadata["container"] = holder["container"]

    def _take_usage(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._usage.update({name: value for name, value in usage.items() if value is not None})

    # ---- the blocks

    def _start(self, event: Wire) -> None:
        said = event.get("content_block")
        said = said if isinstance(said, dict) else {}
        kind = text_in(said.get("type"))
        block = self._open[_index(event)] = _Block(kind)
        self.plain = {}
        if kind == "text":
            self._say(block, "text", text_in(said.get("text")), said_in(said, frozenset(("type", "text", "citations"))))
            for citation in objects_in(said.get("citations")):
                self._cite(block, citation)
        elif kind == "thinking":
            self._say(block, "reasoning", text_in(said.get("thinking")), said_in(said, frozenset(("type", "thinking"))))
        elif kind == "redacted_thinking":
            rest = {name: value for name, value in said.items() if name != "type"}
            self._say(block, "reasoning", "", rest or {"data": ""}, redacted=True)
        elif kind.endswith("tool_use"):
            self._start_call(block, said)
        elif kind.endswith("_tool_result") and text_in(said.get("tool_use_id")):
            self._take_result(block, said)
        else:
            block.raw = said
            self._say_raw(block)

    def _say(self, block: _Block, kind: str, chunk: str, metadata: Wire | None = None, **fields: Any) -> None:
        if chunk or metadata:
            self._draft.say(kind, chunk, self._place(block), metadata, **fields)

    def _place(self, block: _Block) -> int:
        if block.index is None:
            block.index = self._draft.next()
        return block.index

    def _start_call(self, block: _Block, said: Wire) -> None:
        index = self._place(block)
        identity = text_in(said.get("id"))
        block.call_id = identity if identity and identity not in self._names else f"~{index}"
        if isinstance(said.get("input"), dict):
            block.input = said["input"]
        name = text_in(said.get("name"))
        self._names[block.call_id] = name
        rest = {field: said[field] for field in said if field not in ("type", "id", "name", "input")}
        rest = {field: value for field, value in rest.items() if value is not None}
        is_served = block.kind != "tool_use"
        self._has_calls = self._has_calls or not is_served
        # The type tells whose the call is: a server's call without it would be anyone's.
        metadata = {"type": block.kind, **rest} if is_served else rest
        served = {"server_executed": True} if is_served else {}
        self._draft.say("tool_call_name", name, index, metadata, tool_call_id=block.call_id, **served)

    def _take_result(self, block: _Block, said: Wire) -> None:
        call_id = said["tool_use_id"]
        name = self._names.get(call_id) or block.kind.removesuffix("_tool_result")
        exception = exception_of(said)
        fields = {"exception": exception} if exception else {}
        metadata = {field: value for field, value in said.items() if field != "tool_use_id"}
        self._draft.say(
            "tool_result",
            readable(said.get("content")),
            self._place(block),
            metadata,
            tool_call_id=call_id,
            tool_name=name,
            server_executed=True,
            **fields,
        )

    def _say_raw(self, block: _Block) -> None:
        kind = f"{block.kind or 'unknown'}_block" if block.kind in OURS else block.kind
        part = {"type": kind, "provider_metadata": {self._draft.issuer: dict(block.raw)}}
        self._draft.add({"type": "part", "part_index": self._place(block), "part": part})

    def _delta(self, event: Wire) -> None:
        block, delta = self._open.get(_index(event)), event.get("delta")
        if block is None or not isinstance(delta, dict):
            return
        kind = text_in(delta.get("type"))
        if block.raw:
            self._change_raw(block, delta)
        elif kind == "text_delta" and block.kind == "text":
            self._say(block, "text", text_in(delta.get("text")))
            self.plain = {_index(event): block.index} if block.index is not None else {}
        elif kind == "thinking_delta" and block.kind == "thinking":
            self._say(block, "reasoning", text_in(delta.get("thinking")))
        elif kind == "signature_delta" and block.kind == "thinking" and delta.get("signature"):
            self._say(block, "reasoning", "", {"signature": delta["signature"]})
        elif kind == "input_json_delta" and block.call_id:
            self._say_arguments(block, text_in(delta.get("partial_json")))
        elif kind == "citations_delta" and block.kind == "text" and isinstance(delta.get("citation"), dict):
            self._cite(block, delta["citation"])

    def _say_arguments(self, block: _Block, text: str) -> None:
        if text:
            block.has_arguments = True
            self._draft.say("tool_call_args", text, self._place(block), tool_call_id=block.call_id)

    def _change_raw(self, block: _Block, delta: Wire) -> None:
        """Lay a delta over a block that is kept whole: a text goes on, anything else is replaced."""
        for name, value in delta.items():
            before = block.raw.get(name)
            if name != "type" and value is not None:
                is_text = isinstance(before, str) and isinstance(value, str)
                block.raw = {**block.raw, name: before + value if is_text else value}
        self._say_raw(block)

    def _cite(self, block: _Block, citation: Wire) -> None:
        kind = text_in(citation.get("type")) or "citation"
        fields = cited_fields(kind)
        cited = {ours: citation[theirs] for ours, theirs in fields.items() if text_in(citation.get(theirs))}
        said = {"type", *(fields[name] for name in cited)}
        rest = {name: value for name, value in citation.items() if name not in said} or {"type": kind}
        annotation = {"kind": kind, **cited, "provider_metadata": {self._draft.issuer: rest}}
        self._draft.add({"type": "annotation", "part_index": self._place(block), "annotation": annotation})

    def _stop(self, event: Wire) -> None:
        self.plain = {}
        block = self._open.pop(_index(event), None)
        if block is not None:
            self._end_block(block)

    def _end_block(self, block: _Block) -> None:
        if block.input and not block.has_arguments:
            self._say_arguments(block, dumps(block.input).decode())

    # ---- the end

    def end(self) -> list[Record]:
        """Return the last records."""
        for block in self._open.values():
            self._end_block(block)
        self._draft.end_halves()
        details = self._details.get("stop_details")
        if self._finish == "refusal" and isinstance(details, dict) and text_in(details.get("explanation")):
            self._draft.notice("refusal", details["explanation"])
        self._draft.records.append(self._end())
        return self._draft.taken()

    def known_end(self) -> Wire:
        """Return what is known of the usage and the model, be the reply cut off here or not."""
        usage = usage_of(self._usage) if self._usage else None
        return self._draft.known_end(usage, self._model, {**self._details, "usage": self._usage})

    def _end(self) -> Record:
        reason = FINISH_REASONS.get(self._finish, "stop")
        if reason == "stop" and self._has_calls and self._finish in ("", "end_turn"):
            reason = "tool_calls"  # some servers end a turn with calls like any other
        end: Record = {"type": "end", "status": "ok", "finish_reason": reason, **self.known_end()}
        if self._finish and self._finish != reason:
            end["finish_reason_raw"] = self._finish
        if self._metadata:
            end["provider_metadata"] = {self._draft.issuer: self._metadata}
        return end


_TAKEN = {
    "message_start": Reply._start_message,
    "content_block_start": Reply._start,
    "content_block_delta": Reply._delta,
    "content_block_stop": Reply._stop,
    "message_delta": Reply._end_message,
}
"""What takes an event, by its type."""
