"""The state of a stream: whether it failed, and whether it has a reply.

Rules:
* A stream has failed if its last response did, or if an `error` comes after its last complete
  message. A later complete reply mends it. A message without an `end` can be complete. A paused
  reply is not complete: the reply that continues it mends it.
* Of several failures the first counts: it gives the exit status.
"""

from __future__ import annotations

from ..errors import CancelledError, LlmToolsError, PausedError, TruncatedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .types import ErrorRecord, Message, Record

HISTORY = frozenset(("message", "tool", "conversation"))
"""The types of the records that make the conversation. Other records are events."""

_FAILURES = {
    "ok": PausedError("the model paused and did not continue"),
    "cancelled": CancelledError("the reply was cancelled"),
    "truncated": TruncatedError("the reply was cut off"),
    "error": LlmToolsError("the reply failed"),
}
"""The failure of each status, for a response without an `error`."""


def is_paused(message: Message) -> bool:
    """Return whether the model paused after the message; another reply of the model continues it."""
    return message.get("response", {}).get("finish_reason") == "pause"


def _has_failed(outcome: Mapping[str, Any]) -> bool:
    return outcome.get("status", "ok") != "ok" or outcome.get("finish_reason") == "pause"


def _failure_of(outcome: Record, error: Record | None) -> ErrorRecord:
    """Return the `error` record of an `end`, or of the `response` of a message."""
    failure = _FAILURES[outcome.get("status", "ok")]
    exit_status = outcome.get("exit_status", failure.exit_status)
    return {**failure.to_record(), **(error or {}), "type": "error", "exit_status": exit_status}  # type: ignore[typeddict-item]


class StreamState:
    """The state of a stream up to its last record, without the messages. `add` takes the records
    in order.

    conversations: the number of `conversation` records, each of which is a stream of its own.
    is_open: whether a response has begun and its message has not come. has_history: whether there is
    a message or a tool. has_reply: whether an assistant message follows the last user message.
    """

    def __init__(self) -> None:
        self.conversations: int = 0
        self.is_open: bool = False
        self.has_history: bool = False
        self.has_reply: bool = False
        self._failed_role = "assistant"
        self._failures: dict[str, ErrorRecord] = {}

    def add(self, record: Record) -> None:
        """Take the next record."""
        kind = record["type"]
        if "part_index" in record or kind == "reset":
            self.is_open = True
        elif kind == "message":
            self._add_message(record)  # type: ignore[arg-type]
        elif kind == "start":
            self.is_open = True
            self._failures.pop("response", None)
            self._failed_role = record.get("role", "assistant")
        elif kind == "end":
            if _has_failed(record):
                self._fail("response", _failure_of(record, None))
        elif kind == "error":
            self._fail("response" if self.is_open else "outside", record)  # type: ignore[arg-type]
        elif kind == "tool":
            self.has_history = True
        elif kind == "conversation":
            self.conversations += 1

    def _add_message(self, message: Message) -> None:
        self.has_history = True
        response: Any = message.get("response", {})
        role = message["role"]
        if role in ("assistant", "tool"):
            self.is_open = False
        if role in ("assistant", "user"):
            self.has_reply = role == "assistant"
        if _has_failed(response):
            self._failed_role = role
            self._fail("response", _failure_of(response, response.get("error")))
            return
        self._failures.pop("outside", None)
        if role in ("assistant", self._failed_role):
            self._failures.pop("response", None)

    def _fail(self, where: str, failure: ErrorRecord) -> None:
        if not 0 < failure["exit_status"] < 256:  # 0 is success, and a process cannot exit with more than 255
            failure = {**failure, "exit_status": 1}
        self._failures.setdefault(where, failure)

    @property
    def failure(self) -> ErrorRecord | None:
        """The first failure, as an `error` record; None for a stream that has not failed. Valid at the
        end of the stream: a response that is open then is cut off."""
        for failure in self._failures.values():
            return failure
        return _FAILURES["truncated"].to_record() if self.is_open else None

    @property
    def is_failing(self) -> bool:
        """Whether the stream has failed if this is its end."""
        return self.is_open or bool(self._failures)
