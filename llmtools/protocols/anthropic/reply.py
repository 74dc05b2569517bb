"""Anthropic Messages, the reply: events and whole bodies to records.

Rules:
* A block is a part, known by its index while it is open. A block that starts at the index of
  an open block is another part. A text or thinking block without content is not a part.
* provider_metadata holds what the neutral fields do not: the signature of a thinking block,
  the data of a redacted one, `caller`, the fields of a citation beside its url, title and
  text, the type of a server's call, and the result of a server's tool whole. A block that is
  not a part of ours is kept whole, under its own type.
* The usage object, stop_sequence, stop_details, context_management and all other fields of the
  message are output only: they are kept in details and never sent back.
* A message may start with whole blocks and with its stop_reason. It does where code that the
  server runs calls tools.
* A message that starts again continues the first: what came is kept, and a notice says so.
* A text or a thought that does not fit its block is a part beside that block. Arguments that
  belong to no call are a failure; for other deltas that fit no block there is a notice.
* The input of a call may be an object or its text, in the block or in a delta.
* An event that is not known makes a notice.
"""

from __future__ import annotations

from ...http.failure import visible_text
from ...records.fold import parse_arguments
from ..json_fields import (
    count_or_none,
    is_open_object,
    list_of,
    objects_of,
    string_of,
    string_or_empty,
    unhandled_fields,
)
from ..reply_writer import PART_TYPES, ReplyWriter
from ..spec import failure_of_finish
from .results import citation_fields, exception_of, readable_content
from .spec import SPEC
from .usage import usage_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...errors import LlmToolsError
    from ...records.types import Record
    from ..json_fields import JsonObject

_MESSAGE_FIELDS = frozenset(("id", "type", "role", "model", "content", "usage", "stop_reason", "container"))
_KNOWN_EVENT_FIELDS = frozenset(("type", "delta", "usage", "message", "index"))


def _block_index(event: JsonObject) -> int | None:
    return count_or_none(event.get("index"))


def _blocks_in(content: Any) -> list[JsonObject]:
    """Return the blocks of a content, which some servers send as a string."""
    return [item if isinstance(item, dict) else {"type": "text", "text": string_of(item)} for item in list_of(content)]


class _Block:
    """An open block. `index` is the part_index, None while the block has no part; `raw` is the
    block itself if it is kept whole; `beside` are the blocks, by their kinds, of the deltas that
    do not fit this one; `call` are the fields of a call beside its name, arguments and metadata."""

    __slots__ = ("beside", "call", "chunks", "index", "input", "is_torn", "kind", "metadata", "name", "raw")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.index: int | None = None
        self.beside: dict[str, _Block] = {}
        self.call: JsonObject = {}
        self.name = ""
        self.metadata: JsonObject = {}
        self.input: Any = None
        self.chunks: list[str] = []
        self.is_torn = False  # a piece that is not a string came in the middle of a string
        self.raw: JsonObject = {}


