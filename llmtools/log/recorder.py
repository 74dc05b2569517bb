"""Records of a stream to the conversations to store: for the filter, llm-send --log and the import.

Rules:
* A message is stored when it comes; the events before it are only its preview.
* If a reply fails, is cancelled or is cut off before its message comes, the preview is stored.
* A failure without a reply is stored with the message before it.
* A conversation record is a conversation of its own.
"""

from __future__ import annotations

from ..errors import InputError, LlmToolsError, TruncatedError
from ..records.fold import Fold
from ..records.jsonl import dumps
from .chain import PendingConversation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..records.types import Message, Record

_SEPARATE_FIELDS = frozenset(("type", "messages", "tools", "error"))
_ERROR_FIELDS = ("code", "message", "http_status", "retryable", "retry_after")


def response_of_error(error: dict[str, Any], model: str | None = None) -> dict[str, Any]:
    """Return an `error` record as the `response` of a request without a reply."""
    model_field = {"model": model} if model else {}
    request = {"request_id": error["request_id"]} if "request_id" in error else {}
    exit_status = error.get("exit_status", LlmToolsError.exit_status)
    fields = {name: error[name] for name in _ERROR_FIELDS if name in error}
    return {**model_field, "status": "error", "exit_status": exit_status, **request, "error": fields}


class Recorder:
    """Takes the records of a stream; `unsaved_conversations` returns what to write.

    conversation: the one that the messages of the stream make. last_conversation: the one of the
    last conversation record.
    """

    def __init__(self) -> None:
        self.conversation = self.last_conversation = PendingConversation()
        self._from_records: list[PendingConversation] = []
        self._fold: Fold | None = None
        self._has_error = False

    def feed(self, record: Record) -> None:
        """Take the next record. Raises InputError for a message that has no canonical form."""
        kind = record["type"]
        if kind == "message":
            self.conversation.add_message(record)  # type: ignore[arg-type]
            self._fold = None
        elif "part_index" in record or kind in ("start", "reset"):
            self._preview(record)
        elif kind == "tool":
            self.conversation.add_tool(record)
        elif kind == "error":
            self._add_error(record)
        elif kind == "conversation":
            self.last_conversation = pending_of(record)
            self._from_records.append(self.last_conversation)
        elif kind == "end" and self._fold is not None:
            self._preview(record)
            self._add_preview("truncated")

    def _preview(self, event: Record) -> None:
        if self._fold is None:
            self._fold, self._has_error = Fold(), False
        try:
            self._fold.feed(event)
        except InputError:
            pass  # an event for an unknown part: the message, if it comes, is complete

    def _add_error(self, error: Record) -> None:
        if self._fold is not None:
            self._fold.feed(error)
            self._has_error = True
        else:
            self.conversation.add_failure(response_of_error(error))

    def _add_preview(self, status: str) -> None:
        """Add the preview as the reply if its message has not come. `status`: if nothing else says it."""
        if self._fold is None:
            return
        message: Message = self._fold.message()
        self._fold = None
        response: dict[str, Any] = {"id": None, **message.get("response", {})}
        if "status" not in response:
            response["status"] = "error" if self._has_error else status
            failure = LlmToolsError if self._has_error else TruncatedError
            response.setdefault("exit_status", failure.exit_status)
        self.conversation.add_message({**message, "response": response})  # type: ignore[typeddict-item]

    def eof(self, *, is_cancelled: bool = False) -> None:
        """Note the end of the stream."""
        self._add_preview("cancelled" if is_cancelled else "truncated")

    def unsaved_conversations(self) -> list[PendingConversation]:
        """Return the conversations that are not stored completely."""
        self._from_records = [pending for pending in self._from_records if pending.is_changed]
        return [*self._from_records, *([self.conversation] if self.conversation.is_changed else [])]


def unstored_fields(record: Record) -> str | None:
    """Return the fields of a conversation record without its messages, tools and error, as JSON; None
    if there are none."""
    rest = {name: value for name, value in record.items() if name not in _SEPARATE_FIELDS}
    return dumps(rest).decode() if rest else None


def pending_of(record: Record) -> PendingConversation:
    """Return the conversation of a `conversation` record. Raises InputError for a message that has no
    canonical form."""
    pending = PendingConversation(unstored_fields(record))
    for tool in record.get("tools", ()):
        pending.add_tool(tool)
    for message in record["messages"]:
        pending.add_message(message)
    last = record["messages"][-1] if record["messages"] else {}
    if "error" in record and last.get("response", {}).get("status", "ok") == "ok":
        pending.add_failure(response_of_error(record["error"]))
    return pending
