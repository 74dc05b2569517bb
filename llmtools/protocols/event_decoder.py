"""The decoder that all protocols with server-sent events share.

Rules:
* An error ends the stream. It is in `failure`, after the records before it.
* If the last event of a stream that was cut off is the beginning of JSON, the stream is reported
  as cut off. The text of any other event that is not JSON is reported as the provider's error.
* A JSON body in the place of events, a reply or an error, is read the same way.
"""

from __future__ import annotations

import re

from ..errors import InputError, ProtocolError, TruncatedError
from ..http.failure import error_message, failure_from_body, visible_text
from ..http.sse import BODY, SseDecoder
from ..records.jsonl import loads
from .json_fields import string_of, take_safely

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from ..errors import LlmToolsError
    from ..http.sse import SseEvent
    from ..records.types import Record
    from .json_fields import JsonObject

    class Reply(Protocol):
        """Turns the vendor's events into records."""

        @property
        def failure(self) -> LlmToolsError | None:
            """Why the reply failed, None if it did not."""

        @property
        def is_begun(self) -> bool:
            """Whether the vendor's first event has come."""

        def loads(self, payload: bytes) -> Any:
            """Return the JSON value of a payload. Raises ProtocolError."""

        def known_end(self) -> JsonObject:
            """Return the fields of `end` that are known so far."""


DONE = b"[DONE]"
"""The data of the last event of OpenAI Chat Completions, which some gateways send in other protocols too."""

_ERROR_TEXT = re.compile(rb"\s*\[?error\b\]?[\s:-]*", re.IGNORECASE)
"""The beginning of an error that a server sends as text in the place of JSON."""

ERROR_FIELDS = ("detail", "message", "msg", "error_message")
"""Fields that hold the message of an error, in an event that is not of a reply."""

NO_USAGE = {"type": "notice", "code": "no_usage", "message": "the stream ended before its usage came"}


def _failure_of_text(text: bytes) -> LlmToolsError:
    """Return the failure that the text of an error describes; the text may be JSON."""
    try:
        return failure_from_body(loads(text))
    except InputError:
        return failure_from_body(visible_text(text))


