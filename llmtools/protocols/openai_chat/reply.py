"""OpenAI Chat Completions, the reply: chunks and whole bodies to records, in all dialects.

Rules:
* A reply has one text, one refusal and one reasoning part, whatever comes between their deltas,
  because each is one string on the wire. If the vendor sends a list of blocks (Mistral's
  content, reasoning_details, LiteLLM's thinking_blocks), each block is a part.
* provider_metadata holds what the neutral fields do not: the `field` in which a reasoning
  string came, the other fields of a block, `extra_content` and `provider_specific_fields` (of calls
  and of the message), `thinking_block`, `custom` for free text. Fields that
  are output only are kept in details and never sent back: logprobs, the usage object, and all
  fields of a chunk that have no place of their own.
* The content is that of `content`, the calls that of `calls`.
* If reasoning comes in several fields at once, only one counts: they have the same text.
* An empty string counts as absent. A later usage replaces an earlier one. Choices beyond the
  first are dropped.
* A reply with calls ends for them, one with a refusal for that, even if the vendor says `stop`.
"""

from __future__ import annotations

from ..json_fields import count_or_none, list_of, objects_of, string_of, string_or_empty, unhandled_fields
from ..reply_writer import ReplyWriter
from ..spec import failure_of_finish
from .calls import ToolCalls
from .content import Content
from .media import Media
from .spec import REASONING_FIELDS, SPEC
from .thinking import Thinking
from .usage import USAGE_PLACES, has_counts, usage_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...errors import LlmToolsError
    from ...records.types import Record
    from ..json_fields import JsonObject

# Fields with a place of their own, and those that repeat the text or the request.
_KNOWN_CHUNK_FIELDS = frozenset(
    ("id", "object", "created", "model", "choices", "usage", "error", "obfuscation", "p", "content", "lastOne")
) | {"prompt", "prompt_text", "prompt_token_ids"}
_CHOICE_FIELDS = frozenset(
    ("index", "delta", "message", "finish_reason", "logprobs", "text", "token_ids", "seed", "usage")
)
_DELTA_FIELDS = frozenset(
    ("role", "name", "content", "refusal", "reasoning", "reasoning_content", "reasoning_details", "token_id")
) | {"tool_calls", "function_call", "usage", "audio", "images", "annotations", "executed_tools", "extra_content"}
_LITELLM_FIELDS = frozenset(("thinking_blocks", "provider_specific_fields"))


