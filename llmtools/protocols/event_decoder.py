"""A response as server-sent events, decoded: what the protocols that speak them share.

Rules:
* An error ends the stream: an `error` record, the last, behind the events before it.
* A last event that is no JSON was cut off with the stream; any other is the provider's fault.
* A body of JSON in the place of events, a reply or an error, is read the same way.
"""

from __future__ import annotations

from ..errors import LlmToolsError, ProtocolError, TruncatedError
from ..http.failure import visible_text
from ..http.sse import Decoder as SseDecoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from ..http.sse import Event
    from ..records.types import Record

    class Reply(Protocol):
        """What a protocol makes of the vendor's events."""

        @property
        def is_begun(self) -> bool:
            """Whether the vendor's first event has come."""

        def loads(self, payload: bytes) -> Any:
            """Return the JSON value that the vendor sent. Raises ProtocolError."""

        def known_end(self) -> dict[str, Any]:
            """Return what is known of the usage and the model, as `end` says it."""


NO_USAGE = {"type": "notice", "code": "no_usage", "message": "the stream ended before it told the usage"}


class EventDecoder:
    """Turns the bytes of one response, cut anywhere, into draft records: `start`, part
    events, notices, `end`, or an `error` as the last.

    `seen` counts the events and comments of the wire, those too that hold nothing. A
    protocol gives `_made`, `_take`, `_body` and, if its terminal event may be followed by more, `_last`.
    """

    _made: Callable[[str], Reply]
    """What makes the reply of an issuer."""

    def __init__(self, issuer: str, quirks: frozenset[str] = frozenset()) -> None:
        self.seen = 0
        self._event_count = 0
        self._sse = SseDecoder()
        self._reply = self._made(issuer)
        self._is_over = False

    def feed(self, data: bytes) -> list[Record]:
        """Take the next bytes; return the records that they complete.

        After an `error` or the end nothing more comes.
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
        last = self._last()
        if last is not None:
            return records + last
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

    def known_end(self) -> dict[str, Any]:
        """Return what is known of the usage and the model, as `end` says it: also of a reply that has none."""
        return self._reply.known_end()

    def _take(self, name: str, payload: bytes) -> list[Record]:
        """Return the records of one event. Raises ProtocolError for what is no JSON."""
        raise NotImplementedError

    def _body(self, body: Any) -> list[Record]:
        """Return the records of a body that is a whole reply or an error."""
        raise NotImplementedError

    def _last(self) -> list[Record] | None:
        """Return the records of a reply that the end of the body completes, None where it is cut off."""
        return None

    def _records(self, events: list[Event], is_last: bool = False) -> list[Record]:
        found: list[Record] = []
        for place, (name, payload) in enumerate(events, 1):
            try:
                found += self._take(name, payload)
            except ProtocolError as error:
                is_cut = is_last and place == len(events)
                return found if is_cut else found + self._fail(error)
            if self._is_over:
                break
        return found

    def _missing_end(self) -> LlmToolsError:
        if not self._reply.is_begun and self._sse.head.strip():
            return ProtocolError(f"the answer is no event stream: {visible_text(self._sse.head)}")
        return TruncatedError("the stream ended before the reply did")

    def _fail(self, error: LlmToolsError) -> list[Record]:
        self._is_over = True
        return [dict(error.to_record())]
