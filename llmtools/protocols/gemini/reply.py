"""Gemini, the reply: chunks and whole bodies to records.

Rules:
* Successive pieces of text are one part, and so are successive pieces of thoughts. A piece with
  a signature or other metadata is always its own part, even if empty, so that it can be sent
  back unchanged. Other empty pieces are skipped.
* provider_metadata holds the fields of a part that the neutral ones do not: `thought`,
  `thoughtSignature`, the kind of what the server ran.
* A tool that the server ran is a call and its result, both marked. A part of another kind is
  kept whole under the vendor's name.
* Sound that comes in pieces is one attachment.
* usageMetadata comes again and again, and its counts may shrink. The last value of each field
  counts.
* STOP also ends a reply with calls. A blocked prompt is filtered content.
"""

from __future__ import annotations

from ..json_fields import count_or_none, list_of, string_of, string_or_empty, unhandled_fields
from ..media_types import bytes_of_base64
from ..reply_writer import PART_TYPES, ReplyWriter
from ..spec import failure_of_finish
from .calls import FunctionCalls
from .sources import annotations_of
from .spec import SPEC
from .usage import usage_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...errors import LlmToolsError
    from ...records.types import Record
    from ..json_fields import JsonObject

_KNOWN_CHUNK_FIELDS = frozenset(("candidates", "usageMetadata", "modelVersion", "responseId", "continuationToken"))
_CANDIDATE_FIELDS = frozenset(
    ("content", "finishReason", "index", "groundingMetadata", "logprobsResult", "citationMetadata", "continuationToken")
)
_SERVER_RUN_FIELDS = {
    "executableCode": frozenset(("code", "language", "id")),
    "codeExecutionResult": frozenset(("output", "id")),
    "toolCall": frozenset(("toolType", "args", "id")),
    "toolResponse": frozenset(("toolType", "response", "id")),
}
"""Kind of a part of what the server ran -> those of its fields that our fields hold."""

CODE_EXECUTION = "code_execution"
_FLAGS = ("thought", "thoughtSignature")


