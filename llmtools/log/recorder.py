"""A stream to what is stored of it: the filter, llm-send --log and the import read through this.

Rules:
* A message is stored when it comes; the events before it are only its preview.
* What a reply had shown is stored also where no message came: cancelled, failed, or cut off.
* A failure to which no reply came is kept at what was asked.
* A conversation record is a conversation of its own.
"""

from __future__ import annotations

from ..errors import InputError
from ..records.fold import Fold
from ..records.jsonl import dumps
from .chain import Chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..records.types import Message, Record

_OWN = frozenset(("type", "messages", "tools", "error"))
_FAILURE = ("code", "message", "http_status", "retryable", "retry_after")


def failure_of(error: dict[str, Any], model: str | None = None) -> dict[str, Any]:
    """Return an `error` record as the `response` of a reply that did not come."""
    named = {"model": model} if model else {}
    request = {"request_id": error["request_id"]} if "request_id" in error else {}
    said = {name: error[name] for name in _FAILURE if name in error}
    return {**named, "status": "error", "exit_status": error.get("exit_status", 1), **request, "error": said}


class Recorder:
    """Takes the records of a stream; `changed` says what there is to write.

    chain: the conversation that the stream is; last: that of the last conversation record.
    """

    def __init__(self) -> None:
        self.chain = self.last = Chain()
        self._records: list[Chain] = []
        self._fold: Fold | None = None
        self._has_error = False

    def feed(self, record: Record) -> None:
        """Take the next record. Raises InputError for a message that has no canonical form."""
        kind = record["type"]
        if kind == "message":
            self.chain.message(record)  # type: ignore[arg-type]
            self._fold = None
        elif "part_index" in record or kind in ("start", "reset"):
            self._preview(record)
        elif kind == "tool":
            self.chain.tool(record)
        elif kind == "error":
            self._fail(record)
        elif kind == "conversation":
            self.last = chain_of(record)
            self._records.append(self.last)
        elif kind == "end" and self._fold is not None:
            self._preview(record)
            self._settle("truncated")

    def _preview(self, event: Record) -> None:
        if self._fold is None:
            self._fold, self._has_error = Fold(), False
        try:
            self._fold.feed(event)
        except InputError:
            pass  # an event that fits no part: the message, if one comes, tells

    def _fail(self, error: Record) -> None:
        if self._fold is not None:
            self._fold.feed(error)
            self._has_error = True
        else:
            self.chain.failure(failure_of(error))

    def _settle(self, status: str) -> None:
        """Take what was shown of a reply for the reply, where its message has not come."""
        if self._fold is None:
            return
        message: Message = self._fold.message()
        self._fold = None
        response: dict[str, Any] = {"id": None, **message.get("response", {})}
        if "status" not in response:
            response["status"] = "error" if self._has_error else status
            response.setdefault("exit_status", 1 if self._has_error else 75)
        self.chain.message({**message, "response": response})  # type: ignore[typeddict-item]

    def eof(self, *, is_cancelled: bool = False) -> None:
        """Say that no more comes."""
        self._settle("cancelled" if is_cancelled else "truncated")

    def changed(self) -> list[Chain]:
        """Return the conversations of which something is not stored yet."""
        self._records = [chain for chain in self._records if chain.is_changed]
        return [*self._records, *([self.chain] if self.chain.is_changed else [])]


def rest_of(record: Record) -> str | None:
    """Return what a conversation record says beside its messages and tools, as JSON."""
    rest = {name: value for name, value in record.items() if name not in _OWN}
    return dumps(rest).decode() if rest else None


def chain_of(record: Record) -> Chain:
    """Return the conversation that a `conversation` record is."""
    chain = Chain(rest_of(record))
    for tool in record.get("tools", ()):
        chain.tool(tool)
    for message in record["messages"]:
        chain.message(message)
    last = record["messages"][-1] if record["messages"] else {}
    if "error" in record and last.get("response", {}).get("status", "ok") == "ok":
        chain.failure(failure_of(record["error"]))
    return chain
