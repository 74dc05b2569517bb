"""One response as the records of a stream. No I/O.

Rules:
* A player emits events and `end`, or it raises. The order of the records is: start, events, error,
  message, end.
* The events before a failure are part of the message.
* A failure before the first event is an `error` without a response.
* Every record can be written, and read again: what nests too deep is left out of `start` and `end` with
  a notice, and of a part with a failure. It never costs the message.
"""

from __future__ import annotations

import os
import time

from ..errors import (
    CancelledError,
    FilteredError,
    InputError,
    LlmToolsError,
    PausedError,
    ProtocolError,
    RefusedError,
    TruncatedError,
    from_record,
)
from ..http.request import Emit
from ..records.build import notice, rfc3339
from ..records.fold import Fold
from ..records.mending import join_halves, make_writable, writable_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    from ..http.request import Open, Want
    from ..protocols.request import Request
    from ..records.conversation import Conversation
    from ..records.types import Message, Record

    class Player(Protocol):
        """The source of a reply: a model at an endpoint, or a built-in model."""

        provider: str

        @property
        def background_id(self) -> str:
            """The id of a reply that the server goes on with, "" if it does not."""

        def stop(self) -> Open:
            """Return the request that stops that reply."""

        def play(self, conversation: Conversation, request: Request) -> Iterator[Want]:
            """Yield wants until the reply is over. Raises the LlmToolsError of a reply that fails."""

        def known_end(self) -> dict[str, Any]:
            """Return the fields of `end` that are known before it comes."""