class Reply:
    """Turns the events of one response into records.

    is_begun: whether the message has started. plain: index of an open text block on the wire ->
    its part_index, for events that only continue this text. failure: set by `end` if the
    stop_reason means one.
    """

    def __init__(self, issuer: str) -> None:
        self.is_begun = False
        self.plain: dict[int | None, int] = {}
        self._writer = ReplyWriter(issuer)
        self._id = ""
        self._model = ""
        self._finish = ""
        self._open: dict[int | None, _Block] = {}
        self._calls: list[_Block] = []
        self._tool_names: dict[str, str] = {}
        self._usage: JsonObject = {}
        self._details: JsonObject = {}
        self._metadata: JsonObject = {}
        self._has_calls = False

    @property
    def failure(self) -> LlmToolsError | None:
        """Why the reply failed, None if it did not."""
        return self._writer.failure

    def loads(self, payload: bytes) -> Any:
        """Return the JSON value of a payload, read leniently. Raises ProtocolError."""
        return self._writer.loads(payload)

    def take(self, event: JsonObject) -> list[Record]:
        """Return the records of an event."""
        kind = string_or_empty(event.get("type"))
        if kind in _HANDLERS:
            _HANDLERS[kind](self, event)
        elif kind != "ping":
            self._notice_event(event)
        self.plain = {} if self._writer.has_half else self.plain
        return self._writer.drain()

    def take_body(self, body: JsonObject) -> list[Record]:
        """Return the records of a whole message."""
        self._start_message({"message": body})
        return self._writer.drain() + self.end()

    # ---- the message

    def _start_message(self, event: JsonObject) -> None:
        message = event.get("message")
        message = message if isinstance(message, dict) else {}
        identity = string_or_empty(message.get("id"))
        is_repeated = self.is_begun and identity == self._id
        if self.is_begun and not is_repeated:
            self._writer.notice("restarted", "the server began its message again in the middle; what came is kept")
            self._open, self.plain = {}, {}
        self.is_begun = True
        self._id = self._writer.response_id = identity
        self._model = string_or_empty(message.get("model")) or self._model
        self._take_usage(message.get("usage"))
        self._writer.start()
        for index, block in enumerate([] if is_repeated else _blocks_in(message.get("content"))):
            self._start_block({"index": index, "content_block": block})
            self._stop_block({"index": index})
        self._take_message_fields(message)

    def _change_message(self, event: JsonObject) -> None:
        delta = event.get("delta")
        if isinstance(delta, dict):
            self._take_message_fields(delta)
        self._take_usage(event.get("usage"))
        self._writer.notice_changed_input(event.get("input_transformations"))
        self._details.update(unhandled_fields(event, _KNOWN_EVENT_FIELDS))

    def _take_message_fields(self, fields: JsonObject) -> None:
        self._finish = string_or_empty(fields.get("stop_reason")) or self._finish
        self._details.update(unhandled_fields(fields, _MESSAGE_FIELDS))
        self._writer.notice_changed_input(fields.get("input_transformations"))
        if isinstance(fields.get("container"), dict):
            self._metadata["container"] = fields["container"]

    def _take_usage(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._usage.update({name: value for name, value in usage.items() if value is not None})

    # ---- the blocks

    def _start_block(self, event: JsonObject) -> None:
        content = event.get("content_block")
        content = content if isinstance(content, dict) else {}
        kind = string_or_empty(content.get("type"))
        block = self._open[_block_index(event)] = _Block(kind)
        self.plain = {}
        if kind == "text":
            metadata = unhandled_fields(content, frozenset(("type", "text", "citations")))
            self._add_chunk(block, "text", string_of(content.get("text")), metadata)
            for citation in objects_of(content.get("citations")):
                self._add_citation(block, citation)
        elif kind == "thinking":
            metadata = unhandled_fields(content, frozenset(("type", "thinking")))
            self._add_chunk(block, "reasoning", string_of(content.get("thinking")), metadata)
        elif kind == "redacted_thinking":
            metadata = {name: value for name, value in content.items() if name != "type"}
            self._add_chunk(block, "reasoning", "", metadata or {"data": ""}, redacted=True)
        elif kind.endswith("tool_use"):
            self._start_call(block, content)
        elif kind.endswith("_tool_result") and string_or_empty(content.get("tool_use_id")):
            self._add_result(block, content)
        else:
            if kind == "fallback" and isinstance(content.get("to"), dict):  # another model goes on
                self._model = string_or_empty(content["to"].get("model")) or self._model
            block.raw = content
            self._add_raw(block)

    def _add_chunk(
        self, block: _Block, kind: str, chunk: str, metadata: JsonObject | None = None, **fields: Any
    ) -> None:
        if chunk or metadata:
            self._writer.add_chunk(kind, chunk, self._index_of(block), metadata, **fields)

    def _index_of(self, block: _Block) -> int:
        if block.index is None:
            block.index = self._writer.new_index()
        return block.index

    def _start_call(self, block: _Block, content: JsonObject) -> None:
        index = self._index_of(block)
        identity = string_or_empty(content.get("id"))
        call_id = identity if identity and identity not in self._tool_names else f"~{index}"
        block.input = content.get("input")
        block.name = self._tool_names[call_id] = string_or_empty(content.get("name"))
        others = {field: content[field] for field in content if field not in ("type", "id", "name", "input")}
        metadata = {field: value for field, value in others.items() if value is not None}
        is_served = block.kind != "tool_use"
        self._has_calls = self._has_calls or not is_served
        if is_served:  # the type marks the call as this issuer's: to any other it cannot be sent
            metadata = {"type": block.kind, **metadata}
        block.metadata = metadata
        block.call = {"tool_call_id": call_id, **({"server_executed": True} if is_served else {})}
        self._calls.append(block)
        self._writer.add_chunk("tool_call_name", block.name, index, metadata, **block.call)

    def _add_result(self, block: _Block, content: JsonObject) -> None:
        call_id = content["tool_use_id"]
        exception = exception_of(content)
        fields = {
            "tool_call_id": call_id,
            "tool_name": self._tool_names.get(call_id) or block.kind.removesuffix("_tool_result"),
            "server_executed": True,
            **({"exception": exception} if exception else {}),
        }
        metadata = {field: value for field, value in content.items() if field != "tool_use_id"}
        output = readable_content(content.get("content"))
        self._writer.add_chunk("tool_result", output, self._index_of(block), metadata, **fields)

    def _add_raw(self, block: _Block) -> None:
        """Add a block that is kept whole, again after each change."""
        kind = f"{block.kind or 'unknown'}_block" if block.kind in PART_TYPES else block.kind
        part = {"type": kind, "provider_metadata": {self._writer.issuer: dict(block.raw)}}
        self._writer.add({"type": "part", "part_index": self._index_of(block), "part": part})

    def _change_block(self, event: JsonObject) -> None:
        delta, index = event.get("delta"), _block_index(event)
        if not isinstance(delta, dict):
            self._notice_unfit(delta)
            return
        kind = string_or_empty(delta.get("type"))
        if index not in self._open and len(self._open) == 1 and index is None:
            index = next(iter(self._open))
        if index not in self._open:
            if kind not in _FITTING_KINDS:
                self._refuse_unfit(delta)
                return
            self._open[index] = _Block(_FITTING_KINDS[kind])
        block = self._open[index]
        if block.raw:
            self._change_raw(block, delta)
        elif kind in _ARGUMENT_DELTAS and block.call:
            names = [name for name in delta if name != "type" and delta[name] not in (None, "")]
            for name in names:
                block.is_torn |= not isinstance(delta[name], str) and is_open_object("".join(block.chunks))
                self._add_arguments(block, string_of(delta[name]))
        elif kind in _FITTING_KINDS:
            self._change_text(block, kind, delta)
            self.plain = {index: block.index} if block.kind == "text" and block.index is not None else {}
        else:
            self._refuse_unfit(delta)

    def _change_text(self, block: _Block, kind: str, delta: JsonObject) -> None:
        """Take a delta of a text or of thoughts. One that does not fit its block is of a block beside it."""
        fitting = _FITTING_KINDS[kind]
        if block.kind != fitting:
            if not any(value for name, value in delta.items() if name != "type"):
                return
            block = block.beside.setdefault(fitting, _Block(fitting))
        if kind == "text_delta":
            self._add_chunk(block, "text", string_of(delta.get("text")))
        elif kind == "thinking_delta":
            self._add_chunk(block, "reasoning", string_of(delta.get("thinking")))
        elif kind == "signature_delta" and delta.get("signature"):
            self._add_chunk(block, "reasoning", "", {"signature": delta["signature"]})
        elif isinstance(delta.get("citation"), dict):
            self._add_citation(block, delta["citation"])

    def _refuse_unfit(self, delta: JsonObject) -> None:
        """Tell of a delta that fits no block. The reply fails if it has arguments of a call."""
        if string_or_empty(delta.get("type")) not in _ARGUMENT_DELTAS:
            self._notice_unfit(delta)
        elif any(value for name, value in delta.items() if name != "type"):
            self._writer.refuse("arguments that belong to no call", delta)

    def _notice_event(self, event: JsonObject) -> None:
        what = visible_text(string_of(event).encode("utf-8", "replace"))
        self._writer.notice("unknown_event", f"the provider sent an event that is not known: {what}")

    def _notice_unfit(self, delta: Any) -> None:
        if delta not in (None, "", {}, []):
            what = visible_text(string_of(delta).encode("utf-8", "replace"))
            self._writer.notice("dropped_delta", f"the provider sent a piece of a block that is not known: {what}")

    def _add_arguments(self, block: _Block, text: str) -> None:
        if text:
            block.chunks.append(text)
            call_id = block.call["tool_call_id"]
            self._writer.add_chunk("tool_call_args", text, self._index_of(block), tool_call_id=call_id)

    def _change_raw(self, block: _Block, delta: JsonObject) -> None:
        """Lay a delta over a block that is kept whole: strings grow, other values are replaced. Pieces of JSON
        are those of its input."""
        if delta.get("type") in _ARGUMENT_DELTAS:
            block.chunks += [string_of(value) for name, value in delta.items() if name != "type"]
            return
        for name, value in delta.items():
            before = block.raw.get(name)
            if name != "type" and value is not None:
                is_string = isinstance(before, str) and isinstance(value, str)
                block.raw = {**block.raw, name: before + value if is_string else value}
        self._add_raw(block)

    def _add_citation(self, block: _Block, citation: JsonObject) -> None:
        kind = string_or_empty(citation.get("type")) or "citation"
        names = citation_fields(kind)
        fields = {ours: citation[theirs] for ours, theirs in names.items() if string_or_empty(citation.get(theirs))}
        cited = {"type", *(names[ours] for ours in fields)}
        metadata = {name: value for name, value in citation.items() if name not in cited} or {"type": kind}
        annotation = {"kind": kind, **fields, "provider_metadata": {self._writer.issuer: metadata}}
        self._writer.add({"type": "annotation", "part_index": self._index_of(block), "annotation": annotation})

    def _stop_block(self, event: JsonObject) -> None:
        self.plain = {}
        block = self._open.pop(_block_index(event), None)
        if block is not None:
            self._end_block(block)

    def _end_block(self, block: _Block) -> None:
        if block.raw and any(block.chunks):
            text = "".join(block.chunks)
            parsed = parse_arguments(text)
            block.raw = {**block.raw, "input": text if "exception" in parsed else parsed["arguments"]}
            self._add_raw(block)
            return
        if block.input not in (None, "", {}) and not block.chunks:
            self._add_arguments(block, string_of(block.input))

    # ---- the end

    def end(self) -> list[Record]:
        """Return the last records."""
        for block in self._open.values():
            self._end_block(block)
        self._writer.flush_halves()
        is_cut = SPEC.finish_reason(self._finish) not in ("stop", "tool_calls", "pause")
        for block in self._calls:
            if block.is_torn or not is_cut:
                replace = self._writer.refuse_call if block.is_torn else self._writer.end_call
                replace(block.chunks, self._index_of(block), block.name, block.metadata, **block.call)
        details = self._details.get("stop_details")
        if self._finish == "refusal" and isinstance(details, dict) and string_or_empty(details.get("explanation")):
            self._writer.notice("refusal", details["explanation"])
        if not SPEC.has_finish(self._finish):
            self._writer.notice_finish(self._finish)
        end = self._end()
        self._writer.records.append(end)
        if end["finish_reason"] == "error":
            self._writer.failure = self._writer.failure or failure_of_finish(self._finish)
        return self._writer.drain()

    def known_end(self) -> JsonObject:
        """Return the fields of `end` that are known so far, also for a reply that was cut off."""
        usage = usage_of(self._usage) if self._usage else None
        return self._writer.known_end(usage, self._model, {**self._details, "usage": self._usage})

    def _end(self) -> Record:
        reason = SPEC.finish_reason(self._finish)
        if reason == "stop" and self._has_calls and self._finish in ("", "end_turn"):
            reason = "tool_calls"  # some servers send end_turn even if there are calls
        end: Record = {"type": "end", "status": "ok", "finish_reason": reason, **self.known_end()}
        if self._finish and self._finish != reason:
            end["finish_reason_raw"] = self._finish
        if self._metadata:
            end["provider_metadata"] = {self._writer.issuer: self._metadata}
        return end


_FITTING_KINDS = {
    "text_delta": "text",
    "citations_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
}
"""The type of a delta -> that of the block that it fits."""

_ARGUMENT_DELTAS = ("input_json_delta", "input_delta")

_HANDLERS = {
    "message_start": Reply._start_message,
    "content_block_start": Reply._start_block,
    "content_block_delta": Reply._change_block,
    "content_block_stop": Reply._stop_block,
    "message_delta": Reply._change_message,
}
"""The type of an event -> the method that takes it."""

EVENT_TYPES = frozenset((*_HANDLERS, "message_stop"))
"""The types of the events that make records. A server may send them as names of events alone."""
