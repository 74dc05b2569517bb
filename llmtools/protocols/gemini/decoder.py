"""Gemini, the response: bytes to records.

Rules:
* The terminal event has a finishReason, or a blockReason for the whole prompt. Events behind it
  still count (some streams have two), so `end` comes at the end of the stream.
* An error in mid-stream is not an event but a bare JSON object behind the events. It ends the
  stream, even behind the terminal event.
* A JSON body in the place of events is read the same way, also as the array that comes without
  alt=sse.
"""

from __future__ import annotations

from ...errors import (
    ProtocolError,
    TruncatedError,
)
from ...http import failure
from ...http.sse import BODY
from ..event_decoder import DONE, NO_USAGE, EventDecoder
from ..json_fields import string_of
from .reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Record

_REPLY_FIELDS = frozenset(("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId"))


class Decoder(EventDecoder):
    """Turns the bytes of one response into records (see `event_decoder`).

    issuer: the key of the provider_metadata; quirks: none has an effect.
    """

    _reply_class = Reply
    _reply: Reply

    def _end_of_stream(self) -> list[Record] | None:
        if not self._reply.finish:
            return None
        return [*([] if self._reply.has_usage() else [dict(NO_USAGE)]), *self._reply.end()]

    def _event(self, name: str, payload: bytes) -> list[Record]:
        payload = payload.strip()
        if not payload or payload.startswith(DONE):
            return []
        chunk = self._reply.loads(payload)
        if name == BODY:
            return self._body(chunk)
        if isinstance(chunk, list) and len(chunk) == 1:
            chunk = chunk[0]
        return self._chunk(chunk)

    def _chunk(self, chunk: Any) -> list[Record]:
        if isinstance(chunk, dict) and chunk.get("error"):
            return self._fail(failure.failure_from_body(chunk))
        if not isinstance(chunk, dict) or chunk.keys().isdisjoint(_REPLY_FIELDS):
            if failure.error_message(chunk) is not None:
                return self._fail(failure.failure_from_body(chunk))
            what = failure.visible_text(string_of(chunk).encode("utf-8", "replace"))
            return self._fail(
                ProtocolError(f"the provider sent a chunk that is neither of a reply nor an error: {what}")
            )
        return self._reply.take(chunk)

    def _body(self, body: Any) -> list[Record]:
        """Return the records of a body that comes alone, or of an error behind events."""
        records: list[Record] = []
        for chunk in body if isinstance(body, list) and body else [body]:
            records += self._chunk(chunk)
            if self._is_over:
                return records
        self._is_over = True
        if self._reply.finish:
            return records + self._reply.end()
        return records + self._fail(TruncatedError("the reply has no end"))
