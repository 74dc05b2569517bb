"""The built-in model `replay/FILE`: plays the replies of a saved stream.

Rules:
* The number of assistant messages in the conversation selects the reply: with none it is the first.
* A reply that failed fails again, after its events.
* With the option `timing`, the first event comes after its recorded time, and the rest of the
  recorded time is spread evenly over the other events.
"""

from __future__ import annotations

from ..errors import (
    CancelledError,
    NoInputError,
    TruncatedError,
    UsageError,
    from_record,
)
from ..http.request import Emit, Sleep
from ..records.fold import events_of
from ..records.jsonl import Decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..http.request import Want
    from ..protocols.request import Request
    from ..records.conversation import Conversation
    from ..records.types import Message, Record


class _SavedReply:
    """A reply of the file: its events, its message, its error and its end."""

    def __init__(self, start: Record) -> None:
        self.start = start
        self.events: list[Record] = []
        self.message: Message | None = None
        self.error: Record | None = None
        self.end: Record | None = None

    @property
    def outcome(self) -> dict[str, Any] | None:
        """The `end`, else the `response` of the message; None for a file that is cut off before both."""
        if self.end is not None:
            return self.end
        return None if self.message is None else dict(self.message.get("response", {}))

    @property
    def metadata(self) -> Record:
        source: Any = self.start if self.start or self.message is None else self.message
        return {"provider_metadata": source["provider_metadata"]} if "provider_metadata" in source else {}


class _Sorter:
    """Sorts the records of a stream into replies."""

    def __init__(self) -> None:
        self.replies: list[_SavedReply] = []
        self._current: _SavedReply | None = None
        self._is_open = False
        self._was_reset = False

    def add(self, record: Record) -> None:
        kind = record["type"]
        if kind == "start" and self._was_reset and self._current is not None:
            self._current.start = record  # the same reply starts again
            self._was_reset = False
        elif kind == "start":
            self._open(None if record.get("role") == "tool" else _SavedReply(record))
        elif kind == "message":
            self._add_message(record)
        elif self._current is None:
            if kind == "error":  # the reply has no start
                self._open(_SavedReply({}))
                self.replies[-1].error, self._current = record, None
        elif kind == "end":
            self._current.end = record
            self._current = None
        elif self._is_open and kind == "reset":
            self._current.events.clear()
            self._was_reset = True
        elif self._is_open and "part_index" in record:
            self._current.events.append(record)
        elif self._is_open and kind == "error":
            self._current.error = record

    def _open(self, saved: _SavedReply | None) -> None:
        self._current, self._is_open, self._was_reset = saved, saved is not None, False
        if saved is not None:
            self.replies.append(saved)

    def _add_message(self, record: Record) -> None:
        if record["role"] == "assistant":
            if not self._is_open or self._current is None:
                self._open(_SavedReply({}))
            self.replies[-1].message = record  # type: ignore[assignment]
        else:
            self._current = None
        self._is_open = False


def load_replies(path: str) -> list[_SavedReply]:
    """Return the replies of a saved stream, in order.

    Raises NoInputError for a file that cannot be read, InputError for one that is not a stream.
    """
    decoder = Decoder(path)
    try:
        with open(path, "rb") as file:
            lines = decoder.feed(file.read()) + decoder.eof()
    except OSError as error:
        raise NoInputError(f"replay/{path}: {error.strerror}") from None
    if decoder.error:
        raise decoder.error
    sorter = _Sorter()
    for record, _ in lines:
        sorter.add(record)
    return sorter.replies


def _is_timed(options: dict[str, Any]) -> bool:
    timing = options.get("timing", False)
    if type(timing) is not bool:
        raise UsageError("replay: the option timing is true or false")
    return timing


def reply(path: str, conversation: Conversation, request: Request) -> Iterator[Want]:
    """Yield wants: the events of the saved reply, and the delays between them.

    Raises NoInputError for a file with too few replies, and the error of a reply that failed.
    """
    replies = load_replies(path)
    place = sum(message["role"] == "assistant" for message in conversation.messages)
    if place >= len(replies):
        count = f"{len(replies)} " + ("reply" if len(replies) == 1 else "replies")
        raise NoInputError(f"replay/{path} has {count}; the conversation needs reply {place + 1}")
    saved = replies[place]
    if saved.error is not None and saved.message is None and not saved.start:
        raise from_record(saved.error)  # type: ignore[arg-type]
    yield Emit([{"type": "start", **saved.metadata} | _select(saved.start, "response_id")])
    yield from _play(saved, _is_timed(request.options))
    _fail_again(saved)
    outcome = saved.outcome or {}
    response: Any = saved.start or (saved.message or {"response": {}}).get("response", {})
    served = outcome.get("model_served") or response.get("model")
    end = {"type": "end", "status": "ok", **_select(outcome, "finish_reason", "finish_reason_raw", "usage", "details")}
    end |= {"model_served": served} if served else {}
    yield Emit([end | _select(saved.end or {}, "provider_metadata")])


def _select(source: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: source[name] for name in names if name in source}


def _fail_again(saved: _SavedReply) -> None:
    outcome = saved.outcome
    if saved.error is not None:
        raise from_record(saved.error)  # type: ignore[arg-type]
    if outcome is None or outcome.get("status") == "truncated":
        raise TruncatedError("the saved reply was cut off")
    if outcome.get("status") == "cancelled":
        raise CancelledError("the saved reply was cancelled")
    if outcome.get("status", "ok") != "ok":
        default = {"code": "failed", "message": "the saved reply failed", "exit_status": outcome["exit_status"]}
        raise from_record({"type": "error", **default, **outcome.get("error", {})})  # type: ignore[typeddict-item]


def _play(saved: _SavedReply, is_timed: bool) -> Iterator[Want]:
    events = saved.events
    if not events and saved.message is not None:
        events = events_of(saved.message)
    if not is_timed:
        yield Emit(events)
        return
    timing = (saved.outcome or {}).get("timing", {})
    pause = first = _seconds(timing.get("first", 0))
    for event in events:
        yield Sleep(pause)
        yield Emit([event])
        pause = max(_seconds(timing.get("total", 0)) - first, 0) / len(events)


def _seconds(value: float) -> float:
    """Return a time of the file as a pause: at most a day."""
    return float(min(max(value, 0), 86400))
