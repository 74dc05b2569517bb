"""Gemini generateContent, the reply: chunks and whole bodies to events.

Rules:
* Pieces of text that follow each other are one part, and so are pieces of thoughts; but a
  piece with a signature, or anything else of its own, is a part by itself, be it empty: it
  goes back as it came. An empty piece with nothing of its own is none.
* provider_metadata holds the fields of a part that the neutral ones do not give back:
  `thought`, `thoughtSignature`, the kind of what the server ran itself.
* What the server ran is a call and its result, both marked; a part of another kind is kept
  whole under the vendor's name of it.
* Sound that comes in pieces is one attachment.
* usageMetadata is told again and again, and may shrink: the last word counts, per field.
  input is prompt and tool-use prompt, output is candidates and thoughts.
* STOP ends a reply with calls too. A blocked prompt is filtered content.

Facts: wire-protocols.md sections 0.6 and 4.
"""

from __future__ import annotations

from ...errors import RequestError, UnavailableError
from ...records.jsonl import dumps
from ..reply_writer import (
    Draft,
    objects_in,
    said_in,
    text_in,
)
from .calls import Calls
from .sources import annotations_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Record, Usage

_FILTERED = (
    *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
    *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
)
_FAILED = (
    *("OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"),
    *("MISSING_THOUGHT_SIGNATURE", "IMAGE_OTHER", "NO_IMAGE"),
)
FINISH_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    **dict.fromkeys(_FILTERED, "content_filter"),
    **dict.fromkeys(_FAILED, "error"),
}
"""Google's words and ours; any other is `stop`."""

_OF_CHUNK = frozenset(("candidates", "usageMetadata", "modelVersion", "responseId", "continuationToken"))
_OF_CANDIDATE = frozenset(
    ("content", "finishReason", "index", "groundingMetadata", "logprobsResult", "citationMetadata")
)
_OF_RUN = {
    "executableCode": frozenset(("code", "language", "id")),
    "codeExecutionResult": frozenset(("output", "id")),
    "toolCall": frozenset(("toolType", "args", "id")),
    "toolResponse": frozenset(("toolType", "response", "id")),
}
"""The parts of what the server ran itself, and which of their fields ours give back."""

CODE = "code_execution"
_FLAGS = ("thought", "thoughtSignature")


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if type(value) is int and value > 0 else 0


def usage_of(usage: dict[str, Any]) -> Usage | None:
    """Return the vendor's usage object as ours, None where it counts nothing."""
    if not any(type(usage.get(name)) is int for name in ("promptTokenCount", "candidatesTokenCount")):
        return None
    read = _count(usage, "promptTokenCount") + _count(usage, "toolUsePromptTokenCount")
    thoughts = _count(usage, "thoughtsTokenCount")
    told: Usage = {"input": read, "output": _count(usage, "candidatesTokenCount") + thoughts}
    details = {"cached": _count(usage, "cachedContentTokenCount"), "reasoning": thoughts}
    details = {name: count for name, count in details.items() if count}
    if details:
        told["details"] = details
    return told