class EventDecoder:
    """Turns the bytes of one response, cut anywhere, into records without the fields that the
    exchange adds: `start`, events of parts, notices, and `end` as the last.

    seen: how many events and comments have come, including those that make no record. failure: why
    the reply failed, None before its end and if it is complete. After a failure every call returns
    an empty list. background_id: the id of a reply that the server writes in the background, until
    it is complete. sequence: the number of its last event, None without one.

    A protocol sets `_reply_class` and overrides `_object` and `_reply_body`; it may override
    `_event`, `_records` and `_end_of_stream`.
    """

    background_id = ""
    sequence: int | None = None

    _reply_class: Callable[[str], Reply]
    """Makes the reply; takes the issuer, which is the key of the provider_metadata."""

    def __init__(self, issuer: str, quirks: frozenset[str] = frozenset()) -> None:
        self.seen = 0
        self.failure: LlmToolsError | None = None
        self._event_count = 0
        self._last_payload: bytes | None = None
        self._sse = SseDecoder()
        self._reply = self._reply_class(issuer)
        self._is_over = False

    def feed(self, data: bytes) -> list[Record]:
        """Take the next bytes; return the records that they complete, none after the end."""
        if self._is_over:
            return []
        comments = self._sse.comments
        try:
            events = self._sse.feed(data)
        except ProtocolError as error:
            return self._fail(error)
        self._event_count += len(events)
        self.seen += len(events) + self._sse.comments - comments
        return self._with_notice(self._records(events), events)

    def eof(self) -> list[Record]:
        """Take the end of the bytes; return the last records. Before the terminal event of the
        reply, the end is a failure: TruncatedError, or ProtocolError for another body."""
        if self._is_over:
            return []
        try:
            events = self._sse.eof()
        except ProtocolError as error:
            return self._fail(error)
        self._event_count += len(events)
        records = self._records(events, is_last=True)
        if self._is_over:
            return self._with_notice(records, events)
        self._is_over = True
        last = self._end_of_stream()
        self._end_if_refused()
        if last is None:
            self._fail(self._missing_end())
        return self._with_notice(records + (last or []), [])

    def body(self, data: bytes) -> list[Record]:
        """Return the records of the whole body of a response that is not a stream."""
        try:
            records: list[Record] = take_safely(self._body, self._reply.loads(data))
            self._end_if_refused()
        except ProtocolError as error:
            records = self._fail(error)
        self._is_over = True
        return records

    def known_end(self) -> JsonObject:
        """Return the fields of `end` that are known so far, also for a reply that has no end."""
        return self._reply.known_end()

    def reopen(self) -> None:
        """Take the next bytes from another response, which goes on with the same reply."""
        self._sse = SseDecoder()
        self._event_count, self._last_payload = 0, None
        self._is_over, self.failure = False, None

    def _event(self, name: str, payload: bytes) -> list[Record]:
        """Return the records of one event. Raises ProtocolError if its data is not JSON."""
        payload = payload.strip()
        if not payload or payload.startswith(DONE):
            return []
        value = self._reply.loads(payload)
        if name == BODY:
            return self._body(value)
        if not isinstance(value, dict):
            return self._fail(
                ProtocolError(f"the provider sent an event that is not an object: {visible_text(payload)}")
            )
        return self._object(name, value)

    def _object(self, name: str, event: JsonObject) -> list[Record]:
        """Return the records of one event, whose data is a JSON object."""
        raise NotImplementedError

    def _body(self, body: Any) -> list[Record]:
        """Return the records of a body that is a whole reply or an error."""
        records = self._reply_body(body) if isinstance(body, dict) and not body.get("error") else None
        if records is not None:
            return records
        if error_message(body) is None:
            what = visible_text(string_of(body).encode("utf-8", "replace"))
            return self._fail(ProtocolError(f"the body is neither a reply nor an error: {what}"))
        return self._fail(failure_from_body(body))

    def _reply_body(self, body: JsonObject) -> list[Record] | None:
        """Return the records of a whole reply, None if the body is not a reply."""
        raise NotImplementedError

    def _end_of_stream(self) -> list[Record] | None:
        """Return the last records of a reply that the end of the stream completes, None if it is cut off."""
        return None

    def _records(self, events: list[SseEvent], is_last: bool = False) -> list[Record]:
        records: list[Record] = []
        for place, (name, payload) in enumerate(events, 1):
            try:
                records += take_safely(self._event, name, payload)
                self._end_if_refused()
            except ProtocolError as error:
                return records + self._refuse(name, payload, error, is_last and place == len(events))
            if self._is_over:
                self._last_payload = payload
                break
        return records

    def _with_notice(self, records: list[Record], events: list[SseEvent]) -> list[Record]:
        """Return the last records of a complete reply with a notice of the text between its events.

        events: those of the records; the last of them that counts is the one that ended the reply.
        """
        place = self._sse.head_place
        if place is None or not self._is_over or self.failure is not None or not records:
            return records
        ends = [at for at, (_, payload) in enumerate(events) if payload is self._last_payload]
        if ends and place > self._event_count - len(events) + ends[0]:
            return records  # the text came behind the reply
        text = visible_text(self._sse.head)
        notice = {"type": "notice", "code": "other_text", "message": f"the server sent text between its events: {text}"}
        return [*records[:-1], notice, records[-1]] if text else records

    def _missing_end(self) -> LlmToolsError:
        other_text = visible_text(self._sse.head)
        if not self._reply.is_begun and other_text:
            return ProtocolError(f"the response is not an event stream: {other_text}")
        return TruncatedError("the stream ended before the reply did" + (f": {other_text}" if other_text else ""))

    def _refuse(self, name: str, payload: bytes, error: ProtocolError, is_last: bool) -> list[Record]:
        """Fail for an event that is not JSON, or whose values do not fit; return its records, an empty list.

        The text of an error is that error. JSON that was cut off is none: then the stream is cut off.
        """
        match = _ERROR_TEXT.match(payload)
        if name == "error" or match:
            text = payload[match.end() :] if match else payload
            return self._fail(_failure_of_text(text or payload))
        is_cut = is_last and payload.lstrip().startswith((b"{", b"[", b'"'))
        return [] if is_cut else self._fail(error)

    def _end_if_refused(self) -> None:
        """End the reply if it failed for a value in its last event."""
        if self.failure is None and self._reply.failure is not None:
            self._fail(self._reply.failure)

    def _fail(self, error: LlmToolsError) -> list[Record]:
        """End the reply with a failure; return its records, an empty list."""
        self._is_over = True
        self.failure = error
        return []