class Reply:
    """Turns the chunks of one response into records.

    finish: the vendor's word for why the reply ended, "" until it comes. is_begun: whether a
    chunk has come. failure: set by `end` if that word means one.
    """

    def __init__(self, issuer: str) -> None:
        self.finish = ""
        self.is_begun = False
        self._is_blocked = False
        self._writer = ReplyWriter(issuer)
        self._calls = FunctionCalls(self._writer)
        self._open: tuple[str, int] = ("", -1)  # kind and part_index of the part that the next piece may continue
        self._before = self._open
        self._texts: dict[int, list[str]] = {}
        self._server_calls: dict[str, int] = {}
        self._model = ""
        self._usage: JsonObject = {}
        self._details: JsonObject = {}
        self._grounding: JsonObject = {}
        self._token = ""
        self._has_others = False

    @property
    def failure(self) -> LlmToolsError | None:
        """Why the reply failed, None if it did not."""
        return self._writer.failure

    def loads(self, payload: bytes) -> Any:
        """Return the JSON value of a payload, read leniently. Raises ProtocolError."""
        return self._writer.loads(payload)

    def has_usage(self) -> bool:
        """Return whether the usage has come."""
        return usage_of(self._usage) is not None

    def take(self, chunk: JsonObject) -> list[Record]:
        """Return the records of a chunk or of a whole body.

        Raises ProtocolError for arguments in pieces that do not fit, InputError for values that nest too deep.
        """
        writer = self._writer
        self.is_begun = True
        writer.response_id = writer.response_id or string_or_empty(chunk.get("responseId"))
        writer.start()
        self._model = string_or_empty(chunk.get("modelVersion")) or self._model
        self._token = string_or_empty(chunk.get("continuationToken")) or self._token
        usage = chunk.get("usageMetadata")
        if isinstance(usage, dict):
            self._usage.update({name: value for name, value in usage.items() if value is not None})
        self._details.update(unhandled_fields(chunk, _KNOWN_CHUNK_FIELDS))
        feedback = chunk.get("promptFeedback")
        if isinstance(feedback, dict) and string_or_empty(feedback.get("blockReason")):
            self.finish, self._is_blocked = feedback["blockReason"], True
        for candidate in list_of(chunk.get("candidates")):
            if not isinstance(candidate, dict):
                if candidate is not None:
                    writer.refuse("a candidate that is not an object", candidate)
            elif not count_or_none(candidate.get("index")):
                self._take_candidate(candidate)
            elif not self._has_others:
                self._has_others = True
                writer.notice("choices", "the server gave several answers; the first is kept")
        return writer.drain()

    def _take_candidate(self, candidate: JsonObject) -> None:
        content = candidate.get("content")
        for part in list_of(content.get("parts") if isinstance(content, dict) else content):
            self._take_part(part if isinstance(part, dict) else {"text": part})
        self.finish = string_or_empty(candidate.get("finishReason")) or self.finish
        self._token = string_or_empty(candidate.get("continuationToken")) or self._token
        self._details.update(unhandled_fields(candidate, _CANDIDATE_FIELDS))
        if isinstance(candidate.get("groundingMetadata"), dict):
            self._grounding.update(unhandled_fields(candidate["groundingMetadata"]))
        for name in ("logprobsResult", "citationMetadata"):
            if isinstance(candidate.get(name), dict):
                self._gather(name, candidate[name])

    def _gather(self, name: str, fields: JsonObject) -> None:
        """Keep fields that each chunk has for itself: lists grow, other values are replaced."""
        details = self._details.setdefault(name, {})
        for field, value in fields.items():
            before = details.get(field)
            details[field] = before + value if isinstance(before, list) and isinstance(value, list) else value

    # ---- parts

    def _take_part(self, part: JsonObject) -> None:
        kind = next((name for name in part if name not in _FLAGS and part[name] is not None), "text")
        kind = next((name for name in _HANDLERS if part.get(name) is not None), kind)
        value = part.get(kind)
        rest = unhandled_fields(part, frozenset((kind,)))
        if rest.get("thought") is False:
            del rest["thought"]
        if kind == "text":
            self._take_text(string_of(value), rest)
            return
        self._before, self._open = self._open, ("", -1)
        if kind == "functionCall" and isinstance(value, dict):
            self._calls.take(value, rest)
            return
        self._calls.end()
        if kind in _HANDLERS and isinstance(value, dict):
            getattr(self, _HANDLERS[kind])(kind, value, rest)
        elif value not in (None, "", [], {}) or rest:
            self._take_other(kind, part)

    def _take_text(self, text: str, rest: JsonObject) -> None:
        writer = self._writer
        kind = "reasoning" if rest.pop("thought", None) else "text"
        if not text and not rest:
            return
        self._calls.end()
        if rest or self._open[0] != kind:
            metadata = {"thought": True, **rest} if kind == "reasoning" else rest
            index = writer.new_index()
            self._open = ("" if rest else kind, index)
            writer.add_chunk(kind, text, index, metadata)
        else:
            index = self._open[1]
            writer.add_chunk(kind, text, index)
        if kind == "text":
            self._texts.setdefault(index, []).append(text)

    def _take_data(self, kind: str, data: JsonObject, rest: JsonObject) -> None:
        writer = self._writer
        mime, content = string_or_empty(data.get("mimeType")), string_or_empty(data.get("data"))
        inner = unhandled_fields(data, frozenset(("mimeType", "data")))
        metadata = {**rest, "inlineData": inner} if inner else rest
        if not mime.startswith("audio/"):
            attachment = {"type": mime, "content": content} if mime else {"content": content}
            writer.add({"type": "attachment", "part_index": writer.new_index(), "attachment": attachment}, metadata)
            return
        if not bytes_of_base64(content):
            writer.notice("dropped_sound", "the provider sent a piece of sound that is not base64")
            return
        index = self._before[1]
        if metadata or self._before[0] != mime:
            index = writer.new_index()
            writer.add({"type": "attachment", "part_index": index, "attachment": {"type": mime}}, metadata)
        self._open = ("" if metadata else mime, index)
        writer.add({"type": "attachment", "part_index": index, "chunk": content})

    def _take_file(self, kind: str, data: JsonObject, rest: JsonObject) -> None:
        fields = {"type": string_or_empty(data.get("mimeType")), "url": string_or_empty(data.get("fileUri"))}
        inner = unhandled_fields(data, frozenset(("mimeType", "fileUri")))
        metadata = {**rest, "fileData": inner} if inner else rest
        record = {"type": "attachment", "part_index": self._writer.new_index(), "attachment": unhandled_fields(fields)}
        self._writer.add(record, metadata)

    def _take_server_call(self, kind: str, call: JsonObject, rest: JsonObject) -> None:
        """Take a call of a tool that the server runs."""
        writer = self._writer
        index = writer.new_index()
        call_id = string_or_empty(call.get("id")) or f"~{index}"
        metadata = {**rest, kind: unhandled_fields(call, _SERVER_RUN_FIELDS[kind])}
        name = CODE_EXECUTION if kind == "executableCode" else string_or_empty(call.get("toolType"))
        self._server_calls[name] = index
        writer.add_chunk("tool_call_name", name, index, metadata, tool_call_id=call_id, server_executed=True)
        arguments = call.get("args")
        if kind == "executableCode":
            arguments = {field: call[field] for field in ("language", "code") if string_or_empty(call.get(field))}
        if arguments not in (None, "", {}):
            writer.add_chunk("tool_call_args", string_of(arguments), index, tool_call_id=call_id)

    def _take_server_result(self, kind: str, result: JsonObject, rest: JsonObject) -> None:
        """Take the result of a tool that the server ran."""
        metadata = {**rest, kind: unhandled_fields(result, _SERVER_RUN_FIELDS[kind])}
        name = CODE_EXECUTION if kind == "codeExecutionResult" else string_or_empty(result.get("toolType"))
        last_call = f"~{self._server_calls[name]}" if name in self._server_calls else ""
        call_id = string_or_empty(result.get("id")) or last_call
        fields: JsonObject = {"tool_name": name, "server_executed": True}
        if call_id:
            fields["tool_call_id"] = call_id
        if result.get("outcome") not in (None, "OUTCOME_OK") and string_or_empty(result.get("outcome")):
            fields["exception"] = result["outcome"]
        output = string_or_empty(result.get("output"))
        if kind == "toolResponse" and result.get("response") is not None:
            output = string_of(result["response"])
        self._writer.add_chunk("tool_result", output, self._writer.new_index(), metadata, **fields)

    def _take_other(self, kind: str, part: JsonObject) -> None:
        kind = f"gemini_{kind}" if kind in PART_TYPES else kind
        whole = {"type": kind, "provider_metadata": {self._writer.issuer: part}}
        self._writer.add({"type": "part", "part_index": self._writer.new_index(), "part": whole})

    # ---- the end

    def end(self) -> list[Record]:
        """Return the last records."""
        writer = self._writer
        writer.flush_halves()
        self._calls.end(is_cut=SPEC.finish_reason(self.finish) not in ("stop", "tool_calls"))
        texts = {index: "".join(pieces) for index, pieces in self._texts.items()}
        for index, annotation in annotations_of(self._grounding, texts):
            writer.add({"type": "annotation", "part_index": index, "annotation": annotation})
        if not self._is_blocked and not SPEC.has_finish(self.finish):
            writer.notice_finish(self.finish)
        end = self._end()
        writer.records.append(end)
        if end["finish_reason"] == "error":
            reason = string_or_empty(self._details.get("finishMessage"))
            self._writer.failure = self._writer.failure or failure_of_finish(self.finish, reason)
        return writer.drain()

    def known_end(self) -> JsonObject:
        """Return the fields of `end` that are known so far, also for a reply that was cut off."""
        details = {**self._details, "usage": self._usage, "groundingMetadata": self._grounding}
        return self._writer.known_end(usage_of(self._usage), self._model, details)

    def _end(self) -> Record:
        reason = "content_filter" if self._is_blocked else SPEC.finish_reason(self.finish)
        if reason in ("stop", "tool_calls"):
            reason = "tool_calls" if self._calls.count else "stop"
        end: Record = {"type": "end", "status": "ok", "finish_reason": reason, **self.known_end()}
        if self.finish != reason:
            end["finish_reason_raw"] = self.finish
        if self._token and reason == "pause":
            end["provider_metadata"] = {self._writer.issuer: {"continuationToken": self._token}}
        return end


_HANDLERS = {
    "functionCall": "",
    "executableCode": "_take_server_call",
    "codeExecutionResult": "_take_server_result",
    "toolCall": "_take_server_call",
    "toolResponse": "_take_server_result",
    "inlineData": "_take_data",
    "fileData": "_take_file",
    "text": "",
}
"""Kind of a part -> the method that takes it. A part has one kind, and flags beside it."""
