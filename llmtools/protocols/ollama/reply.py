"""Ollama, the reply: lines and whole bodies to records.

Rules:
* A reply has one text and one reasoning part, because each is one string on the wire. Every
  call comes whole. Its id is the server's, if the server gave it one.
* `done_reason` is `stop` even if the reply ends with calls.
* Some servers that stand in for Ollama send `reasoning_content` in the place of `thinking`.
* provider_metadata holds `field` of the thinking, which marks it as this issuer's, and the index
  of a call. Counts, durations and log-probabilities are kept in details.
"""

from __future__ import annotations

from ..json_fields import count_or_none, list_of, object_in_chunks, string_of, string_or_empty, unhandled_fields
from ..media_types import bytes_of_base64, image_type
from ..reply_writer import ReplyWriter
from ..spec import failure_of_finish
from .spec import SPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...errors import LlmToolsError
    from ...records.types import Record
    from ..json_fields import JsonObject

_USAGE = ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration")
_LINE_FIELDS = frozenset(("model", "created_at", "message", "done", "done_reason", "logprobs", "error", *_USAGE))
_CALL_FIELDS = frozenset(("id", "type", "function", "name", "arguments"))
_FUNCTION_FIELDS = frozenset(("name", "arguments", "id", "type", "function"))


class Reply:
    """Turns the lines of one response into records.

    is_begun: whether a line of a reply has come. is_done: whether the last one has. failure: why a
    reply whose last line has come failed, None if it is complete.
    """

    def __init__(self, issuer: str) -> None:
        self.is_begun = False
        self.is_done = False
        self._writer = ReplyWriter(issuer)
        self._model = ""
        self._call_ids: set[str] = set()
        self._has_calls = False
        self._details: JsonObject = {}
        self._usage: JsonObject = {}
        self._logprobs: list[Any] = []

    @property
    def failure(self) -> LlmToolsError | None:
        """Why the reply failed, None if it did not."""
        return self._writer.failure

    def loads(self, payload: bytes) -> Any:
        """Return the JSON value of a line, read leniently. Raises ProtocolError."""
        return self._writer.loads(payload)

    def take(self, line: JsonObject) -> list[Record]:
        """Return the records of a line or of a whole body; those of the last line end with `end`."""
        message = line.get("message")
        self._model = self._model or string_or_empty(line.get("model"))
        if isinstance(message, dict) or line.get("done") is True:
            self.is_begun = True
            self._writer.start()
        if isinstance(message, str):
            message = {"content": message}
        if isinstance(message, dict):
            self._take_message(message)
        elif message:
            self._writer.refuse("a message that is not an object", message)
        if isinstance(line.get("logprobs"), list):
            self._logprobs += line["logprobs"]
        self._usage.update({name: line[name] for name in _USAGE if name in line})
        self._details.update(unhandled_fields(line, _LINE_FIELDS))
        if line.get("done") is True:
            self._end(string_or_empty(line.get("done_reason")))
        return self._writer.drain()

    def _take_message(self, message: JsonObject) -> None:
        writer = self._writer
        thought = string_of(message.get("thinking")) or string_of(message.get("reasoning_content"))
        if thought:
            metadata = None if "thinking" in writer.indices else {"field": "thinking"}
            writer.add_chunk("reasoning", thought, writer.index_of("thinking"), metadata)
        if content := string_of(message.get("content")):
            writer.add_chunk("text", content, writer.index_of("content"))
        images = message.get("images")
        for image in images if isinstance(images, list) else ():
            if string_or_empty(image):
                attachment = {"type": image_type(bytes_of_base64(image[:16])), "content": image}
                writer.add({"type": "attachment", "part_index": writer.new_index(), "attachment": attachment})
        for call in list_of(message.get("tool_calls")):
            if isinstance(call, dict):
                self._take_call(call)
            elif call is not None:
                writer.refuse("a call that is not an object", call)

    def _take_call(self, call: JsonObject) -> None:
        function = call.get("function")
        if function and not isinstance(function, dict):
            self._writer.refuse("a call whose function is not an object", call)
        function = function if isinstance(function, dict) else call
        call_id = string_or_empty(call.get("id"))
        identity = {"tool_call_id": call_id} if call_id and call_id not in self._call_ids else {}
        self._call_ids.add(call_id)
        self._has_calls = True
        metadata = unhandled_fields(call, _CALL_FIELDS)
        if inner := unhandled_fields(function, _FUNCTION_FIELDS):
            metadata["function"] = inner
        writer = self._writer
        index = writer.new_index()
        writer.add_chunk("tool_call_name", string_or_empty(function.get("name")), index, metadata, **identity)
        if text := string_of(function.get("arguments")):
            text = object_in_chunks([text]) or text
            writer.add_chunk("tool_call_args", text, index, None, **identity)

    def known_end(self) -> JsonObject:
        """Return the fields of `end` that are known so far, also for a reply that was cut off."""
        counts = (("input", "prompt_eval_count"), ("output", "eval_count"))
        usage = {ours: count for ours, name in counts if (count := count_or_none(self._usage.get(name))) is not None}
        details = {**self._details, "usage": self._usage, "logprobs": self._logprobs}
        return self._writer.known_end(usage, self._model, details)

    def _end(self, word: str) -> None:
        self.is_done = True
        self._writer.flush_halves()
        reason = SPEC.finish_reason(word)
        if reason in ("stop", "tool_calls"):
            reason = "tool_calls" if self._has_calls else "stop"
        end: Record = {"type": "end", "status": "ok", "finish_reason": reason, **self.known_end()}
        if word and word != reason:
            end["finish_reason_raw"] = word
        if not SPEC.has_finish(word):
            self._writer.notice_finish(word)
        self._writer.records.append(end)
        if reason == "error":
            self._writer.failure = self._writer.failure or failure_of_finish(word)
