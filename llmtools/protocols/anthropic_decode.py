"""Anthropic Messages, the response: bytes to events.

Rules:
* The terminal event is message_stop. A stream that ends before it is cut off, though its
  stop_reason may have come.
* An error in the stream ends it: an `error` record, the last, behind the events before it.
* A body of JSON in the place of events, a message or an error, is read the same way.
* `ping` and what is not known say nothing, but they are seen.

Facts: wire-protocols.md sections 3 and 6.
"""

from __future__ import annotations

from orjson import JSONDecodeError
from orjson import loads as parse

from ..errors import LlmToolsError, ProtocolError, TruncatedError
from ..failure import failure_of, message_of, visible_text
from ..sse import BODY
from ..sse import Decoder as SseDecoder
from .anthropic_reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..sse import Event
    from ..types import Record

_PLAIN = b'{"type":"content_block_delta"'
"""How the vendor's events of a delta begin: those of a text have a shorter way."""


def _is_error(name: str, event: dict[str, Any]) -> bool:
    return bool(event.get("error")) or "error" in (name, event.get("type"), event.get("object"))


class Decoder:
    """Turns the bytes of one response, cut anywhere, into draft records: `start`, part
    events, notices, `end`, or an `error` as the last.

    issuer: the key of the provider_metadata that is made; quirks: none is known here.
    `seen` counts the events and comments of the wire, those too that hold nothing.
    """

    def __init__(self, issuer: str, quirks: frozenset[str] = frozenset()) -> None:
        self.seen = 0
        self._event_count = 0
        self._sse = SseDecoder()
        self._reply = Reply(issuer)
        self._is_over = False

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
            return ProtocolError(f"the answer is no event stream: {visible_text(self._sse.head)}")
        return TruncatedError("the stream ended before the reply did")

    def _records(self, events: list[Event], is_last: bool = False) -> list[Record]:
        found: list[Record] = []
        for place, (name, payload) in enumerate(events, 1):
            if self._reply.plain and payload.startswith(_PLAIN) and self._add_plain(payload, found):
                continue
            try:
                found += self._take(name, payload)
            except ProtocolError as error:
                is_cut = is_last and place == len(events)
                return found if is_cut else found + self._fail(error)
            if self._is_over:
                break
        return found

    def _add_plain(self, payload: bytes, found: list[Record]) -> bool:
        """Add the chunk of an event that only goes on with a text; return whether it is one."""
        try:
            event = parse(payload)
            delta = event["delta"]
            text = delta["text"]
            index = self._reply.plain[event["index"]]
        except (JSONDecodeError, LookupError, TypeError):
            return False
        if len(delta) != 2 or len(event) != 3 or text.__class__ is not str or delta.get("type") != "text_delta":
            return False
        if text:
            found.append({"type": "text", "chunk": text, "part_index": index})
        return True

    def _take(self, name: str, payload: bytes) -> list[Record]:
        stripped = payload.strip()
        if not stripped or stripped == b"[DONE]":  # which some gateways add
            return []
        event = self._reply.loads(payload)
        if name == BODY:
            return self._body(event)
        if not isinstance(event, dict):
            return self._fail(ProtocolError(f"no event of a reply: {visible_text(payload)}"))
        if _is_error(name, event):
            return self._fail(failure_of(event))
        kind = event.get("type")
        if kind == "message":
            return self._body(event)
        if kind == "message_stop" and self._reply.is_begun:
            self._is_over = True
            return self._reply.end()
        if kind in ("message_stop", "content_block_start") and not self._reply.is_begun:
            return self._fail(ProtocolError("the stream has events of a message that did not start"))
        return self._reply.take(event)

    def _body(self, body: Any) -> list[Record]:
        if isinstance(body, dict) and isinstance(body.get("content"), list) and not body.get("error"):
            self._is_over = True
            return self._reply.take_body(body)
        if message_of(body) is None:
            return self._fail(ProtocolError("the body is no reply and no error"))
        return self._fail(failure_of(body))

    def _fail(self, error: LlmToolsError) -> list[Record]:
        self._is_over = True
        return [dict(error.to_record())]
