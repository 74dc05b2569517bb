"""Ollama native, the response: bytes to events.

Rules:
* Each line is one JSON object. The terminal event is `done: true`; a stream that ends
  before it is cut off, whatever it has said.
* A reply has one text and one reasoning part, as on the wire each is one string; every
  call comes whole, and has the id that the server gave it or none.
* `done_reason` is `stop` also where the reply ends for its calls.
* Some that stand in for Ollama say `reasoning_content` for `thinking`.
* A line with `error` ends the stream, whatever the status was.
* provider_metadata: `field` of the thinking (which marks it as this issuer's), the index
  of a call. Counts, durations and log-probabilities are kept in details.

Facts: wire-protocols.md section 5.
"""

from __future__ import annotations

from ...errors import (
    InputError,
    LlmToolsError,
    ProtocolError,
    TruncatedError,
)
from ...http.failure import failure_of, visible_text
from ...http.sse import Lines
from ...records.jsonl import dumps
from ..reply_writer import (
    Draft,
    objects_in,
    said_in,
    text_in,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Record

FINISH_REASONS = {"stop": "stop", "length": "length"}
"""Ollama's words and ours; any other (load, unload) is `stop`."""

_USAGE = ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration")
_OF_LINE = frozenset(("model", "created_at", "message", "done", "done_reason", "logprobs", "error", *_USAGE))
_OF_CALL = frozenset(("id", "type", "function"))
_OF_FUNCTION = frozenset(("name", "arguments"))


def _count(line: dict[str, Any], name: str) -> int | None:
    value = line.get(name)
    return value if type(value) is int and value >= 0 else None


def _argument_text(arguments: Any) -> str:
    """Return arguments as the text that the fold reads; what nests too deep to be written
    again is told as it is, for the fold to refuse."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    try:
        return dumps(arguments).decode()
    except InputError:
        return "[" * 1000


class Reply:
    """Turns the lines of one response into draft records."""

    def __init__(self, issuer: str) -> None:
        self.is_begun = False
        self.is_done = False
        self._draft = Draft(issuer)
        self._model = ""
        self._calls: set[str] = set()
        self._has_calls = False
        self._details: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._logprobs: list[Any] = []

    def loads(self, payload: bytes) -> Any:
        """Return the JSON value of a line, read leniently. Raises ProtocolError."""
        return self._draft.loads(payload)

    def take(self, line: dict[str, Any]) -> list[Record]:
        """Return the records of a line, or of a whole body; after the last one `end` is among them."""
        message = line.get("message")
        self._model = self._model or text_in(line.get("model"))
        if isinstance(message, dict) or line.get("done") is True:
            self.is_begun = True
            self._draft.open()
        if isinstance(message, dict):
            self._take_message(message)
        if isinstance(line.get("logprobs"), list):
            self._logprobs += line["logprobs"]
        self._usage.update({name: line[name] for name in _USAGE if name in line})
        self._details.update(said_in(line, _OF_LINE))
        if line.get("done") is True:
            self._end(text_in(line.get("done_reason")))
        return self._draft.taken()

    def _take_message(self, message: dict[str, Any]) -> None:
        draft = self._draft
        thought = text_in(message.get("thinking")) or text_in(message.get("reasoning_content"))
        if thought:
            first = None if "thinking" in draft.places else {"field": "thinking"}
            draft.say("reasoning", thought, draft.place("thinking"), first)
        if text_in(message.get("content")):
            draft.say("text", message["content"], draft.place("content"))
        images = message.get("images")
        for image in images if isinstance(images, list) else ():
            if text_in(image):
                attachment = {"type": _image_type(image), "content": image}
                draft.add({"type": "attachment", "part_index": draft.next(), "attachment": attachment})
        for call in objects_in(message.get("tool_calls")):
            self._take_call(call)

    def _take_call(self, call: dict[str, Any]) -> None:
        said = call.get("function")
        function = said if isinstance(said, dict) else {}
        call_id = text_in(call.get("id"))
        named = {"tool_call_id": call_id} if call_id and call_id not in self._calls else {}
        self._calls.add(call_id)
        self._has_calls = True
        metadata = said_in(call, _OF_CALL)
        if inner := said_in(function, _OF_FUNCTION):
            metadata["function"] = inner
        draft = self._draft
        index = draft.next()
        draft.say("tool_call_name", text_in(function.get("name")), index, metadata, **named)
        if text := _argument_text(function.get("arguments")):
            draft.say("tool_call_args", text, index, None, **named)

    def known_end(self) -> dict[str, Any]:
        """Return what is known of the usage and the model, be the reply cut off here or not."""
        counts = (("input", "prompt_eval_count"), ("output", "eval_count"))
        usage = {ours: count for ours, name in counts if (count := _count(self._usage, name)) is not None}
        return self._draft.known_end(
            usage, self._model, {**self._details, "usage": self._usage, "logprobs": self._logprobs}
        )

    def _end(self, reason: str) -> None:
        self.is_done = True
        self._draft.end_halves()
        finish = FINISH_REASONS.get(reason, "stop")
        if finish == "stop" and self._has_calls:
            finish = "tool_calls"
        end: Record = {"type": "end", "status": "ok", "finish_reason": finish, **self.known_end()}
        if reason and reason != finish:
            end["finish_reason_raw"] = reason
        self._draft.records.append(end)


def _image_type(content: str) -> str:
    """Return the type of an image by the first characters of its base64."""
    starts = (("iVBOR", "image/png"), ("/9j/", "image/jpeg"), ("UklGR", "image/webp"), ("R0lGOD", "image/gif"))
    return next((kind for start, kind in starts if content.startswith(start)), "image/png")


class Decoder:
    """Turns the bytes of one response, cut anywhere, into draft records: `start`, part
    events, notices, `end`, or an `error` as the last.

    issuer: the key of the provider_metadata that is made; quirks: none. `seen` counts the
    lines of the wire, those too that hold nothing.
    """

    def __init__(self, issuer: str, quirks: frozenset[str] = frozenset()) -> None:
        self.seen = 0
        self._lines = Lines()
        self._reply = Reply(issuer)
        self._is_over = False

    def feed(self, data: bytes) -> list[Record]:
        """Take the next bytes; return the records that they complete.

        After an `error` or the end nothing more comes.
        """
        records: list[Record] = []
        try:
            for line in () if self._is_over else self._lines.feed(data):
                self.seen += 1
                records += self._take(line)
        except ProtocolError as error:
            records += self._fail(error)
        return records

    def eof(self) -> list[Record]:
        """Say that no more bytes come; return the last records.

        Raises TruncatedError where the stream ended before its terminal event; where
        records were still to come, they come with that error as the last one.
        """
        if self._is_over:
            return []
        records: list[Record] = []
        missing: LlmToolsError = TruncatedError("the stream ended before the reply did")
        try:
            for line in self._lines.eof():
                if not line.lstrip().startswith(b"{"):
                    missing = ProtocolError(f"the answer is no line of a reply: {visible_text(line)}")
                records += self._take(line)
        except ProtocolError:  # the last line was cut
            pass
        if self._is_over:
            return records
        self._is_over = True
        if not records:
            raise missing
        return [*records, dict(missing.to_record())]

    def body(self, data: bytes) -> list[Record]:
        """Return the records of a whole body: the response to a request for no stream."""
        try:
            records = self._take(data)
        except ProtocolError as error:
            records = self._fail(error)
        if not self._is_over:
            records += self._fail(TruncatedError("the reply is not done"))
        return records

    def known_end(self) -> dict[str, Any]:
        """Return what is known of the usage and the model, as `end` says it: also of a reply that has none."""
        return self._reply.known_end()

    def _take(self, payload: bytes) -> list[Record]:
        """Return the records of a line; nothing of what follows the end is read."""
        if self._is_over:
            return []
        line = self._reply.loads(payload)
        if isinstance(line, dict) and line.get("error"):
            return [*self._reply.take(line | {"done": False}), *self._fail(failure_of(line))]
        if not isinstance(line, dict) or line.keys().isdisjoint(("message", "done")):
            return self._fail(ProtocolError(f"no line of a reply: {visible_text(payload)}"))
        records = self._reply.take(line)
        self._is_over = self._reply.is_done
        return records

    def _fail(self, error: LlmToolsError) -> list[Record]:
        self._is_over = True
        return [dict(error.to_record())]
