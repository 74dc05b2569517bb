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

from ...errors import (
    InputError,
    LlmToolsError,
    ProtocolError,
    TruncatedError,
)
from ...http import failure
from ...http.sse import BODY
from ...records.jsonl import loads
from ..event_decoder import NO_USAGE, EventDecoder
from ..reply_writer import objects_in, text_in
from .reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ...records.types import Record

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


class Decoder(EventDecoder):
    """Turns the bytes of one response into draft records (see `decoder`).

    issuer: the key of the provider_metadata that is made; quirks: none.
    """

    _made = Reply
    _reply: Reply

    def _last(self) -> list[Record] | None:
        if not self._reply.finish:
            return None
        return [*([] if self._reply.has_usage() else [dict(NO_USAGE)]), *self._reply.end()]

    def _take(self, name: str, payload: bytes) -> list[Record]:
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