class Reply:
    """Turns the chunks of one response into draft records.

    `finish` is the vendor's word once it came; `is_begun` says whether a chunk came.
    """

    def __init__(self, issuer: str) -> None:
        self.finish = ""
        self.is_begun = False
        self._is_blocked = False
        self._draft = Draft(issuer)
        self._calls = Calls(self._draft)
        self._open: tuple[str, int] = ("", -1)  # the kind and place of the part that pieces go on with
        self._before = self._open
        self._texts: dict[int, list[str]] = {}
        self._run: dict[str, int] = {}
        self._model = ""
        self._usage: dict[str, Any] = {}
        self._details: dict[str, Any] = {}
        self._grounding: dict[str, Any] = {}
        self._token = ""
        self._has_others = False

    def loads(self, payload: bytes) -> Any:
        """Return the JSON value of a payload, read leniently. Raises ProtocolError."""
        return self._draft.loads(payload)

    def has_usage(self) -> bool:
        """Return whether the usage was told."""
        return usage_of(self._usage) is not None

    def take(self, chunk: dict[str, Any]) -> list[Record]:
        """Return the records of a chunk, or of a whole body. Raises ProtocolError, and
        InputError for what nests too deep."""
        draft = self._draft
        self.is_begun = True
        draft.response_id = draft.response_id or text_in(chunk.get("responseId"))
        draft.open()
        self._model = text_in(chunk.get("modelVersion")) or self._model
        self._token = text_in(chunk.get("continuationToken")) or self._token
        usage = chunk.get("usageMetadata")
        if isinstance(usage, dict):
            self._usage.update({name: value for name, value in usage.items() if value is not None})
        self._details.update(said_in(chunk, _OF_CHUNK))
        feedback = chunk.get("promptFeedback")
        if isinstance(feedback, dict) and text_in(feedback.get("blockReason")):
            self.finish, self._is_blocked = feedback["blockReason"], True
        for candidate in objects_in(chunk.get("candidates")):
            if candidate.get("index") in (0, None):
                self._take_candidate(candidate)
            elif not self._has_others:
                self._has_others = True
                draft.notice("choices", "the server gave several answers; the first is kept")
        return draft.taken()

    def _take_candidate(self, candidate: dict[str, Any]) -> None:
        content = candidate.get("content")
        for part in objects_in(content.get("parts")) if isinstance(content, dict) else ():
            self._take_part(part)
        self.finish = text_in(candidate.get("finishReason")) or self.finish
        self._details.update(said_in(candidate, _OF_CANDIDATE))
        if isinstance(candidate.get("groundingMetadata"), dict):
            self._grounding.update(said_in(candidate["groundingMetadata"], frozenset()))
        for name in ("logprobsResult", "citationMetadata"):
            if isinstance(candidate.get(name), dict):
                self._gather(name, candidate[name])

    def _gather(self, name: str, said: dict[str, Any]) -> None:
        """Keep what every chunk tells of itself: lists grow, other values are the last."""
        kept = self._details.setdefault(name, {})
        for field, value in said.items():
            before = kept.get(field)
            kept[field] = before + value if isinstance(before, list) and isinstance(value, list) else value

    # ---- parts

    def _take_part(self, part: dict[str, Any]) -> None:
        kind = next((name for name in part if name not in _FLAGS and part[name] is not None), "text")
        kind = next((name for name in _TAKEN if part.get(name) is not None), kind)
        value = part.get(kind)
        rest = said_in(part, frozenset((kind,)))
        if rest.get("thought") is False:
            del rest["thought"]
        if kind == "text":
            self._take_text(text_in(value), rest)
            return
        self._before, self._open = self._open, ("", -1)
        if kind == "functionCall" and isinstance(value, dict):
            self._calls.take(value, rest)
            return
        self._calls.end()
        if kind in _TAKEN and isinstance(value, dict):
            getattr(self, _TAKEN[kind])(kind, value, rest)
        elif value not in (None, "", [], {}) or rest:
            self._take_other(kind, part)

    def _take_text(self, text: str, rest: dict[str, Any]) -> None:
        draft = self._draft
        kind = "reasoning" if rest.pop("thought", None) else "text"
        if not text and not rest:
            return
        self._calls.end()
        if rest or self._open[0] != kind:
            marked = {"thought": True, **rest} if kind == "reasoning" else rest
            index = draft.next()
            self._open = ("" if rest else kind, index)
            draft.say(kind, text, index, marked)
        else:
            index = self._open[1]
            draft.say(kind, text, index)
        if kind == "text":
            self._texts.setdefault(index, []).append(text)

    def _take_data(self, kind: str, data: dict[str, Any], rest: dict[str, Any]) -> None:
        draft = self._draft
        mime, content = text_in(data.get("mimeType")), text_in(data.get("data"))
        inner = said_in(data, frozenset(("mimeType", "data")))
        metadata = {**rest, "inlineData": inner} if inner else rest
        if not mime.startswith("audio/"):
            attachment = {"type": mime, "content": content} if mime else {"content": content}
            draft.add({"type": "attachment", "part_index": draft.next(), "attachment": attachment}, metadata)
            return
        if not _is_base64(content):
            draft.notice("dropped_sound", "the provider sent a piece of sound that is no base64")
            return
        index = self._before[1]
        if metadata or self._before[0] != mime:
            index = draft.next()
            draft.add({"type": "attachment", "part_index": index, "attachment": {"type": mime}}, metadata)
        self._open = ("" if metadata else mime, index)
        draft.add({"type": "attachment", "part_index": index, "chunk": content})

    def _take_file(self, kind: str, data: dict[str, Any], rest: dict[str, Any]) -> None:
        attachment = {"type": text_in(data.get("mimeType")), "url": text_in(data.get("fileUri"))}
        inner = said_in(data, frozenset(("mimeType", "fileUri")))
        metadata = {**rest, "fileData": inner} if inner else rest
        said = {name: value for name, value in attachment.items() if value}
        self._draft.add({"type": "attachment", "part_index": self._draft.next(), "attachment": said}, metadata)

    def _take_run(self, kind: str, run: dict[str, Any], rest: dict[str, Any]) -> None:
        """Take a call of a tool that the server runs itself."""
        draft = self._draft
        index = draft.next()
        call_id = text_in(run.get("id")) or f"~{index}"
        metadata = {**rest, kind: said_in(run, _OF_RUN[kind])}
        name = CODE if kind == "executableCode" else text_in(run.get("toolType"))
        self._run[name] = index
        draft.say("tool_call_name", name, index, metadata, tool_call_id=call_id, server_executed=True)
        said = run.get("args")
        if kind == "executableCode":
            said = {field: run[field] for field in ("language", "code") if text_in(run.get(field))}
        if isinstance(said, dict) and said:
            draft.say("tool_call_args", dumps(said).decode(), index, tool_call_id=call_id)

    def _take_outcome(self, kind: str, run: dict[str, Any], rest: dict[str, Any]) -> None:
        """Take the result of a tool that the server ran itself."""
        metadata = {**rest, kind: said_in(run, _OF_RUN[kind])}
        name = CODE if kind == "codeExecutionResult" else text_in(run.get("toolType"))
        given = text_in(run.get("id")) or (f"~{self._run[name]}" if name in self._run else "")
        fields: dict[str, Any] = {"tool_name": name, "server_executed": True}
        if given:
            fields["tool_call_id"] = given
        if run.get("outcome") not in (None, "OUTCOME_OK") and text_in(run.get("outcome")):
            fields["exception"] = run["outcome"]
        output = text_in(run.get("output"))
        if kind == "toolResponse" and run.get("response") is not None:
            output = dumps(run["response"]).decode()
        self._draft.say("tool_result", output, self._draft.next(), metadata, **fields)

    def _take_other(self, kind: str, part: dict[str, Any]) -> None:
        whole = {"type": f"gemini_{kind}" if kind in _OURS else kind, "provider_metadata": {self._draft.issuer: part}}
        self._draft.add({"type": "part", "part_index": self._draft.next(), "part": whole})

    # ---- the end

    def end(self) -> list[Record]:
        """Return the last records: `end`, and an `error` where the vendor's word is one."""
        draft = self._draft
        draft.end_halves()
        self._calls.end(is_cut=FINISH_REASONS.get(self.finish, "stop") != "stop")
        texts = {index: "".join(pieces) for index, pieces in self._texts.items()}
        for index, annotation in annotations_of(self._grounding, texts):
            draft.add({"type": "annotation", "part_index": index, "annotation": annotation})
        end = self._end()
        draft.records.append(end)
        if end["finish_reason"] == "error":
            said = text_in(self._details.get("finishMessage"))
            message = f"the provider ended the reply: {self.finish}" + (f": {said}" if said else "")
            cls = RequestError if self.finish == "MISSING_THOUGHT_SIGNATURE" else UnavailableError
            draft.records.append(dict(cls(message).to_record()))
        return draft.taken()

    def known_end(self) -> dict[str, Any]:
        """Return what is known of the usage and the model, be the reply cut off here or not."""
        details = {**self._details, "usage": self._usage, "groundingMetadata": self._grounding}
        return self._draft.known_end(usage_of(self._usage), self._model, details)

    def _end(self) -> Record:
        reason = "content_filter" if self._is_blocked else FINISH_REASONS.get(self.finish, "stop")
        if reason == "stop" and self._calls.count:
            reason = "tool_calls"
        end: Record = {"type": "end", "status": "ok", "finish_reason": reason, **self.known_end()}
        if self.finish != reason:
            end["finish_reason_raw"] = self.finish
        if self._token and reason == "pause":
            end["provider_metadata"] = {self._draft.issuer: {"continuationToken": self._token}}
        return end


_TAKEN = {
    "functionCall": "",
    "executableCode": "_take_run",
    "codeExecutionResult": "_take_outcome",
    "toolCall": "_take_run",
    "toolResponse": "_take_outcome",
    "inlineData": "_take_data",
    "fileData": "_take_file",
    "text": "",
}
"""The kinds of parts and what takes them; a part has one of them, and flags beside it."""

_OURS = frozenset(("reasoning", "refusal", "tool_call", "tool_result", "attachment"))


def _is_base64(text: str) -> bool:
    from binascii import Error, a2b_base64

    try:
        return bool(a2b_base64(text))
    except (Error, ValueError):
        return False
