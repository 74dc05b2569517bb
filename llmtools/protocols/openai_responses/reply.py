"""OpenAI Responses, the reply: events and whole bodies to records.

Rules:
* An item is known by its output_index, or by its id if a server leaves that out. Ids that change
  between events have no meaning. The contents of an item are parts. A call is one part, and the
  result of the server's own tool is another.
* The done item is the truth: what the chunks lack is added, what differs is replaced, and the
  ciphertext of reasoning is taken from there. An item that is not done is taken from the
  response that ends the stream; if that has none either, from its beginning, without the early
  ciphertext. A done item of another type than that which began is not its end.
* provider_metadata comes with the done item: on the first part the fields that the neutral ones
  do not hold, on the others {"of": ID}. `block` holds the fields of a content beside its text.
  Items that are not parts of ours are kept whole, under their own type.
* Fields that are null or empty, log-probabilities, the usage object and all other fields of the
  response are output only: they are kept in details and never sent back.
* A custom call in a response whose `tools` name no custom tool is one that the server ran (xAI).
* Unknown events make no records.
"""

from __future__ import annotations

from ..json_fields import list_of, objects_of, string_of, string_or_empty, unhandled_fields
from ..media_types import bytes_of_base64, sound_type
from ..reply_writer import PART_TYPES, ReplyWriter
from ..spec import failure_of_finish
from .calls import (
    ARGUMENT_FIELDS,
    OUTPUT_TOOLS,
    PHASE_NAMES,
    output_in,
)
from .end import details_of, outcome_of, usage_of
from .parts import (
    CallPart,
    Slot,
    Text,
    image_of,
)
from .spec import SPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...errors import LlmToolsError
    from ...records.types import Record
    from ..json_fields import JsonObject

_CONTENT_KINDS = {
    "output_text": "text",
    "refusal": "refusal",
    "reasoning_text": "reasoning",
    "summary_text": "reasoning",
}
"""Type of a content -> type of our part."""

_TEXT_EVENTS = {
    "response.output_text": ("content", "text", "text"),
    "response.refusal": ("content", "refusal", "refusal"),
    "response.reasoning_text": ("content", "reasoning", "text"),
    "response.reasoning_summary_text": ("summary", "reasoning", "text"),
}
"""Event of a text -> the list of the item that has it, the type of our part, the field of the
done event that has the whole text."""

_ARGUMENT_EVENTS = {
    "response.function_call_arguments": ("function_call", "arguments"),
    "response.mcp_call_arguments": ("mcp_call", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "input"),
    "response.code_interpreter_call_code": ("code_interpreter_call", "code"),
}
"""Event of arguments -> the type of the call's item, and its field that has them."""

_PRELIMINARY_FIELDS = ("encrypted_content", "status")
"""Fields of an item that are not final when it begins."""

_INDEX_TYPES = (int, type(None))
_MESSAGE_FIELDS = frozenset(("type", "role", "content", "phase"))
_REASONING_FIELDS = frozenset(("type", "summary", "content"))
_IMAGE_FIELDS = frozenset(("result",))
_TEXT_FIELDS = frozenset(("type", "text", "refusal", "annotations", "logprobs"))


class _Item:
    """An item of the output that is coming in. `raw` is the item as it began."""

    __slots__ = ("call", "has_cipher", "is_done", "kind", "raw", "slot", "texts")

    def __init__(self, raw: JsonObject) -> None:
        self.kind = string_or_empty(raw.get("type"))
        self.raw = raw
        self.slot = Slot()
        self.texts: dict[tuple[str, int], Text] = {}
        self.call: CallPart | None = None
        self.is_done = False
        self.has_cipher = self.kind != "reasoning"