class Reply:
    """Turns the chunks of one response into records.

    finish: the vendor's word for why the reply ended, "" until it comes. usage: its usage object,
    None until it comes. is_begun: whether a chunk of a reply has come. failure: set by `end` if that
    word means one.
    """

    def __init__(self, issuer: str) -> None:
        self.finish = ""
        self.usage: JsonObject | None = None
        self.is_begun = False
        self._writer = ReplyWriter(issuer)
        self._calls = ToolCalls(self._writer)
        self._media = Media(self._writer)
        self._content = Content(self._writer, self._media)
        self._model = ""
        self._details: JsonObject = {}
        self._logprobs: dict[str, list[Any]] = {}
        self._metadata: JsonObject = {}
        self._thinking = Thinking(self._writer)
        self._reasoning_items: dict[tuple[int | None, str], tuple[int, JsonObject]] = {}
        self._has_others = False

    @property
    def failure(self) -> LlmToolsError | None:
        """Why the reply failed, None if it did not."""
        return self._writer.failure

    def loads(self, payload: bytes) -> Any:
        """Return the JSON value of a payload, read leniently. Raises ProtocolError."""
        return self._writer.loads(payload)

    def take(self, chunk: JsonObject, is_whole: bool = False) -> list[Record]:
        """Return the records of a chunk, or of a whole body."""
        choices = chunk.get("choices")
        writer = self._writer
        writer.response_id = writer.response_id or string_or_empty(chunk.get("id"))
        self._model = self._model or string_or_empty(chunk.get("model"))
        self._details.update(unhandled_fields(chunk, _KNOWN_CHUNK_FIELDS))
        self._take_usage(chunk)
        if isinstance(choices, (list, dict)):
            self.is_begun = True
            if writer.response_id:  # Azure's first chunk has none; the next one has
                writer.start()
        for choice in list_of(choices):
            if not isinstance(choice, dict):
                if choice is not None:
                    writer.refuse("a choice that is not an object", choice)
            elif not count_or_none(choice.get("index")):
                self._take_choice(choice, is_whole)
            elif not self._has_others:
                self._has_others = True
                writer.notice("choices", "the server gave several answers; the first is kept")
        return writer.drain()

    def is_plain(self, choice: JsonObject) -> bool:
        """Return whether the last chunk's choice, with another text, would only continue that text."""
        return not (choice.get("finish_reason") or choice.get("logprobs") or self._writer.has_half)

    def end(self) -> list[Record]:
        """Return the last records."""
        self._writer.flush_halves()
        self._calls.end(is_cut=self._finish_reason() not in ("stop", "tool_calls"))
        self._media.add_sources(self._details)
        if not SPEC.has_finish(self.finish):
            self._writer.notice_finish(self.finish)
        end = self._end()
        self._writer.records.append(end)
        if end["finish_reason"] == "error":
            self._writer.failure = self._writer.failure or failure_of_finish(self.finish)
        return self._writer.drain()

    def known_end(self) -> JsonObject:
        """Return the fields of `end` that are known so far, also for a reply that was cut off."""
        details = {**self._details, "usage": self.usage, "logprobs": self._logprobs}
        return self._writer.known_end(usage_of(self.usage) if self.usage else None, self._model, details)

    def _end(self) -> Record:
        end: Record = {"type": "end", "status": "ok", "finish_reason": self._finish_reason(), **self.known_end()}
        if self.finish and self.finish != end["finish_reason"]:
            end["finish_reason_raw"] = self.finish
        if self._metadata:
            end["provider_metadata"] = {self._writer.issuer: self._metadata}
        return end

    def _finish_reason(self) -> str:
        reason = SPEC.finish_reason(self.finish)
        if reason not in ("stop", "tool_calls"):
            return reason
        if self._calls:
            return "tool_calls"
        return "refusal" if "refusal" in self._writer.indices else "stop"

    def _take_usage(self, chunk: JsonObject) -> None:
        holders = (chunk, chunk.get("x_groq"), chunk.get("message"), chunk.get("delta"))
        found = (holder.get(name) for holder in holders if isinstance(holder, dict) for name in USAGE_PLACES)
        usage = next((value for value in found if value and isinstance(value, dict)), None)
        if usage is not None:
            self.usage = usage if has_counts(usage) else {**(self.usage or {}), **usage}

    def _take_choice(self, choice: JsonObject, is_whole: bool) -> None:
        self.finish = string_or_empty(choice.get("finish_reason")) or self.finish
        self._details.update(unhandled_fields(choice, _CHOICE_FIELDS))
        self._take_usage(choice)
        self._take_logprobs(choice.get("logprobs"))
        names = ("message", "delta") if is_whole else ("delta", "message")  # Perplexity sends both
        delta = next((choice[name] for name in names if choice.get(name)), None)
        if delta is None and choice.get("text"):
            delta = choice["text"]
        if isinstance(delta, dict):
            self._take_delta(delta, is_whole)
        elif delta is not None:  # a bare text, as in completions that are not chats
            self._content.take(delta, is_whole)

    def _take_logprobs(self, logprobs: Any) -> None:
        for name, values in logprobs.items() if isinstance(logprobs, dict) else ():
            if isinstance(values, list):
                self._logprobs.setdefault(name, []).extend(values)

    def _take_delta(self, delta: JsonObject, is_whole: bool) -> None:
        writer = self._writer
        self._take_reasoning(delta, is_whole)
        for tool in objects_of(delta.get("executed_tools")):
            self._calls.take_executed(tool)
        self._content.take(delta.get("content"), is_whole)
        if refusal := string_of(delta.get("refusal")):
            writer.add_chunk("refusal", refusal, writer.index_of("refusal"))
        if isinstance(delta.get("audio"), dict):
            self._media.take_audio(delta["audio"])
        for image in objects_of(delta.get("images")):
            self._media.take_image(image, "images")
        for annotation in objects_of(delta.get("annotations")):
            self._media.take_annotation(annotation)
        self._calls.take(delta, is_whole)
        if isinstance(delta.get("extra_content"), dict) and delta["extra_content"]:
            self._metadata["extra_content"] = delta["extra_content"]
        self._take_specific_fields(delta.get("provider_specific_fields"))
        self._details.update(unhandled_fields(delta, _DELTA_FIELDS | _LITELLM_FIELDS))

    def _take_specific_fields(self, fields: Any) -> None:
        """Take LiteLLM's fields of the vendor behind it, which it wants back. Lists come in pieces; the thinking
        blocks are there twice."""
        found = unhandled_fields(fields, frozenset(("thinking_blocks",))) if isinstance(fields, dict) else {}
        place = self._metadata.setdefault("provider_specific_fields", {}) if found else {}
        for name, value in found.items():
            earlier = place.get(name)
            if isinstance(value, list) and isinstance(earlier, list):
                value = earlier + [one for one in value if one not in earlier]
            place[name] = value

    # ---- reasoning

    def _take_reasoning(self, delta: JsonObject, is_whole: bool) -> None:
        has_text = self._thinking.take(objects_of(delta.get("thinking_blocks")), is_whole)
        for item in filter(None, objects_of(list_of(delta.get("reasoning_details")))):
            has_text |= self._take_reasoning_item(item, is_whole)
        field = next((field for field in REASONING_FIELDS if string_of(delta.get(field))), None)
        if field and not has_text:
            metadata = None if "reasoning" in self._writer.indices else {"field": field}
            text = string_of(delta[field])
            self._writer.add_chunk("reasoning", text, self._writer.index_of("reasoning"), metadata)

    def _take_reasoning_item(self, item: JsonObject, is_whole: bool) -> bool:
        """Take an item of reasoning_details; return whether it had text.

        Pieces of one item have the same index and type, and the same id if they have any.
        Encrypted data comes whole.
        """
        kind = string_or_empty(item.get("type"))
        field = "summary" if kind == "reasoning.summary" else "text"
        text = string_of(item.get(field))
        rest = {name: value for name, value in item.items() if name != field and (is_whole or value is not None)}
        place = item.get("index")
        key = (place if isinstance(place, int) else None, kind)
        index, earlier = self._reasoning_items.get(key, (-1, {}))
        is_other = item.get("id") is not None and earlier.get("id", item["id"]) != item["id"]
        if index < 0 or is_whole or is_other or "data" in earlier:
            index, earlier = self._writer.new_index(), {}
            self._reasoning_items[key] = (index, earlier)
        new = {name: value for name, value in rest.items() if name not in earlier or earlier[name] != value}
        earlier.update(new)
        if text or new:
            redacted = {"redacted": True} if "data" in new else {}
            self._writer.add_chunk("reasoning", text, index, new, **redacted)
        return bool(text)