class ResponseRecords:
    """The records of one response. `next_want` passes on the wants of the player until the response is
    over. Then `failure` is its failure (None: success) and `message` its message (None: without one).

    may_pause: whether a reply that the model pauses will be continued.
    """

    def __init__(self, player: Player, conversation: Conversation, request: Request, *, may_pause: bool = True) -> None:
        self.failure: LlmToolsError | None = None
        self.message: Message | None = None
        self.is_over = False
        self._player = player
        self._request = request
        self._may_pause = may_pause
        self._steps: Any = iter(player.play(conversation, request))
        self._fold = Fold()
        self._start: Record | None = None
        self._end: Record | None = None
        self._begun = time.monotonic()
        self._first: float | None = None

    def age(self) -> float:
        """Return the seconds since the request."""
        return time.monotonic() - self._begun

    @property
    def is_paused(self) -> bool:
        """Whether the model paused, without a failure."""
        return self.failure is None and self._end is not None and self._end.get("finish_reason") == "pause"

    def next_want(self, answer: Any) -> Want | None:
        """Take the answer to the last want; return the next one, None after the last records."""
        while not self.is_over:
            try:
                want = None if self.failure is not None else self._steps.send(answer)
                if not isinstance(want, Emit):
                    return want if want is not None else Emit(self.finish())
                if records := self._take(want.records):
                    return Emit(records)
            except StopIteration:
                return Emit(self.finish())
            except LlmToolsError as error:
                self.failure = self.failure or error
            answer = None
        return None

    def cancel(self, error: LlmToolsError) -> list[Record]:
        """Cancel the response with an error; return its last records, an empty list if it is over. A reply
        with an `end` is complete, and does not fail."""
        if self.is_over:
            return []
        if self._end is None:
            self.failure = self.failure or error
        return self.finish()

    def _take(self, events: list[Record]) -> list[Record]:
        records: list[Record] = []
        for event in events:
            kind = event["type"]
            if kind == "end":
                self._end = event
            elif kind == "error":
                self.failure = from_record(event)  # type: ignore[arg-type]
                break
            elif kind == "start":
                event, dropped = writable_fields(event)
                records.append(self._open(event))
                records += _dropped_notices(dropped)
            else:
                if "part_index" in event and self._first is None:
                    self._first = time.monotonic()
                    if self._start is None:
                        records.append(self._open({}))
                try:
                    event = _writable_event(event)
                    self._fold.feed(event)
                except (InputError, ProtocolError) as error:
                    self.failure = self.failure or ProtocolError(error.message)
                    break
                records.append(event)
                if kind == "reset":
                    self._start = self._end = None
        return records

    def _open(self, event: Record) -> Record:
        start = {
            "type": "start",
            "response_id": event.get("response_id") or f"resp_{os.urandom(12).hex()}",
            "model": self._request.model,
            "provider": self._player.provider,
            "created": rfc3339(),
        }
        if request := self._request.record():
            start["request"] = request
        rest = {name: value for name, value in event.items() if name not in start}
        self._start = {**start, **rest}
        self._fold.feed(self._start)
        return self._start

    def finish(self) -> list[Record]:
        """End the response; return its last records."""
        self.is_over = True
        self.failure = self.failure or self._failure_of_end()
        records: list[Record] = []
        if self._start is None and self._end is not None:
            records.append(self._open({}))
        if self.failure is not None:
            details = {"model": self._request.model, "provider": self._player.provider}
            self.failure.details = {**details, **self.failure.details}
        if self.failure is not None and (self._start is None or not isinstance(self.failure, CancelledError)):
            record: Record = dict(self.failure.to_record())
            records.append(record)
            self._fold.feed(record)
        if self._start is None:
            return records
        end, dropped = self._end_record(self._start["response_id"])
        records += _dropped_notices(dropped)
        if end.get("finish_reason") == "length":
            records.append(notice("length", "the answer stopped at the length limit"))
        if self.is_paused:
            records.append(notice("pause", "the model paused; it is asked to continue"))
        self._fold.feed(end)
        self.message = self._fold.message()
        return [*records, self.message, end]  # type: ignore[list-item]

    def _failure_of_end(self) -> LlmToolsError | None:
        """Return the failure that the `end` means."""
        if self._end is None:
            return TruncatedError("the reply was cut off before its end")
        reason = self._end.get("finish_reason")
        if reason == "refusal":
            return RefusedError("the model refused")
        if reason == "content_filter":
            return FilteredError("a content filter withheld the answer")
        if reason == "pause" and not self._may_pause:
            return PausedError("the model paused and did not continue")
        return None

    def _end_record(self, response_id: str) -> tuple[Record, list[str]]:
        """Return the `end`, and the names of fields that cannot be written."""
        failure = self.failure
        end: Record = {"type": "end", "response_id": response_id, "status": "ok"}
        if failure is not None:
            end["status"] = failure.code if isinstance(failure, (CancelledError, TruncatedError)) else "error"
            end["exit_status"] = failure.exit_status
        end["finish_reason"] = "stop" if failure is None else "error"
        fields = {**self._player.known_end(), **(self._end or {})}  # also for a reply that is cut off
        details = fields.pop("details", {})
        filled, dropped = writable_fields(fields)
        end.update({name: value for name, value in filled.items() if name not in ("type", "status")})
        for issuer, values in details.items():
            filled, more = writable_fields(values)
            dropped += more
            if filled:
                end["details"] = {**end.get("details", {}), issuer: filled}
        timing = {"total": round(self.age(), 3)}
        if self._first is not None:
            timing = {"first": round(self._first - self._begun, 3), **timing}
        end["timing"] = timing
        return end, dropped


def _writable_event(event: Record) -> Record:
    """Return an event of a part with its halves of characters joined. Raises ProtocolError if it nests too deep."""
    if not any(isinstance(value, (dict, list)) for value in event.values()):
        return event
    try:
        whole: Record = make_writable(event)
    except InputError:
        raise ProtocolError(f"the provider sent a value that nests too deep, in the event {event['type']}") from None
    return whole


def _dropped_notices(names: list[str]) -> list[Record]:
    """Return a notice for each field of the provider's that is left out."""
    return [
        notice("dropped_details", f"{join_halves(name[:200])} of the provider was not kept: it nests too deep")
        for name in names
    ]
