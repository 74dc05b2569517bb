"""The state of a stream: whether it has failed, of what, and whether there is a reply in it.

Rules:
* A stream has failed if its last response did, or if an `error` comes after its last complete
  message. A later complete reply heals it. A complete message needs no `end`. A paused reply is
  not complete: what continues it heals it.
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
"""The types of the records that are the conversation; the others tell how a response came."""

_FAILURES = {
    "ok": PausedError("the model paused and did not go on"),
    "cancelled": CancelledError("the reply was cancelled"),
    "truncated": TruncatedError("the reply was cut off"),
    "error": LlmToolsError("the reply failed"),
}
"""Status of a response -> its failure, where nothing else describes it."""


def is_paused(message: Message) -> bool:
    """Return whether the model paused in the message. What continues it is the model's too."""
    return message.get("response", {}).get("finish_reason") == "pause"


def _has_failed(outcome: Mapping[str, Any]) -> bool:
    return outcome.get("status", "ok") != "ok" or outcome.get("finish_reason") == "pause"


def _failure_of(outcome: Record, error: Record | None) -> ErrorRecord:
    """Return the `error` record that an `end` or a message's `response` stands for."""
    failure = _FAILURES[outcome.get("status", "ok")]
    exit_status = outcome.get("exit_status", failure.exit_status)
    return {**failure.to_record(), **(error or {}), "type": "error", "exit_status": exit_status}  # type: ignore[typeddict-item]


class StreamState:
    """The state of a stream so far, without its messages. `add` takes its records in order.

    conversations: how many `conversation` records came (each is a stream of its own).
    is_open: whether a response has begun whose message has not come. has_history: whether a
    message or a tool came. has_reply: whether an assistant message came after the last user message.
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
        if not 0 < failure["exit_status"] < 256:  # a process cannot end with it, or it would say success
            failure = {**failure, "exit_status": 1}
        self._failures.setdefault(where, failure)

    @property
    def failure(self) -> ErrorRecord | None:
        """The first failure, as an `error` record; None for a stream that has not failed. Ask at
        the end of the stream: a response that is still open counts as cut off."""
        for failure in self._failures.values():
            return failure
        return _FAILURES["truncated"].to_record() if self.is_open else None

    @property
    def is_failing(self) -> bool:
        """Whether the stream has failed, if it ended here."""
        return self.is_open or bool(self._failures)
