"""OpenAI Responses, the response: bytes to events.

Rules:
* The terminal event is response.completed or response.incomplete; response.failed and
  `error`, flat or with an object in it, are failures, of which the first is told.
* `keepalive`, `[DONE]` and what is not known say nothing, but they are seen.
* A response that is queued or in progress in a body is not there yet: nobody waits for it.

Facts: wire-protocols.md sections 0.4, 2 and 6.
"""

from __future__ import annotations

from orjson import JSONDecodeError
from orjson import loads as parse

from ...errors import ProtocolError, TruncatedError
from ...http.failure import failure_of, message_of, visible_text
from ...http.sse import BODY
from ..event_decoder import EventDecoder
from .reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...errors import LlmToolsError
    from ...records.types import Record

_PLAIN = "response.output_text.delta"
_ENDS = ("response.completed", "response.incomplete", "response.done")
_FAILURES = ("response.failed", "response.cancelled", "error")
_UNFINISHED = ("queued", "in_progress", "cancelled")


def _failure_of(event: Any) -> LlmToolsError:
    """Return the failure of an event or a response."""
    told = event.get("response", event) if isinstance(event, dict) else event
    error = told.get("error") if isinstance(told, dict) else None
    return failure_of({"error": error} if error else told)


class Decoder(EventDecoder):
    """Turns the bytes of one response into draft records (see `decoder`).

    issuer: the key of the provider_metadata that is made; quirks: none is known here.
    """

    _made = Reply
    _reply: Reply

    def _plain(self, payload: bytes) -> list[Record] | None:
        """Return the chunk of an event that only goes on with a text, None for any other."""
        try:
            event = parse(payload)
            chunk = event["delta"]
            text = self._reply.plain[event.get("output_index", event.get("item_id")), event.get("content_index")]
        except (JSONDecodeError, LookupError, TypeError, AttributeError):
            return None
        if chunk.__class__ is not str or event.get("type") != _PLAIN:
            return None
        if not chunk:
            return []
        text.chunks.append(chunk)
        return [{"type": "text", "chunk": chunk, "part_index": text.index}]

    def _take(self, name: str, payload: bytes) -> list[Record]:
        if self._reply.plain and name in (_PLAIN, "message"):
            plain = self._plain(payload)
            if plain is not None:
                return plain
        stripped = payload.strip()
        if not stripped or stripped == b"[DONE]":  # which some servers add
            return []
        event = self._reply.loads(payload)
        if name == BODY:
            return self._body(event)
        if not isinstance(event, dict):
            return self._fail(ProtocolError(f"no event of a reply: {visible_text(payload)}"))
        kind = event.get("type")
        if name == "error" or kind in _FAILURES or (event.get("error") and not kind):
            self._reply.hear(event)
            return self._fail(_failure_of(event))
        if kind in _ENDS:
            self._is_over = True
            return self._reply.end(event)
        if event.get("object") == "response":
            return self._body(event)
        return self._reply.take(event)

    def _body(self, body: Any) -> list[Record]:
        if not isinstance(body, dict) or not isinstance(body.get("output"), list) or body.get("error"):
            if message_of(body) is None:
                return self._fail(ProtocolError("the body is no reply and no error"))
            if isinstance(body, dict):
                self._reply.hear({"response": body})
            return self._fail(_failure_of(body))
        if body.get("status") in _UNFINISHED:
            return self._fail(TruncatedError(f"the reply is not there: its status is {body['status']}"))
        self._is_over = True
        return self._reply.end({"response": body})
