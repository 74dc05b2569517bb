"""OpenAI Chat Completions, the reply: chunks and whole bodies to events, in all dialects.

Rules:
* A reply has one text, one refusal and one reasoning part, whatever stands between their
  deltas: on the wire each is one string. Only where the vendor makes a list of blocks
  (Mistral's content, reasoning_details) each block is a part.
* provider_metadata holds what the neutral fields do not give back: the `field` in which a
  reasoning string came, the rest of a block, `extra_content`, `custom` for free text.
  Output only, so kept in details and never sent back: logprobs, the usage object, and
  every field of a chunk that has no place of its own.
* Of reasoning that comes in several fields at once only one counts: they say the same.
* An empty string is no value. Usage overwrites usage. Choices beyond the first are dropped.
* A reply with calls has ended for them, one with a refusal for that, whatever `stop` says.

Facts: wire-protocols.md section 1.
"""

from __future__ import annotations

from ...errors import OverloadedError, UnavailableError
from ..reply_writer import (
    Draft,
    objects_in,
    said_in,
    text_in,
)
from .calls import Calls
from .media import Media
from .usage import usage_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Record

FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "model_length": "length",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "error": "error",
    "insufficient_system_resource": "error",
    "sensitive": "content_filter",
    "network_error": "error",
    "abort": "error",
    "repetition": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "MAX_TOKENS": "length",
    "model_context_window_exceeded": "length",
}
"""The vendors' words and ours; any other is `stop`."""

_REASONING = ("reasoning_content", "reasoning")

# Fields with a place of their own, and those that repeat the text or the request.
_OF_CHUNK = frozenset(
    ("id", "object", "created", "model", "choices", "usage", "error", "obfuscation", "p", "content", "lastOne")
) | {"prompt", "prompt_text", "prompt_token_ids"}
_OF_CHOICE = frozenset(("index", "delta", "message", "finish_reason", "logprobs", "text", "token_ids", "seed"))
_OF_DELTA = frozenset(
    ("role", "name", "content", "refusal", "reasoning", "reasoning_content", "reasoning_details", "token_id")
) | {"tool_calls", "function_call", "audio", "images", "annotations", "executed_tools", "extra_content"}


