"""Gemini generateContent, the response: bytes to events.

Rules:
* The terminal event is a finishReason, or a blockReason for the whole prompt. What stands
  behind it still counts (there are streams with two), so `end` comes at the end of the body.
* An error in mid-stream is no event but a bare JSON object behind them; it ends the stream,
  also behind the terminal event.
* A body of JSON in the place of events (the array of a request without alt=sse, too) is
  read the same way.
* The delay that an error asks for stands in its body (RetryInfo), in no header.

Facts: wire-protocols.md sections 0, 4 and 6.
"""

from __future__ import annotations

import re

from .. import failure
from ..draft import objects_in, text_in
from ..errors import InputError, LlmToolsError, ProtocolError, TruncatedError
from ..jsonl import loads
from ..sse import BODY
from ..sse import Decoder as SseDecoder
from .gemini_reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..sse import Event
    from ..types import Record

_OF_REPLY = frozenset(("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId"))


def _with_delay(error: LlmToolsError, body: Any) -> LlmToolsError:
    """Return the failure with the delay that its body asks for."""
    holder = body[0] if isinstance(body, list) and body else body
    said = holder.get("error") if isinstance(holder, dict) else None
    for detail in objects_in(said.get("details")) if isinstance(said, dict) else ():
        match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)s", text_in(detail.get("retryDelay")))
        if match and "retry_after" not in error.details:
            error.details["retry_after"] = float(match[1])
    return error


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> LlmToolsError:
    """Return the failure that a response with an error status tells."""
    error = failure.error_of(status, headers, body)
    try:
        return _with_delay(error, loads(body))
    except InputError:
        return error


class Decoder:
    """Turns the bytes of one response, cut anywhere, into draft records: `start`, part
    events, notices, `end`, or an `error` as the last.

    issuer: the key of the provider_metadata that is made; quirks: none. `seen` counts the
    events and comments of the wire, those too that hold nothing.
    """

    def __init__(self, issuer: str, quirks: frozenset[str] = frozenset()) -> None:
        self.seen = 0
        self._event_count = 0
        self._sse = SseDecoder()
        self._reply = Reply(issuer)
        self._is_over = False

    def feed(self, data: bytes) -> list[Record]:
        """Take the next bytes; return the records that they complete.

        After an `error` nothing more comes.
        """
        if self._is_over:
            return []
        try:
            events = self._sse.feed(data)
        except ProtocolError as error:
            return self._fail(error)
        self._event_count += len(events)
        self.seen = self._event_count + self._sse.comments
        return self._records(events)

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
        if self._reply.finish:
            return [*records, *([] if self._reply.has_usage() else [_no_usage()]), *self._reply.end()]
        missing = self._missing_end()
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

    def _missing_end(self) -> LlmToolsError:
        if not self._reply.is_begun and self._sse.head.strip():
            said = failure.visible_text(self._sse.head)
            return ProtocolError(f"the answer is no event stream: {said}")
        return TruncatedError("the stream ended before the reply did")

    def _records(self, events: list[Event], is_last: bool = False) -> list[Record]:
        found: list[Record] = []
        for name, payload in events:
            try:
                found += self._take(name, payload)
            except ProtocolError as error:
                is_cut = is_last and payload is events[-1][1]
                return found if is_cut else found + self._fail(error)
            if self._is_over:
                break
        return found

    def _take(self, name: str, payload: bytes) -> list[Record]:
        """Return the records of one event. Raises ProtocolError for what is no JSON."""
        stripped = payload.strip()
        if not stripped or stripped.startswith(b"[DONE]"):  # which Gemini does not send, but proxies do
            return []
        chunk = self._reply.loads(payload)
        if name == BODY:
            return self._body(chunk)
        if isinstance(chunk, list) and len(chunk) == 1:
            chunk = chunk[0]
        return self._chunk(chunk)

    def _chunk(self, chunk: Any) -> list[Record]:
        if isinstance(chunk, dict) and chunk.get("error"):
            return self._fail(_with_delay(failure.failure_of(chunk), chunk))
        if not isinstance(chunk, dict) or chunk.keys().isdisjoint(_OF_REPLY):
            if failure.message_of(chunk) is not None:
                return self._fail(failure.failure_of(chunk))
            return self._fail(ProtocolError("what the server sent is no chunk of a reply and no error"))
        try:
            return self._reply.take(chunk)
        except InputError as error:  # nested deeper than can be written
            return self._fail(ProtocolError(f"the provider sent what is {error.message}"))

    def _body(self, body: Any) -> list[Record]:
        """Return the records of a body that stands alone, or of an error behind events."""
        records: list[Record] = []
        for chunk in body if isinstance(body, list) and body else [body]:
            records += self._chunk(chunk)
            if self._is_over:
                return records
        self._is_over = True
        if self._reply.finish:
            return [*records, *self._reply.end()]
        return [*records, dict(TruncatedError("the reply has no end").to_record())]

    def _fail(self, error: LlmToolsError) -> list[Record]:
        self._is_over = True
        return [dict(error.to_record())]


def _no_usage() -> Record:
    message = "the stream ended before it told the usage"
    return {"type": "notice", "code": "no_usage", "message": message}
