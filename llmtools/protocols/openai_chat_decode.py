"""OpenAI Chat Completions, the response: bytes to events.

Rules:
* The terminal event is a finish_reason, or `[DONE]`; where a server sends neither (quirk
  `no_finish`) the end of the body is. What stands behind it (usage, mostly) still counts,
  so `end` comes at `[DONE]` or at the end of the body.
* An error in the stream ends it: an `error` record, the last, behind the events before it.
* A body of JSON in the place of events, whole or an error, is read the same way.
* JSON that orjson refuses (half a surrogate pair, invalid UTF-8, NaN) does not lose the
  reply: it is read leniently.

Facts: wire-protocols.md sections 0, 1 and 6.
"""

from __future__ import annotations

from orjson import JSONDecodeError
from orjson import loads as parse

from ..errors import LlmToolsError, ProtocolError, TruncatedError
from ..failure import failure_of, message_of, visible_text
from ..sse import BODY
from ..sse import Decoder as SseDecoder
from .openai_chat_reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..sse import Event
    from ..types import Record

DONE = b"[DONE]"
_VOLATILE = ("obfuscation", "p")
"""What differs in every chunk and means nothing."""

_FIELDS = ("content", "reasoning_content", "reasoning")


def _is_error(name: str, chunk: dict[str, Any]) -> bool:
    if chunk.get("error") or name == "error" or "error" in (chunk.get("type"), chunk.get("object")):
        return True
    return "choices" not in chunk and not chunk.keys().isdisjoint(("detail", "message"))


class Decoder:
    """Turns the bytes of one response, cut anywhere, into draft records: `start`, part
    events, notices, `end`, or an `error` as the last.

    issuer: the key of the provider_metadata that is made; quirks: `no_finish`. `seen`
    counts the events and comments of the wire, those too that hold nothing.
    """

    def __init__(self, issuer: str, quirks: frozenset[str] = frozenset()) -> None:
        self.seen = 0
        self._event_count = 0
        self._sse = SseDecoder()
        self._reply = Reply(issuer)
        self._has_finish = "no_finish" not in quirks
        self._is_over = False
        # A chunk that says one piece of text and nothing else, and where in it that stands:
        # one that equals it but for the text needs no second look.
        self._plain: dict[str, Any] | None = None
        self._plain_delta: dict[str, Any] = {}
        self._plain_field = "content"
        self._plain_kind = "text"
        self._plain_index = 0
        self._volatile: str | None = None

    def feed(self, data: bytes) -> list[Record]:
        """Take the next bytes; return the records that they complete.

        After an `error` or the end nothing more comes.
        """
        if self._is_over:
            return []
        try:
            events = self._sse.feed(data)
            self._event_count += len(events)
            self.seen = self._event_count + self._sse.comments
            return self._records(events)
        except ProtocolError as error:
            return self._fail(error)

    def eof(self) -> list[Record]:
        """Say that no more bytes come; return the last records.

        Raises TruncatedError where the stream ended before its terminal event; where
        records were still to come, they come with that error as the last one.
        """
        if self._is_over:
            return []
        try:
            records = self._records(self._sse.eof(), is_last=True)
        except ProtocolError as error:
            return self._fail(error)
        if self._is_over:
            return records
        self._is_over = True
        missing = self._missing_end()
        if missing is None:
            if self._reply.usage is None:
                records.append(_no_usage())
            return [*records, *self._reply.end()]
        if not records:
            raise missing
        return [*records, dict(missing.to_record())]

    def body(self, data: bytes) -> list[Record]:
        """Return the records of a whole body: the response to a request for no stream."""
        try:
            records = self._body(self._reply.loads(data))
        except ProtocolError as error:
            records = self._fail(error)
        self._is_over = True
        return records

    def _missing_end(self) -> LlmToolsError | None:
        reply = self._reply
        if reply.finish or (not self._has_finish and reply.is_begun):
            return None
        if not reply.is_begun and self._sse.head.strip():
            said = visible_text(self._sse.head)
            return ProtocolError(f"the answer is no event stream: {said}")
        return TruncatedError("the stream ended before the reply did")

    def _records(self, events: list[Event], is_last: bool = False) -> list[Record]:
        found: list[Record] = []
        volatile, field, kind, index = self._volatile, self._plain_field, self._plain_kind, self._plain_index
        plain, plain_delta = self._plain, self._plain_delta
        for name, payload in events:
            chunk = None
            try:
                chunk = parse(payload)
                if volatile:
                    chunk.pop(volatile, None)
                text = chunk["choices"][0]["delta"][field]
                if text:
                    plain_delta[field] = text
                    if chunk == plain and text.__class__ is str:
                        found.append({"type": kind, "chunk": text, "part_index": index})
                        continue
            except (JSONDecodeError, LookupError, TypeError, AttributeError):
                pass
            try:
                found += self._take(name, payload, chunk)
            except ProtocolError as error:
                is_cut = is_last and payload is events[-1][1]
                return found if is_cut else found + self._fail(error)
            if self._is_over:
                return found
            volatile, field, kind, index = self._volatile, self._plain_field, self._plain_kind, self._plain_index
            plain, plain_delta = self._plain, self._plain_delta
        return found

    def _take(self, name: str, payload: bytes, chunk: Any) -> list[Record]:
        """Take one event, with a look at everything in it; `chunk` is its JSON, if that is known."""
        self._plain, self._plain_delta = None, {}
        stripped = payload.strip()
        if stripped.startswith(DONE):
            return self._end()
        if not stripped:
            return []
        if chunk is None or b'"arguments"' in payload:  # which may be an object: no number in it is rounded
            chunk = self._reply.loads(payload)
        if name == BODY:
            return self._body(chunk)
        if isinstance(chunk, list) and len(chunk) == 1:
            chunk = chunk[0]
        if not isinstance(chunk, dict):
            return self._fail(ProtocolError(f"no chunk of a reply: {visible_text(payload)}"))
        records = self._reply.take(chunk)
        if _is_error(name, chunk):
            return records + self._fail(failure_of(chunk))
        self._learn(chunk, records)
        return records

    def _end(self) -> list[Record]:
        if not self._reply.is_begun:
            return self._fail(ProtocolError("the stream ended with no reply in it"))
        self._is_over = True
        return self._reply.end()

    def _learn(self, chunk: dict[str, Any], records: list[Record]) -> None:
        """Remember the chunk if it said one piece of text and changed nothing else."""
        if len(records) != 1 or len(records[0]) != 3 or len(chunk["choices"]) != 1:
            return
        choice = chunk["choices"][0]
        delta = choice.get("delta") or {}
        said = [field for field in _FIELDS if delta.get(field)]
        self._volatile = next((name for name in _VOLATILE if chunk.pop(name, None) is not None), None)
        if len(said) == 1 and records[0].get("chunk") == delta[said[0]] and self._reply.is_plain(choice):
            self._plain, self._plain_delta, self._plain_field = chunk, delta, said[0]
            self._plain_kind, self._plain_index = records[0]["type"], records[0]["part_index"]

    def _body(self, body: Any) -> list[Record]:
        if isinstance(body, dict) and body.get("choices") and not body.get("error"):
            self._is_over = True
            return [*self._reply.take(body, is_whole=True), *self._reply.end()]
        if message_of(body) is None:
            return self._fail(ProtocolError("the body is no reply and no error"))
        return self._fail(failure_of(body))

    def _fail(self, error: LlmToolsError) -> list[Record]:
        self._is_over = True
        return [dict(error.to_record())]


def _no_usage() -> Record:
    message = "the stream ended before it told the usage"
    return {"type": "notice", "code": "no_usage", "message": message}
