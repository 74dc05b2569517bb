"""OpenAI Chat Completions, the response: bytes to records.

Rules:
* The terminal event has a finish_reason, or is `[DONE]`. For servers that send neither (quirk
  `no_finish`) it is the end of the stream. Events behind a finish_reason (usage, mostly) still
  count, so `end` comes at `[DONE]` or at the end of the stream.
* JSON that orjson refuses (half a surrogate pair, invalid UTF-8, NaN) is read leniently: it
  does not lose the reply.
"""

from __future__ import annotations

from orjson import JSONDecodeError
from orjson import loads as parse

from ...errors import ProtocolError
from ...http.failure import failure_from_body, visible_text
from ...http.sse import BODY
from ..event_decoder import DONE, ERROR_FIELDS, NO_USAGE, EventDecoder
from ..json_fields import take_safely
from .reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...http.sse import SseEvent
    from ...records.types import Record
    from ..json_fields import JsonObject

_VOLATILE = ("obfuscation", "p")
"""Fields that differ in every chunk and mean nothing."""

_DELTA_TEXTS = ("content", "reasoning_content", "reasoning")


def _is_error_chunk(name: str, chunk: JsonObject) -> bool:
    if chunk.get("error") or name == "error" or "error" in (chunk.get("type"), chunk.get("object")):
        return True
    return "choices" not in chunk and not chunk.keys().isdisjoint(ERROR_FIELDS)


class Decoder(EventDecoder):
    """Turns the bytes of one response into records (see `event_decoder`).

    issuer: the key of the provider_metadata; quirks: `no_finish`.
    """

    _reply_class = Reply
    _reply: Reply

    def __init__(self, issuer: str, quirks: frozenset[str] = frozenset()) -> None:
        super().__init__(issuer)
        self._has_finish = "no_finish" not in quirks
        # The last chunk, if it only continued a text, and the place of the text in it. A chunk
        # that is equal but for the text needs no second look.
        self._plain: JsonObject | None = None
        self._plain_delta: JsonObject = {}
        self._plain_field = "content"
        self._plain_kind = "text"
        self._plain_index = 0
        self._volatile: str | None = None

    def _end_of_stream(self) -> list[Record] | None:
        reply = self._reply
        if not reply.finish and (self._has_finish or not reply.is_begun):
            return None
        return [*([] if reply.usage is not None else [dict(NO_USAGE)]), *self._reply.end()]

    def _records(self, events: list[SseEvent], is_last: bool = False) -> list[Record]:
        records: list[Record] = []
        volatile, field, kind, index = self._volatile, self._plain_field, self._plain_kind, self._plain_index
        plain, plain_delta = self._plain, self._plain_delta
        for name, payload in events:
            chunk = None
            try:
                chunk = parse(payload)
                if volatile:
                    chunk.pop(volatile, None)
                text = chunk["choices"][0]["delta"][field]
                if text:
                    plain_delta[field] = text
                    if chunk == plain and text.__class__ is str:
                        records.append({"type": kind, "chunk": text, "part_index": index})
                        continue
            except (JSONDecodeError, LookupError, TypeError, AttributeError, RecursionError):
                pass
            try:
                records += take_safely(self._chunk, name, payload, chunk)
                self._end_if_refused()
            except ProtocolError as error:
                return records + self._refuse(name, payload, error, is_last and payload is events[-1][1])
            if self._is_over:
                self._last_payload = payload
                return records
            volatile, field, kind, index = self._volatile, self._plain_field, self._plain_kind, self._plain_index
            plain, plain_delta = self._plain, self._plain_delta
        return records

    def _chunk(self, name: str, payload: bytes, chunk: Any) -> list[Record]:
        """Return the records of an event. `chunk` is its JSON value, None if it is not known."""
        self._plain, self._plain_delta = None, {}
        stripped = payload.strip()
        if stripped.startswith(DONE):
            return self._end()
        if not stripped:
            return []
        if chunk is None or b'"arguments"' in payload:  # arguments may be an object, whose numbers orjson rounds
            chunk = self._reply.loads(payload)
        if name == BODY:
            return self._body(chunk)
        if isinstance(chunk, list) and len(chunk) == 1:
            chunk = chunk[0]
        if not isinstance(chunk, dict):
            return self._fail(
                ProtocolError(f"the provider sent an event that is not an object: {visible_text(payload)}")
            )
        records = self._reply.take(chunk)
        if _is_error_chunk(name, chunk):
            return records + self._fail(failure_from_body(chunk))
        self._remember_plain(chunk, records)
        return records

    def _end(self) -> list[Record]:
        if not self._reply.is_begun:
            return self._fail(ProtocolError("the stream ended without a reply"))
        self._is_over = True
        return self._reply.end()

    def _remember_plain(self, chunk: JsonObject, records: list[Record]) -> None:
        """Remember a chunk that continued one text and changed nothing else."""
        if len(records) != 1 or len(records[0]) != 3 or len(chunk["choices"]) != 1:
            return
        choice = chunk["choices"][0]
        delta = choice.get("delta") or {}
        if not isinstance(delta, dict):
            return
        fields = [field for field in _DELTA_TEXTS if delta.get(field)]
        self._volatile = next((name for name in _VOLATILE if chunk.pop(name, None) is not None), None)
        if len(fields) == 1 and records[0].get("chunk") == delta[fields[0]] and self._reply.is_plain(choice):
            self._plain, self._plain_delta, self._plain_field = chunk, delta, fields[0]
            self._plain_kind, self._plain_index = records[0]["type"], records[0]["part_index"]

    def _reply_body(self, body: JsonObject) -> list[Record] | None:
        if not body.get("choices"):
            return None
        self._is_over = True
        return [*self._reply.take(body, is_whole=True), *self._reply.end()]
