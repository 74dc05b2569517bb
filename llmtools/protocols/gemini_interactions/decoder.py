"""Gemini Interactions, the response: bytes to records.

Rules:
* The terminal event is `interaction.completed`, whatever the interaction's status then is. A status
  of failure, `error` and `interaction.cancelled` are failures; the first is reported.
* An interaction that is queued or in progress is not a reply yet, and is not waited for.
* `[DONE]` counts as seen, but makes no records.
"""

from __future__ import annotations

from ...errors import TruncatedError
from ...http.failure import failure_from_body
from ...http.sse import UNNAMED
from ..event_decoder import ERROR_FIELDS, EventDecoder
from ..json_fields import string_or_empty
from ..spec import failure_of_finish
from .end import FAILED_STATUSES, OPEN_STATUSES
from .reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...errors import LlmToolsError
    from ...records.types import Record
    from ..json_fields import JsonObject

_END_TYPE = "interaction.completed"
_FAILURE_TYPES = ("error", "interaction.cancelled", "interaction.failed")


class Decoder(EventDecoder):
    """Turns the bytes of one response into records (see `event_decoder`).

    issuer: the key of the provider_metadata; quirks: none has an effect.
    """

    _reply_class = Reply
    _reply: Reply

    def _object(self, name: str, event: JsonObject) -> list[Record]:
        kind = string_or_empty(event.get("event_type")) or ("" if name == UNNAMED else name)
        interaction = event.get("interaction")
        has_error = bool(event.get("error")) or not event.keys().isdisjoint(ERROR_FIELDS)
        if not kind and isinstance(event.get("steps"), list):
            return self._body(event)
        if kind in _FAILURE_TYPES or (not kind and has_error):
            self._reply.note_interaction(interaction)
            word = kind.removeprefix("interaction.")
            return self._fail(failure_from_body(event) if has_error else failure_of_finish(word))
        if kind == _END_TYPE:
            return self._end(interaction)
        return self._reply.take(kind, event)

    def _end(self, interaction: Any) -> list[Record]:
        """Return the records of an interaction that ends the reply."""
        self._reply.note_interaction(interaction)
        if self._reply.status in OPEN_STATUSES:
            return self._fail(TruncatedError(f"the reply is not ready: its status is {self._reply.status}"))
        records = self._reply.end(interaction)
        self._is_over = True
        return records

    def _missing_end(self) -> LlmToolsError:
        status = self._reply.status
        return failure_of_finish(status) if status in FAILED_STATUSES else super()._missing_end()

    def _reply_body(self, body: JsonObject) -> list[Record] | None:
        if not isinstance(body.get("steps"), list) and body.get("object") != "interaction":
            return None
        return self._end(body)

    def _body(self, body: Any) -> list[Record]:
        if isinstance(body, dict) and body.get("error") and isinstance(body.get("steps"), list):
            return self._end(body)
        return super()._body(body)