class Reply:
    """Turns the events of one response into records.

    is_begun: whether the response has begun. plain: (output_index or id of an item, index of the
    content) -> text, for events that only continue this text.
    """

    def __init__(self, issuer: str) -> None:
        self.is_begun = False
        self.plain: dict[tuple[Any, Any], Text] = {}
        self._writer = ReplyWriter(issuer)
        self._items: dict[Any, _Item] = {}
        self._last: _Item | None = None
        self._call_ids: set[str] = set()
        self._model = ""
        self._usage: JsonObject = {}
        self._details: JsonObject = {}
        self._logprobs: list[Any] = []
        self._has_calls = False
        self._are_custom_served = False
        self._has_refusal = False

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
        name, _, step = kind.rpartition(".")
        if name in _TEXT_EVENTS and step in ("delta", "done"):
            self._take_text(event, name, step)
        elif name in _ARGUMENT_EVENTS and step in ("delta", "done"):
            self._take_arguments(event, name, step)
        elif kind in _HANDLERS:
            _HANDLERS[kind](self, event)
        self.plain = {} if self._writer.has_half else self.plain
        return self._writer.drain()

    # ---- the response

    def begin(self, event: JsonObject) -> None:
        """Take the response in an event, and add `start` if it is not there yet."""
        response = self.note_response(event)
        self.is_begun = True
        self._writer.response_id = self._writer.response_id or string_or_empty(response.get("id"))
        self._writer.start()

    def note_response(self, event: JsonObject) -> JsonObject:
        """Keep the usage and the model of the response in an event, even of a failed one; return the response."""
        response = event.get("response")
        response = response if isinstance(response, dict) else {}
        self._model = string_or_empty(response.get("model")) or self._model
        self._usage = response["usage"] if isinstance(response.get("usage"), dict) else self._usage
        if isinstance(response.get("tools"), list):
            self._are_custom_served = all(tool.get("type") != "custom" for tool in objects_of(response["tools"]))
        return response

    def known_end(self) -> JsonObject:
        """Return the fields of `end` that are known so far, also for a reply that was cut off."""
        usage = usage_of(self._usage) if self._usage else None
        details = {**self._details, "usage": self._usage, "logprobs": self._logprobs}
        return self._writer.known_end(usage, self._model, details)

    def end(self, event: JsonObject) -> list[Record]:
        """Return the last records: those of the event that ends the response."""
        self.begin(event)
        response = self.note_response(event)
        for item in list_of(response.get("output")):
            if not isinstance(item, dict) and item is not None:
                self._writer.refuse("an item that is not an object", item)
        self._end_items(objects_of(response.get("output")))
        self._writer.flush_halves()
        self._writer.notice_changed_input(response.get("input_transformations"))
        self._writer.records.append(self._end(event, response))
        return self._writer.drain()

    def _end(self, event: JsonObject, response: JsonObject) -> Record:
        reason = "tool_calls" if self._has_calls else "refusal" if self._has_refusal else "stop"
        self._details = details_of(event, response)
        outcome = outcome_of(response, reason)
        if outcome["finish_reason"] == "error":
            self._writer.failure = self._writer.failure or failure_of_finish(outcome["finish_reason_raw"])
        elif response.get("status") == "incomplete" and not SPEC.has_finish(outcome.get("finish_reason_raw", "")):
            self._writer.notice_finish(outcome["finish_reason_raw"])
        return {"type": "end", "status": "ok", **outcome, **self.known_end()}

    def _end_items(self, output: list[JsonObject]) -> None:
        """End the items that are not done: from the whole output, or from their beginnings."""
        by_id = {string_or_empty(content.get("id")): content for content in output}
        for key, item in self._items.items():
            is_at_index = isinstance(key, int) and 0 <= key < len(output) and output[key].get("type") == item.kind
            final = output[key] if is_at_index else by_id.get(string_or_empty(item.raw.get("id")), {})
            if not item.is_done:
                begun = {name: value for name, value in item.raw.items() if name not in _PRELIMINARY_FIELDS}
                self._end_item(item, final or begun)
            elif not item.has_cipher and string_or_empty(final.get("encrypted_content")) and item.texts:
                next(iter(item.texts.values())).end({"encrypted_content": final["encrypted_content"]})
        if len(output) > len(self._items) and all(isinstance(key, int) for key in self._items):
            for place, content in enumerate(output):
                if place not in self._items:
                    self._end_item(self._add(place, content), content)

    # ---- the items

    def _key(self, event: JsonObject, content: JsonObject | None = None) -> Any:
        """Return the output_index of an event, or the id of its item, "" if it has neither."""
        index = event.get("output_index")
        if isinstance(index, int):
            return index
        return string_or_empty((content or {}).get("id")) or string_or_empty(event.get("item_id"))

    def _add_item(self, event: JsonObject) -> None:
        content = event.get("item")
        if isinstance(content, dict):
            self._add(self._key(event, content), content)

    def _add(self, key: Any, content: JsonObject) -> _Item:
        item = self._items[f"~{len(self._items)}" if key == "" else key] = self._last = _Item(content)
        if item.kind in ARGUMENT_FIELDS:
            item.call = CallPart(self._writer, content, self._call_ids, are_custom_served=self._are_custom_served)
        elif item.kind == "reasoning" and content.get("id"):
            item.slot.index = self._writer.new_index()  # its text may come late or never
            self._writer.add_chunk("reasoning", "", item.slot.index, {"id": content["id"]})
        return item

    def _finish_item(self, event: JsonObject) -> None:
        content = event.get("item")
        if not isinstance(content, dict):
            return
        key = self._key(event, content)
        item = self._items.get(key) if key != "" else self._last
        if item is None or (key == "" and item.is_done):
            item = self._add(key, content)
        if not item.is_done and content.get("type") == item.kind:
            self._end_item(item, content)

    def _item(self, event: JsonObject, kind: str) -> _Item:
        """Return the item of an event, a new one of type `kind` if it is not known."""
        key = self._key(event)
        item = self._items.get(key) if key != "" else self._last
        return item or self._add(key, {"type": kind, "id": event.get("item_id")})

    def _end_item(self, item: _Item, content: JsonObject) -> None:
        item.is_done = True
        self.plain = {}
        content = {**content, "type": item.kind}
        if item.call is not None:
            item.call.end(content)
            self._has_calls = self._has_calls or not item.call.is_served
        elif item.kind == "message":
            self._end_message(item, content)
        elif item.kind == "reasoning":
            self._end_reasoning(item, content)
        elif item.kind == "image_generation_call":
            self._end_image(item, content)
        elif item.kind in OUTPUT_TOOLS:
            self._end_output(content)
        else:
            self._add_raw(content, item.kind)

    # ---- texts

    def _text(self, item: _Item, field: str, place: Any, kind: str) -> Text:
        """Return the text at a place of the item's `content` or `summary`."""
        key = (field, place if isinstance(place, int) else 0)
        if key not in item.texts:
            phase = PHASE_NAMES.get(string_or_empty(item.raw.get("phase")), "") if kind == "text" else ""
            slot = item.slot if kind == item.kind else Slot()  # the slot is for reasoning, not for other contents
            item.texts[key] = Text(self._writer, kind, slot, phase)
        return item.texts[key]

    def _take_text(self, event: JsonObject, name: str, step: str) -> None:
        holder, kind, field = _TEXT_EVENTS[name]
        item = self._item(event, "reasoning" if kind == "reasoning" else "message")
        place = event.get(f"{holder}_index")
        text = self._text(item, holder, place, kind)
        if item.is_done:
            return
        if step == "done":
            text.complete(string_of(event.get(field)))
            return
        text.add(string_of(event.get("delta")))
        key = event.get("output_index", event.get("item_id"))
        is_plain = kind == "text" and text.index is not None
        if is_plain and isinstance(key, (int, str)) and isinstance(place, _INDEX_TYPES):
            self.plain[key, place] = text

    def _annotate(self, event: JsonObject) -> None:
        if isinstance(event.get("annotation"), dict):
            item = self._item(event, "message")
            self._text(item, "content", event.get("content_index"), "text").cite(event["annotation"])

    def _end_message(self, item: _Item, message: JsonObject) -> None:
        metadata = unhandled_fields(message, _MESSAGE_FIELDS)
        phase = PHASE_NAMES.get(string_or_empty(message.get("phase")), "")
        contents = [
            content if isinstance(content, dict) else {"type": "output_text", "text": string_of(content)}
            for content in list_of(message.get("content"))
        ]
        if not contents and not item.texts:
            self._add_raw(message, item.kind)
        has_place = phase and contents and contents[0].get("type") == "output_text"
        if message.get("phase") and not has_place:  # a refusal has no field for it
            metadata["phase"] = message["phase"]
        for place, content in enumerate(contents):
            kind = _CONTENT_KINDS.get(string_or_empty(content.get("type")), "")
            if kind:
                text = self._text(item, "content", place, kind)
                self._end_content(text, kind, content, metadata, phase if kind == "text" else "")
            else:
                self._add_raw({**metadata, "block": content}, string_or_empty(content.get("type")))
            metadata = {"of": string_or_empty(message.get("id"))}

    def _end_content(self, text: Text, kind: str, content: JsonObject, metadata: JsonObject, phase: str) -> None:
        """Take a whole content of a message."""
        text.complete(string_of(content.get("refusal" if kind == "refusal" else "text")))
        text.complete_sources(objects_of(content.get("annotations")))
        self._has_refusal = self._has_refusal or kind == "refusal"
        block = unhandled_fields(content, _TEXT_FIELDS)
        text.end({**metadata, **({"block": block} if block else {})}, phase)
        self._logprobs += objects_of(content.get("logprobs"))

    def _end_reasoning(self, item: _Item, reasoning: JsonObject) -> None:
        metadata = unhandled_fields(reasoning, _REASONING_FIELDS)
        item.has_cipher = "encrypted_content" in metadata
        lists = {field: objects_of(reasoning.get(field)) for field in ("summary", "content")}
        if not any(lists.values()) and not item.texts:
            self._text(item, "summary", 0, "reasoning").end(metadata)
        for field, contents in lists.items():
            for place, content in enumerate(contents):
                text = self._text(item, field, place, "reasoning")
                text.complete(string_of(content.get("text")))
                block = unhandled_fields(content, _TEXT_FIELDS)
                if field == "content" or not text.chunks:
                    block["type"] = content.get("type")
                text.end({**metadata, **({"block": block} if block else {})})
                metadata = {"of": string_or_empty(reasoning.get("id"))}

    # ---- calls and all others

    def _take_arguments(self, event: JsonObject, name: str, step: str) -> None:
        kind, field = _ARGUMENT_EVENTS[name]
        call = self._item(event, kind).call
        if call is None:
            return
        if step == "delta":
            call.add(field, string_of(event.get("delta")))
        else:
            call.complete(field, string_of(event.get(field)))

    def _take_image(self, event: JsonObject) -> None:
        """Take a preview of an image, which the image replaces."""
        item = self._item(event, "image_generation_call")
        if item.kind == "image_generation_call" and not item.is_done:
            self._add_image(item, event, "partial_image_b64")

    def _add_image(self, item: _Item, holder: JsonObject, field: str, metadata: JsonObject | None = None) -> bool:
        """Add the image in a field; return whether there is one."""
        attachment = image_of(holder, string_or_empty(holder.get(field)))
        if attachment is None:
            return False
        if item.slot.index is None:
            item.slot.index = self._writer.new_index()
        self._writer.add({"type": "attachment", "part_index": item.slot.index, "attachment": attachment}, metadata)
        return True

    def _end_image(self, item: _Item, image: JsonObject) -> None:
        if not self._add_image(item, image, "result", unhandled_fields(image, _IMAGE_FIELDS)):
            self._add_raw(image, item.kind)

    def _end_output(self, output: JsonObject) -> None:
        """Add the result of a call that the server ran."""
        kind, index = output["type"], self._writer.new_index()
        call_id = string_or_empty(output.get("call_id")) or f"~{max(index - 1, 0)}"
        fields = {"tool_call_id": call_id, "tool_name": OUTPUT_TOOLS[kind], "server_executed": True}
        metadata = {name: value for name, value in output.items() if name != "call_id" and value is not None}
        self._writer.add_chunk("tool_result", output_in(output), index, metadata, **fields)

    def _add_raw(self, content: JsonObject, kind: str) -> None:
        """Add an item or a content that is kept whole."""
        kind = f"{kind or 'unknown'}_item" if kind in PART_TYPES else kind
        part = {"type": kind, "provider_metadata": {self._writer.issuer: content}}
        self._writer.add({"type": "part", "part_index": self._writer.new_index(), "part": part})

    # ---- sound

    def _take_sound(self, event: JsonObject) -> None:
        chunk = string_or_empty(event.get("delta"))
        sound = bytes_of_base64(chunk)
        if not sound:
            self._writer.notice("dropped_sound", "the provider sent a piece of sound that is not base64")
            return
        if "sound" not in self._writer.indices:
            index = self._writer.index_of("sound")
            self._writer.add({"type": "attachment", "part_index": index, "attachment": {"type": sound_type(sound)}})
        self._writer.add({"type": "attachment", "part_index": self._writer.indices["sound"], "chunk": chunk})

    def _take_transcript(self, event: JsonObject) -> None:
        if string_or_empty(event.get("delta")):
            self._writer.add_chunk("text", event["delta"], self._writer.index_of("transcript"))


_HANDLERS = {
    "response.created": Reply.begin,
    "response.queued": Reply.begin,
    "response.in_progress": Reply.begin,
    "response.output_item.added": Reply._add_item,
    "response.output_item.done": Reply._finish_item,
    "response.output_text.annotation.added": Reply._annotate,
    "response.image_generation_call.partial_image": Reply._take_image,
    "response.audio.delta": Reply._take_sound,
    "response.audio.transcript.delta": Reply._take_transcript,
}
"""Type of an event that is neither of a text nor of arguments -> the method that takes it."""
