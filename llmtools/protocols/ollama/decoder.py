"""Ollama, the response: bytes to records.

Rules:
* Each line is one JSON object. The terminal line has `done: true`. A stream that ends before it
  is cut off, whatever came.
* A line with `error` ends the stream, whatever the HTTP status was.
"""

from __future__ import annotations

from ...errors import LlmToolsError, ProtocolError, TruncatedError
from ...http.failure import failure_from_body, visible_text
from ...http.sse import LineDecoder
from ..json_fields import take_safely
from .reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Record
    from ..json_fields import JsonObject


class Decoder:
    """Turns the bytes of one response, cut anywhere, into records without the fields that the
    exchange adds: `start`, events of parts, notices, and `end` or `error` as the last.

    issuer: the key of the provider_metadata; quirks: none has an effect. seen: how many lines
    have come, including those that make no record.
    """

    def __init__(self, issuer: str, quirks: frozenset[str] = frozenset()) -> None:
        self.seen = 0
        self.failure: LlmToolsError | None = None
        self._lines = LineDecoder()
        self._reply = Reply(issuer)
        self._is_over = False

    def feed(self, data: bytes) -> list[Record]:
        """Take the next bytes; return the records that they complete, none after the end."""
        records: list[Record] = []
        try:
            for line in () if self._is_over else self._lines.feed(data):
                self.seen += 1
                records += take_safely(self._line, line)
        except ProtocolError as error:
            records += self._fail(error)
        return records

    def eof(self) -> list[Record]:
        """Take the end of the bytes; return the last records. Before the terminal line of the
        reply, the end is a failure: TruncatedError, or ProtocolError for another body."""
        if self._is_over:
            return []
        records: list[Record] = []
        missing: LlmToolsError = TruncatedError("the stream ended before the reply did")
        try:
            for line in self._lines.eof():
                if not line.lstrip().startswith(b"{"):
                    missing = ProtocolError(f"the response is not a line of a reply: {visible_text(line)}")
                records += take_safely(self._line, line)
        except ProtocolError:  # the last line was cut off
            pass
        return records if self._is_over else records + self._fail(missing)

    def body(self, data: bytes) -> list[Record]:
        """Return the records of the whole body of a response that is not a stream."""
        try:
            records: list[Record] = take_safely(self._line, data)
        except ProtocolError as error:
            records = self._fail(error)
        if not self._is_over:
            records += self._fail(TruncatedError("the reply is not done"))
        return records

    def known_end(self) -> JsonObject:
        """Return the fields of `end` that are known so far, also for a reply that has no end."""
        return self._reply.known_end()

    def _line(self, payload: bytes) -> list[Record]:
        """Return the records of a line, none for a line behind the end."""
        if self._is_over:
            return []
        line = self._reply.loads(payload)
        if isinstance(line, dict) and line.get("error"):
            return [*self._reply.take(line | {"done": False}), *self._fail(failure_from_body(line))]
        if not isinstance(line, dict) or line.keys().isdisjoint(("message", "done")):
            return self._fail(
                ProtocolError(f"the provider sent a line that is not of a reply: {visible_text(payload)}")
            )
        records = self._reply.take(line)
        self.failure = self._reply.failure
        self._is_over = self._reply.is_done or self.failure is not None
        return records

    def _fail(self, error: LlmToolsError) -> list[Record]:
        """End the reply with a failure; return its records, an empty list."""
        self._is_over = True
        self.failure = error
        return []
