"""OpenAI Responses, the response: bytes to records.

Rules:
* The terminal event is response.completed or response.incomplete. response.failed and `error`,
  which may be flat or hold an object, are failures; the first is reported.
* `keepalive`, `[DONE]` and unknown events count as seen, but make no records.
* A body whose response is queued or in progress is not a reply yet. If the server writes it in the
  background, `background_id` is its id, and `reopen` takes what the server answers later.
"""

from __future__ import annotations

from orjson import JSONDecodeError
from orjson import loads as parse

from ...errors import TruncatedError
from ...http.failure import failure_from_body
from ..event_decoder import ERROR_FIELDS, EventDecoder
from ..json_fields import count_or_none, string_or_empty
from .reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...errors import LlmToolsError
    from ...records.types import Record
    from ..json_fields import JsonObject

_TEXT_DELTA = "response.output_text.delta"
_END_TYPES = ("response.completed", "response.incomplete", "response.done")
_FAILURE_TYPES = ("response.failed", "response.cancelled", "error")
_FAILURE_STATUSES = ("failed", "cancelled")
_UNFINISHED_STATUSES = ("queued", "in_progress", "cancelled")


def _event_failure(event: Any) -> LlmToolsError:
    """Return the failure in an event or a response."""
    holder = event.get("response", event) if isinstance(event, dict) else event
    error = holder.get("error") if isinstance(holder, dict) else None
    return failure_from_body({"error": error} if error else holder)


class Decoder(EventDecoder):
    """Turns the bytes of one response into records (see `event_decoder`).

    issuer: the key of the provider_metadata; quirks: none has an effect.
    """

    _reply_class = Reply
    _reply: Reply

    def _plain(self, payload: bytes) -> list[Record] | None:
        """Return the records of an event that only continues a text, None for any other event."""
        try:
            event = parse(payload)
            chunk = event["delta"]
            text = self._reply.plain[event.get("output_index", event.get("item_id")), event.get("content_index")]
        except (JSONDecodeError, LookupError, TypeError, AttributeError, RecursionError):
            return None
        if chunk.__class__ is not str or event.get("type") != _TEXT_DELTA:
            return None
        if not chunk:
            return []
        text.chunks.append(chunk)
        self.sequence = event.get("sequence_number")
        return [{"type": "text", "chunk": chunk, "part_index": text.index}]

    def _event(self, name: str, payload: bytes) -> list[Record]:
        if self._reply.plain and name in (_TEXT_DELTA, "message"):
            plain = self._plain(payload)
            if plain is not None:
                return plain
        return super()._event(name, payload)

    def _object(self, name: str, event: JsonObject) -> list[Record]:
        kind = event.get("type")
        response = event.get("response")
        self.sequence = count_or_none(event.get("sequence_number"))
        self._take_background(response)
        is_other = event.get("object") != "response" and not event.keys().isdisjoint(ERROR_FIELDS)
        has_failed = kind in _END_TYPES and isinstance(response, dict) and response.get("status") in _FAILURE_STATUSES
        if name == "error" or kind in _FAILURE_TYPES or has_failed or (not kind and (event.get("error") or is_other)):
            self._reply.note_response(event)
            return self._fail(_event_failure(event))
        if kind in _END_TYPES:
            self._is_over = True
            return self._reply.end(event)
        if event.get("object") == "response":
            return self._body(event)
        return self._reply.take(event)

    def _take_background(self, response: Any) -> None:
        """Keep the id of a reply that the server writes in the background, until it is over."""
        if isinstance(response, dict) and "status" in response:
            is_going_on = response.get("background") is True and response["status"] in ("queued", "in_progress")
            self.background_id = string_or_empty(response.get("id")) if is_going_on else ""

    def _body(self, body: Any) -> list[Record]:
        self._take_background(body)
        if isinstance(body, dict) and body.get("error"):
            self._reply.note_response({"response": body})
            return self._fail(_event_failure(body))
        return super()._body(body)

    def _reply_body(self, body: JsonObject) -> list[Record] | None:
        if not isinstance(body.get("output"), list):
            return None
        if body.get("status") == "failed":
            return self._fail(_event_failure(body))
        if body.get("status") in _UNFINISHED_STATUSES:
            self._fail(TruncatedError(f"the reply is not ready: its status is {body['status']}"))
            return self._reply.take({"type": "response.created", "response": body}) if self.background_id else []
        self._is_over = True
        return self._reply.end({"response": body})
