"""Anthropic Messages, the response: bytes to events.

Rules:
* The terminal event is message_stop. A stream that ends before it is cut off, though its
  stop_reason may have come.
* `ping` and what is not known say nothing, but they are seen.

Facts: wire-protocols.md sections 3 and 6.
"""

from __future__ import annotations

from orjson import JSONDecodeError
from orjson import loads as parse

from ...errors import ProtocolError
from ...http.failure import failure_of, message_of, visible_text
from ...http.sse import BODY
from ..event_decoder import EventDecoder
from .reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Record

_PLAIN = b'{"type":"content_block_delta"'
"""How the vendor's events of a delta begin: those of a text have a shorter way."""


def _is_error(name: str, event: dict[str, Any]) -> bool:
    return bool(event.get("error")) or "error" in (name, event.get("type"), event.get("object"))


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
            delta = event["delta"]
            text = delta["text"]
            index = self._reply.plain[event["index"]]
        except (JSONDecodeError, LookupError, TypeError):
            return None
        if len(delta) != 2 or len(event) != 3 or text.__class__ is not str or delta.get("type") != "text_delta":
            return None
        return [{"type": "text", "chunk": text, "part_index": index}] if text else []

    def _take(self, name: str, payload: bytes) -> list[Record]:
        if self._reply.plain and payload.startswith(_PLAIN):
            plain = self._plain(payload)
            if plain is not None:
                return plain
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
