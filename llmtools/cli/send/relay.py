"""What llm-send passes on of the stream it reads.

Rules:
* History goes on at once, byte for byte. The events of an earlier response wait for its
  message: a complete one replaces them, a failed stream is passed on whole.
"""

from __future__ import annotations

from ...exchange.ask import starts_with
from ...records.build import build_message
from ...records.conversation import Conversation
from ...records.jsonl import dumps
from ...records.state import HISTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...records.types import Record

_DROPPED = frozenset(("event", "start", "reset", "end"))


class Relay:
    """Takes the records of the stream and says which lines go on.

    With `instructions`, a system message of that text becomes the stream's first message,
    unless it is that already. `keep` gets each line of history, in order.
    """

    def __init__(self, instructions: str | None = None, keep: Callable[[bytes], None] | None = None) -> None:
        self.conversation = Conversation()
        self._keep = keep or (lambda line: None)
        self._instructions = instructions
        self._held: list[tuple[str, bytes]] = []

    def feed(self, record: Record, raw: bytes) -> list[bytes]:
        """Take the next record; return the lines that go on now."""
        kind = record["type"]
        lines = self._instruct(record) if kind == "message" else []
        self.conversation.add(record)
        if kind in HISTORY:
            self._keep(raw)
        self._held.append(("event" if "part_index" in record else kind, raw))
        return lines if self.conversation.is_failing else lines + self.release(events=False)

    def _instruct(self, message: Record | None) -> list[bytes]:
        """Return the line of the system message, where it still has to be written."""
        if self._instructions is None:
            return []
        instructions = build_message("system", self._instructions)
        is_there = message is not None and starts_with([message], self._instructions)  # type: ignore[list-item]
        self._instructions = None
        if is_there:
            return []
        self.conversation.add(instructions)  # type: ignore[arg-type]
        line = dumps(instructions)
        self._keep(line)
        return [line]

    def eof(self) -> list[bytes]:
        """Return the system message of a stream that has no other message."""
        if self.conversation.conversations or self.conversation.is_failing:
            return []
        return self._instruct(None)

    def release(self, *, events: bool) -> list[bytes]:
        """Return the lines that were held back, with or without the events among them."""
        held, self._held = self._held, []
        return [raw for kind, raw in held if events or kind not in _DROPPED]
