"""OpenAI Responses, the reply: events and whole bodies to records.

Rules:
* An item is known by its output_index, or by its id where a server leaves that out; ids
  that change between events say nothing. Its contents are its parts; a call is one part,
  and one more for what the server's own tool gave back.
* The item that is done is the truth: what the chunks lack is said then, what they have
  otherwise is replaced, and the ciphertext of a reasoning comes from there. What is not
  there is taken from the response that ends the stream; an item that is nowhere done is
  taken as it began, without its early ciphertext.
* provider_metadata comes when the item is done: what the neutral fields do not give back
  of it, on its first part, and {"of": ID} on its others. What a content says beside its
  text is its `block`. Items that have no part here are kept whole, under their own type.
* Output only, so never sent back: fields that are null or empty, log-probabilities, the
  usage object and every other field of the response, which are kept in details.
* An unknown event says nothing.

Facts: wire-protocols.md section 2.
"""

from __future__ import annotations

from ..reply_writer import (
    Draft,
    objects_in,
    said_in,
    text_in,
)
from .calls import (
    FIELDS,
    OUTPUTS,
    PHASES,
    output_in,
)
from .end import details_of, outcome_of, usage_of
from .parts import (
    Call,
    Slot,
    Text,
    image_of,
    sound_type,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Record

    Wire = dict[str, Any]

OURS = frozenset(("text", "reasoning", "refusal", "tool_call", "tool_result", "attachment", ""))
"""Types that an item of the vendor's cannot have here without being taken for a part of ours."""

_CONTENTS = {"output_text": "text", "refusal": "refusal", "reasoning_text": "reasoning", "summary_text": "reasoning"}
_TEXTS = {
    # Events of a text: where in the item it stands, its kind, and what of its done event tells it.
    "response.output_text": ("content", "text", "text"),
    "response.refusal": ("content", "refusal", "refusal"),
    "response.reasoning_text": ("content", "reasoning", "text"),
    "response.reasoning_summary_text": ("summary", "reasoning", "text"),
}
_ARGUMENTS = {
    # Events of the arguments of a call: the type of its item, and the field.
    "response.function_call_arguments": ("function_call", "arguments"),
    "response.mcp_call_arguments": ("mcp_call", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "input"),
    "response.code_interpreter_call_code": ("code_interpreter_call", "code"),
}
_UNFINISHED = ("encrypted_content", "status")
"""What an item that has only begun says and does not mean."""

_INDEX = (int, type(None))
_OF_MESSAGE = frozenset(("type", "role", "content", "phase"))
_OF_REASONING = frozenset(("type", "summary", "content"))
_OF_IMAGE = frozenset(("result",))
_OF_TEXT = frozenset(("type", "text", "refusal", "annotations", "logprobs"))


class _Item:
    """An item of the output as it comes."""

    __slots__ = ("call", "has_cipher", "is_done", "kind", "raw", "slot", "texts")

    def __init__(self, raw: Wire) -> None:
        self.kind = text_in(raw.get("type"))
        self.raw = raw
        self.slot = Slot()
        self.texts: dict[tuple[str, int], Text] = {}
        self.call: Call | None = None
        self.is_done = False
        self.has_cipher = self.kind != "reasoning"


class Reply:
    """Turns the events of one response into draft records. `is_begun` says whether the
    response has; `plain` are the texts to which an event that is nothing but a chunk may
    add, by the output_index or id of the item and the index of the content."""

    def __init__(self, issuer: str) -> None:
        self.is_begun = False
        self.plain: dict[tuple[Any, Any], Text] = {}
        self._draft = Draft(issuer)
        self._items: dict[Any, _Item] = {}
        self._last: _Item | None = None
        self._ids: set[str] = set()
        self._model = ""
        self._usage: Wire = {}
        self._details: Wire = {}
        self._logprobs: list[Any] = []
        self._has_calls = False
        self._has_refusal = False

    def loads(self, payload: bytes) -> Any:
        """Return the JSON value of a payload, read leniently. Raises ProtocolError."""
        return self._draft.loads(payload)

    def take(self, event: Wire) -> list[Record]:
        """Return the records of an event."""
        kind = text_in(event.get("type"))
        name, _, step = kind.rpartition(".")
        if name in _TEXTS and step in ("delta", "done"):
            self._take_text(event, name, step)
        elif name in _ARGUMENTS and step in ("delta", "done"):
            self._take_arguments(event, name, step)
        elif kind in _TAKEN:
            _TAKEN[kind](self, event)
        self.plain = {} if self._draft.has_half else self.plain
        return self._draft.taken()

    # ---- the response

    def begin(self, event: Wire) -> None:
        """Take what the response says of itself."""
        response = self.hear(event)
        self.is_begun = True
        self._draft.response_id = self._draft.response_id or text_in(response.get("id"))
        self._draft.open()

    def hear(self, event: Wire) -> Wire:
        """Return the response in an event, be it one that failed; keep its usage and the model."""
        said = event.get("response")
        response = said if isinstance(said, dict) else {}
        self._model = text_in(response.get("model")) or self._model
        self._usage = response["usage"] if isinstance(response.get("usage"), dict) else self._usage
        return response

    def known_end(self) -> Wire:
        """Return what is known of the usage and the model, be the reply cut off here or not."""
        usage = usage_of(self._usage) if self._usage else None
        details = {**self._details, "usage": self._usage, "logprobs": self._logprobs}
        return self._draft.known_end(usage, self._model, details)

    def end(self, event: Wire) -> list[Record]:
        """Return the last records: those of the event that ends the response."""
        self.begin(event)
        response = self.hear(event)
        self._end_items(objects_in(response.get("output")))
        self._draft.end_halves()
        for changed in objects_in(response.get("input_transformations")):
            said = " ".join([text for name in ("type", "action", "reason") if (text := text_in(changed.get(name)))])
            self._draft.notice("changed_input", f"the provider changed what it was sent: {said}")
        self._draft.records.append(self._end(event, response))
        return self._draft.taken()

    def _end(self, event: Wire, response: Wire) -> Record:
        reason = "tool_calls" if self._has_calls else "refusal" if self._has_refusal else "stop"
        self._details = details_of(event, response)
        return {"type": "end", "status": "ok", **outcome_of(response, reason), **self.known_end()}

    def _end_items(self, output: list[Wire]) -> None:
        """Take the items that are not done from the whole output, or as they began."""
        by_id = {text_in(said.get("id")): said for said in output}
        for key, item in self._items.items():
            is_placed = isinstance(key, int) and 0 <= key < len(output) and output[key].get("type") == item.kind
            told = output[key] if is_placed else by_id.get(text_in(item.raw.get("id")), {})
            if not item.is_done:
                begun = {name: value for name, value in item.raw.items() if name not in _UNFINISHED}
                self._end_item(item, told or begun)
            elif not item.has_cipher and text_in(told.get("encrypted_content")) and item.texts:
                next(iter(item.texts.values())).end({"encrypted_content": told["encrypted_content"]})
        if len(output) > len(self._items) and all(isinstance(key, int) for key in self._items):
            for place, said in enumerate(output):
                if place not in self._items:
                    self._end_item(self._add(place, said), said)

    # ---- the items

    def _key(self, event: Wire, item: Wire | None = None) -> Any:
        index = event.get("output_index")
        return index if isinstance(index, int) else text_in((item or {}).get("id")) or text_in(event.get("item_id"))

    def _add_item(self, event: Wire) -> None:
        said = event.get("item")
        if isinstance(said, dict):
            self._add(self._key(event, said), said)

    def _add(self, key: Any, said: Wire) -> _Item:
        item = self._items[f"~{len(self._items)}" if key == "" else key] = self._last = _Item(said)
        if item.kind in FIELDS:
            item.call = Call(self._draft, said, self._ids)
        elif item.kind == "reasoning" and said.get("id"):
            item.slot.index = self._draft.next()  # its place, though its text may come late or never
            self._draft.say("reasoning", "", item.slot.index, {"id": said["id"]})
        return item

    def _done_item(self, event: Wire) -> None:
        said = event.get("item")
        if not isinstance(said, dict):
            return
        key = self._key(event, said)
        item = self._items.get(key) if key != "" else self._last
        if item is None or (key == "" and item.is_done):
            item = self._add(key, said)
        if not item.is_done:
            self._end_item(item, said)

    def _item(self, event: Wire, kind: str) -> _Item:
        """Return the item of an event, a new one if none is known."""
        key = self._key(event)
        item = self._items.get(key) if key != "" else self._last
        return item or self._add(key, {"type": kind, "id": event.get("item_id")})

    def _end_item(self, item: _Item, said: Wire) -> None:
        item.is_done = True
        self.plain = {}
        said = {**said, "type": item.kind}
        if item.call is not None:
            item.call.end(said)
            self._has_calls = self._has_calls or not item.call.is_served
        elif item.kind == "message":
            self._end_message(item, said)
        elif item.kind == "reasoning":
            self._end_reasoning(item, said)
        elif item.kind == "image_generation_call":
            self._end_image(item, said)
        elif item.kind in OUTPUTS:
            self._end_output(said)
        else:
            self._say_raw(said, item.kind)

    # ---- texts

    def _text(self, item: _Item, where: str, place: Any, kind: str) -> Text:
        key = (where, place if isinstance(place, int) else 0)
        if key not in item.texts:
            phase = PHASES.get(text_in(item.raw.get("phase")), "") if kind == "text" else ""
            slot = item.slot if kind == item.kind else Slot()  # announced for a reasoning, not for what else comes
            item.texts[key] = Text(self._draft, kind, slot, phase)
        return item.texts[key]

    def _take_text(self, event: Wire, name: str, step: str) -> None:
        where, kind, field = _TEXTS[name]
        item = self._item(event, "reasoning" if kind == "reasoning" else "message")
        place = event.get(f"{where}_index")
        text = self._text(item, where, place, kind)
        if item.is_done:
            return
        if step == "done":
            text.settle(text_in(event.get(field)))
            return
        text.say(text_in(event.get("delta")))
        key = event.get("output_index", event.get("item_id"))
        if kind == "text" and text.index is not None and isinstance(key, (int, str)) and isinstance(place, _INDEX):
            self.plain[key, place] = text

    def _annotate(self, event: Wire) -> None:
        if isinstance(event.get("annotation"), dict):
            item = self._item(event, "message")
            self._text(item, "content", event.get("content_index"), "text").cite(event["annotation"])

    def _end_message(self, item: _Item, said: Wire) -> None:
        metadata = said_in(said, _OF_MESSAGE)
        if said.get("phase") and said["phase"] not in PHASES:
            metadata["phase"] = said["phase"]
        phase = PHASES.get(text_in(said.get("phase")), "")
        contents = objects_in(said.get("content"))
        if not contents and not item.texts:
            self._say_raw(said, item.kind)
        for place, content in enumerate(contents):
            kind = _CONTENTS.get(text_in(content.get("type")), "")
            if not kind:
                self._say_content(content, metadata)
            else:
                text = self._text(item, "content", place, kind)
                text.settle(text_in(content.get("refusal" if kind == "refusal" else "text")))
                text.settle_sources(objects_in(content.get("annotations")))
                self._has_refusal = self._has_refusal or kind == "refusal"
                block = said_in(content, _OF_TEXT)
                text.end({**metadata, **({"block": block} if block else {})}, phase if kind == "text" else "")
                self._logprobs += objects_in(content.get("logprobs"))
            metadata = {"of": text_in(said.get("id"))}

    def _say_content(self, content: Wire, metadata: Wire) -> None:
        """Add a content that has no part here."""
        self._say_raw({**metadata, "block": content}, text_in(content.get("type")))

    def _end_reasoning(self, item: _Item, said: Wire) -> None:
        metadata = said_in(said, _OF_REASONING)
        item.has_cipher = "encrypted_content" in metadata
        contents = [("summary", content) for content in objects_in(said.get("summary"))]
        contents += [("content", content) for content in objects_in(said.get("content"))]
        if not contents and not item.texts:
            self._text(item, "summary", 0, "reasoning").end(metadata)
        for place, (where, content) in enumerate(contents):
            place -= len(objects_in(said.get("summary"))) if where == "content" else 0
            text = self._text(item, where, place, "reasoning")
            text.settle(text_in(content.get("text")))
            block = said_in(content, _OF_TEXT)
            if where == "content" or not text.chunks:
                block["type"] = content.get("type")
            text.end({**metadata, **({"block": block} if block else {})})
            metadata = {"of": text_in(said.get("id"))}

    # ---- calls and all others

    def _take_arguments(self, event: Wire, name: str, step: str) -> None:
        kind, field = _ARGUMENTS[name]
        call = self._item(event, kind).call
        if call is None:
            return
        if step == "delta":
            call.say(field, text_in(event.get("delta")))
        else:
            call.settle(field, text_in(event.get(field)))

    def _take_image(self, event: Wire) -> None:
        """Take a first sight of an image, which the image replaces."""
        item = self._item(event, "image_generation_call")
        if item.kind == "image_generation_call" and not item.is_done:
            self._show(item, event, "partial_image_b64")

    def _show(self, item: _Item, said: Wire, field: str, metadata: Wire | None = None) -> bool:
        attachment = image_of(said, text_in(said.get(field)))
        if attachment is None:
            return False
        if item.slot.index is None:
            item.slot.index = self._draft.next()
        self._draft.add({"type": "attachment", "part_index": item.slot.index, "attachment": attachment}, metadata)
        return True

    def _end_image(self, item: _Item, said: Wire) -> None:
        if not self._show(item, said, "result", said_in(said, _OF_IMAGE)):
            self._say_raw(said, item.kind)

    def _end_output(self, said: Wire) -> None:
        kind, index = said["type"], self._draft.next()
        call_id = text_in(said.get("call_id")) or f"~{max(index - 1, 0)}"
        named = {"tool_call_id": call_id, "tool_name": OUTPUTS[kind], "server_executed": True}
        metadata = {name: value for name, value in said.items() if name != "call_id" and value is not None}
        self._draft.say("tool_result", output_in(said), index, metadata, **named)

    def _say_raw(self, said: Wire, kind: str) -> None:
        kind = f"{kind or 'unknown'}_item" if kind in OURS else kind
        part = {"type": kind, "provider_metadata": {self._draft.issuer: said}}
        self._draft.add({"type": "part", "part_index": self._draft.next(), "part": part})

    # ---- sound

    def _take_sound(self, event: Wire) -> None:
        chunk = text_in(event.get("delta"))
        kind = sound_type(chunk)
        if not kind:
            self._draft.notice("dropped_sound", "the provider sent a piece of sound that is no base64")
            return
        if "sound" not in self._draft.places:
            index = self._draft.place("sound")
            self._draft.add({"type": "attachment", "part_index": index, "attachment": {"type": kind}})
        self._draft.add({"type": "attachment", "part_index": self._draft.places["sound"], "chunk": chunk})

    def _take_transcript(self, event: Wire) -> None:
        if text_in(event.get("delta")):
            self._draft.say("text", event["delta"], self._draft.place("transcript"))


_TAKEN = {
    "response.created": Reply.begin,
    "response.queued": Reply.begin,
    "response.in_progress": Reply.begin,
    "response.output_item.added": Reply._add_item,
    "response.output_item.done": Reply._done_item,
    "response.output_text.annotation.added": Reply._annotate,
    "response.image_generation_call.partial_image": Reply._take_image,
    "response.audio.delta": Reply._take_sound,
    "response.audio.transcript.delta": Reply._take_transcript,
}
"""What takes an event that is none of a text or of arguments, by its type."""
