"""Anthropic Messages, the response: bytes to records.

Rules:
* The terminal event is message_stop. A stream that ends before it is cut off, even if its
  stop_reason has come.
* `ping` and unknown events count as seen, but make no records.
"""

from __future__ import annotations

from orjson import JSONDecodeError
from orjson import loads as parse

from ...errors import ProtocolError
from ...http.failure import failure_from_body
from ..event_decoder import ERROR_FIELDS, EventDecoder
from ..json_fields import string_or_empty
from .reply import EVENT_TYPES, Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Record
    from ..json_fields import JsonObject

_DELTA = b'{"type":"content_block_delta"'
"""The beginning of the vendor's delta events. Those of texts take a shorter way."""


class Decoder(EventDecoder):
    """Turns the bytes of one response into records (see `event_decoder`).

    issuer: the key of the provider_metadata; quirks: none has an effect.
    """

    _reply_class = Reply
    _reply: Reply

    def _plain(self, payload: bytes) -> list[Record] | None:
        """Return the record of an event that only continues a text, None for any other event."""
        try:
            event = parse(payload)
            delta = event["delta"]
            text = delta["text"]
            index = self._reply.plain[event["index"]]
        except (JSONDecodeError, LookupError, TypeError, RecursionError):
            return None
        if len(delta) != 2 or len(event) != 3 or text.__class__ is not str or delta.get("type") != "text_delta":
            return None
        return [{"type": "text", "chunk": text, "part_index": index}] if text else []

    def _event(self, name: str, payload: bytes) -> list[Record]:
        if self._reply.plain and payload.startswith(_DELTA):
            plain = self._plain(payload)
            if plain is not None:
                return plain
        return super()._event(name, payload)

    def _object(self, name: str, event: JsonObject) -> list[Record]:
        if name in EVENT_TYPES and string_or_empty(event.get("type")) not in EVENT_TYPES:
            event = {**event, "type": name}
        kind = event.get("type")
        is_other = not kind and not event.keys().isdisjoint(ERROR_FIELDS)
        if event.get("error") or is_other or "error" in (name, kind, event.get("object")):
            return self._fail(failure_from_body(event))
        if kind == "message":
            return self._body(event)
        if kind == "message_stop" and self._reply.is_begun:
            self._is_over = True
            return self._reply.end()
        if kind in ("message_stop", "content_block_start") and not self._reply.is_begun:
            return self._fail(ProtocolError("the stream has events of a message that did not start"))
        return self._reply.take(event)

    def _reply_body(self, body: JsonObject) -> list[Record] | None:
        if not isinstance(body.get("content"), (list, str)):
            return None
        self._is_over = True
        return self._reply.take_body(body)
