"""OpenAI Chat Completions, the response: bytes to events.

Rules:
* The terminal event is a finish_reason, or `[DONE]`; where a server sends neither (quirk
  `no_finish`) the end of the body is. What stands behind it (usage, mostly) still counts,
  so `end` comes at `[DONE]` or at the end of the body.
* JSON that orjson refuses (half a surrogate pair, invalid UTF-8, NaN) does not lose the
  reply: it is read leniently.

Facts: wire-protocols.md sections 0, 1 and 6.
"""

from __future__ import annotations

from orjson import JSONDecodeError
from orjson import loads as parse

from ...errors import ProtocolError
from ...http.failure import failure_of, message_of, visible_text
from ...http.sse import BODY
from ..event_decoder import NO_USAGE, EventDecoder
from .reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...http.sse import Event
    from ...records.types import Record

DONE = b"[DONE]"
_VOLATILE = ("obfuscation", "p")
"""What differs in every chunk and means nothing."""

_FIELDS = ("content", "reasoning_content", "reasoning")


def _is_error(name: str, chunk: dict[str, Any]) -> bool:
    if chunk.get("error") or name == "error" or "error" in (chunk.get("type"), chunk.get("object")):
        return True
    return "choices" not in chunk and not chunk.keys().isdisjoint(("detail", "message"))


class Decoder(EventDecoder):
    """Turns the bytes of one response into draft records (see `decoder`).

    issuer: the key of the provider_metadata that is made; quirks: `no_finish`.
    """

    _made = Reply
    _reply: Reply

    def __init__(self, issuer: str, quirks: frozenset[str] = frozenset()) -> None:
        super().__init__(issuer)
        self._has_finish = "no_finish" not in quirks
        # A chunk that says one piece of text and nothing else, and where in it that stands:
        # one that equals it but for the text needs no second look.
        self._plain: dict[str, Any] | None = None
        self._plain_delta: dict[str, Any] = {}
        self._plain_field = "content"
        self._plain_kind = "text"
        self._plain_index = 0
        self._volatile: str | None = None

    def _last(self) -> list[Record] | None:
        reply = self._reply
        if not reply.finish and (self._has_finish or not reply.is_begun):
            return None
        return [*([] if reply.usage is not None else [dict(NO_USAGE)]), *reply.end()]

    def _records(self, events: list[Event], is_last: bool = False) -> list[Record]:
        found: list[Record] = []
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
                        found.append({"type": kind, "chunk": text, "part_index": index})
                        continue
            except (JSONDecodeError, LookupError, TypeError, AttributeError):
                pass
            try:
                found += self._chunk(name, payload, chunk)
            except ProtocolError as error:
                is_cut = is_last and payload is events[-1][1]
                return found if is_cut else found + self._fail(error)
            if self._is_over:
                return found
            volatile, field, kind, index = self._volatile, self._plain_field, self._plain_kind, self._plain_index
            plain, plain_delta = self._plain, self._plain_delta
        return found

    def _chunk(self, name: str, payload: bytes, chunk: Any) -> list[Record]:
        """Take one event, with a look at everything in it; `chunk` is its JSON, if that is known."""
        self._plain, self._plain_delta = None, {}
        stripped = payload.strip()
        if stripped.startswith(DONE):
            return self._end()
        if not stripped:
            return []
        if chunk is None or b'"arguments"' in payload:  # which may be an object: no number in it is rounded
            chunk = self._reply.loads(payload)
        if name == BODY:
            return self._body(chunk)
        if isinstance(chunk, list) and len(chunk) == 1:
            chunk = chunk[0]
        if not isinstance(chunk, dict):
            return self._fail(ProtocolError(f"no chunk of a reply: {visible_text(payload)}"))
        records = self._reply.take(chunk)
        if _is_error(name, chunk):
            return records + self._fail(failure_of(chunk))
        self._learn(chunk, records)
        return records

    def _end(self) -> list[Record]:
        if not self._reply.is_begun:
            return self._fail(ProtocolError("the stream ended with no reply in it"))
        self._is_over = True
        return self._reply.end()

    def _learn(self, chunk: dict[str, Any], records: list[Record]) -> None:
        """Remember the chunk if it said one piece of text and changed nothing else."""
        if len(records) != 1 or len(records[0]) != 3 or len(chunk["choices"]) != 1:
            return
        choice = chunk["choices"][0]
        delta = choice.get("delta") or {}
        said = [field for field in _FIELDS if delta.get(field)]
        self._volatile = next((name for name in _VOLATILE if chunk.pop(name, None) is not None), None)
        if len(said) == 1 and records[0].get("chunk") == delta[said[0]] and self._reply.is_plain(choice):
            self._plain, self._plain_delta, self._plain_field = chunk, delta, said[0]
            self._plain_kind, self._plain_index = records[0]["type"], records[0]["part_index"]

    def _body(self, body: Any) -> list[Record]:
        if isinstance(body, dict) and body.get("choices") and not body.get("error"):
            self._is_over = True
            return [*self._reply.take(body, is_whole=True), *self._reply.end()]
        if message_of(body) is None:
            return self._fail(ProtocolError("the body is no reply and no error"))
        return self._fail(failure_of(body))