class Reply:
    """Turns the chunks of one response into draft records.

    `finish` is the vendor's word once it came, `usage` its usage object; `is_begun` says
    whether a chunk of a reply came.
    """

    def __init__(self, issuer: str) -> None:
        self.finish = ""
        self.usage: dict[str, Any] | None = None
        self.is_begun = False
        self._draft = Draft(issuer)
        self._calls = Calls(self._draft)
        self._media = Media(self._draft)
        self._model = ""
        self._details: dict[str, Any] = {}
        self._logprobs: dict[str, list[Any]] = {}
        self._metadata: dict[str, Any] = {}
        self._block = ""
        self._reasoning: dict[tuple[int | None, str], tuple[int, dict[str, Any]]] = {}
        self._has_others = False

    def loads(self, payload: bytes) -> Any:
        """Return the JSON value of a payload, read leniently. Raises ProtocolError."""
        return self._draft.loads(payload)

    def take(self, chunk: dict[str, Any], is_whole: bool = False) -> list[Record]:
        """Return the records of a chunk, or of a whole body."""
        choices = chunk.get("choices")
        draft = self._draft
        draft.response_id = draft.response_id or text_in(chunk.get("id"))
        self._model = self._model or text_in(chunk.get("model"))
        self._details.update(said_in(chunk, _OF_CHUNK))
        self._take_usage(chunk)
        if isinstance(choices, list):
            self.is_begun = True
            if draft.response_id:  # Azure's first chunk has none; the next one has
                draft.open()
        for choice in objects_in(choices):
            if choice.get("index") in (0, None):
                self._take_choice(choice, is_whole)
            elif not self._has_others:
                self._has_others = True
                draft.notice("choices", "the server gave several answers; the first is kept")
        return draft.taken()

    def is_plain(self, choice: dict[str, Any]) -> bool:
        """Return whether the last chunk's choice, with another text, would say that text and
        change nothing else."""
        return not (choice.get("finish_reason") or choice.get("logprobs") or self._draft.has_half)

    def end(self) -> list[Record]:
        """Return the last records: `end`, and an `error` where the vendor's word is one."""
        self._draft.end_halves()
        self._calls.end()
        self._media.add_sources(self._details)
        end = self._end()
        self._draft.records.append(end)
        if end["finish_reason"] == "error":
            cls = OverloadedError if "resource" in self.finish else UnavailableError
            self._draft.records.append(dict(cls(f"the provider ended the reply: {self.finish}").to_record()))
        return self._draft.taken()

    def known_end(self) -> dict[str, Any]:
        """Return what is known of the usage and the model, be the reply cut off here or not."""
        details = {**self._details, "usage": self.usage, "logprobs": self._logprobs}
        return self._draft.known_end(usage_of(self.usage) if self.usage else None, self._model, details)

    def _end(self) -> Record:
        end: Record = {"type": "end", "status": "ok", "finish_reason": self._finish_reason(), **self.known_end()}
        if self.finish and self.finish != end["finish_reason"]:
            end["finish_reason_raw"] = self.finish
        if self._metadata:
            end["provider_metadata"] = {self._draft.issuer: self._metadata}
        return end

    def _finish_reason(self) -> str:
        reason = FINISH_REASONS.get(self.finish, "stop")
        if reason not in ("stop", "tool_calls"):
            return reason
        if self._calls:
            return "tool_calls"
        return "refusal" if "refusal" in self._draft.places else "stop"

    def _take_usage(self, chunk: dict[str, Any]) -> None:
        usage = chunk.get("usage")
        if not usage and isinstance(chunk.get("x_groq"), dict):
            usage = chunk["x_groq"].get("usage")
        if usage and isinstance(usage, dict):
            self.usage = usage

    def _take_choice(self, choice: dict[str, Any], is_whole: bool) -> None:
        self.finish = text_in(choice.get("finish_reason")) or self.finish
        self._details.update(said_in(choice, _OF_CHOICE))
        self._take_logprobs(choice.get("logprobs"))
        names = ("message", "delta") if is_whole else ("delta", "message")  # Perplexity sends both
        said = next((choice[name] for name in names if isinstance(choice.get(name), dict)), None)
        if said is not None:
            self._take_delta(said, is_whole)

    def _take_logprobs(self, logprobs: Any) -> None:
        for name, values in logprobs.items() if isinstance(logprobs, dict) else ():
            if isinstance(values, list):
                self._logprobs.setdefault(name, []).extend(values)

    def _take_delta(self, delta: dict[str, Any], is_whole: bool) -> None:
        draft = self._draft
        self._take_reasoning(delta, is_whole)
        for tool in objects_in(delta.get("executed_tools")):
            self._calls.take_executed(tool)
        self._take_content(delta.get("content"), is_whole)
        if text_in(delta.get("refusal")):
            draft.say("refusal", delta["refusal"], draft.place("refusal"))
        if isinstance(delta.get("audio"), dict):
            self._media.take_audio(delta["audio"])
        for image in objects_in(delta.get("images")):
            self._media.take_image(image, "images")
        for annotation in objects_in(delta.get("annotations")):
            self._media.take_annotation(annotation)
        self._calls.take(delta, is_whole)
        if isinstance(delta.get("extra_content"), dict) and delta["extra_content"]:
            self._metadata["extra_content"] = delta["extra_content"]
        self._details.update(said_in(delta, _OF_DELTA))

    def _take_reasoning(self, delta: dict[str, Any], is_whole: bool) -> None:
        is_said = False
        for item in objects_in(delta.get("reasoning_details")):
            is_said |= self._take_detail(item, is_whole)
        field = next((field for field in _REASONING if text_in(delta.get(field))), None)
        if field and not is_said:
            first = None if "reasoning" in self._draft.places else {"field": field}
            self._draft.say("reasoning", delta[field], self._draft.place("reasoning"), first)

    def _take_detail(self, item: dict[str, Any], is_whole: bool) -> bool:
        """Take an item of reasoning_details; return whether it had text.

        Pieces of one item have its index and type, and its id if they have any; encrypted
        data come whole.
        """
        kind = text_in(item.get("type"))
        field = {"reasoning.text": "text", "reasoning.summary": "summary"}.get(kind, "")
        text = text_in(item.get(field))
        rest = {name: value for name, value in item.items() if name != field and (is_whole or value is not None)}
        place = item.get("index")
        key = (place if isinstance(place, int) else None, kind)
        index, known = self._reasoning.get(key, (-1, {}))
        is_other = item.get("id") is not None and known.get("id", item["id"]) != item["id"]
        if index < 0 or is_whole or is_other or "data" in known:
            index, known = self._draft.next(), {}
            self._reasoning[key] = (index, known)
        new = {name: value for name, value in rest.items() if name not in known or known[name] != value}
        known.update(new)
        if text or new:
            redacted = {"redacted": True} if "data" in new else {}
            self._draft.say("reasoning", text, index, new, **redacted)
        return bool(text)

    def _take_content(self, content: Any, is_whole: bool) -> None:
        if isinstance(content, str) and content:
            self._draft.say("text", content, self._draft.place("text"))
        for block in objects_in(content):
            kind = text_in(block.get("type"))
            if kind == "text":
                self._take_text(block, is_whole)
            elif kind == "thinking":
                self._take_thinking(block, is_whole)
            elif kind == "image_url":
                self._media.take_image(block, "content")
            else:
                self._block = kind
                part = {"type": kind or "unknown", "provider_metadata": {self._draft.issuer: block}}
                self._draft.add({"type": "part", "part_index": self._draft.next(), "part": part})

    def _take_text(self, block: dict[str, Any], is_whole: bool) -> None:
        self._begin_block("text", is_whole)
        text = text_in(block.get("text"))
        rest = said_in(block, frozenset(("type", "text")))
        if text or rest:
            self._draft.say("text", text, self._draft.place("text"), rest)

    def _take_thinking(self, block: dict[str, Any], is_whole: bool) -> None:
        said = block.get("thinking")
        pieces = [{"type": "text", "text": said}] if isinstance(said, str) else objects_in(said)
        self._begin_block("thinking", is_whole)
        is_new = "thinking" not in self._draft.places
        rest = {name: value for name, value in block.items() if name not in ("type", "thinking") and value is not None}
        if isinstance(said, str):
            rest["thinking"] = ""  # its form, which the text fills
        elif any(piece.get("type") != "text" for piece in pieces) or (is_whole and len(pieces) > 1):
            rest["thinking"] = said
        text = "".join([text_in(piece.get("text")) for piece in pieces])
        self._draft.say(
            "reasoning", text, self._draft.place("thinking"), {"type": "thinking"} | rest if is_new else rest
        )

    def _begin_block(self, kind: str, is_whole: bool) -> None:
        """Let the next chunk of `kind` begin a part of its own where another block came between."""
        if self._block and (is_whole or self._block != kind):
            self._draft.places.pop(kind, None)
        self._block = kind
