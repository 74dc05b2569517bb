"""The stream of a loop: the input once, then what each run of the command added.

Rules:
* The command gets the whole history each round. What it copies of that is known by being
  equal, in order, and is not written twice; what it left out is still ours.
* In the first round the history goes on as the command copies it, so that what it puts in
  front (a system message) stands in front.
* At the first event of the reply, and at the end, the rest of the history goes on.
* What else the input has, such as events, notices and errors, goes on in its place, and not to the command.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...records.state import HISTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Record


@dataclass(slots=True)
class Entry:
    """A record of the history, as a line, and whether it has gone on."""

    record: Record
    line: bytes
    is_written: bool = False


class History:
    """The conversation of a loop. `begin` starts a round; `feed` takes what the command writes."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._place = 0

    def add(self, record: Record, line: bytes, *, is_written: bool = False) -> None:
        """Put a record behind the others, one of the history or another."""
        self._entries.append(Entry(record, line, is_written))

    def lines(self) -> list[bytes]:
        """Return the whole history."""
        return [entry.line for entry in self._entries if entry.record["type"] in HISTORY]

    def records(self) -> list[Record]:
        """Return the whole history as records."""
        return [entry.record for entry in self._entries if entry.record["type"] in HISTORY]

    def begin(self) -> None:
        """Start a round."""
        self._place = 0

    def feed(self, record: Record, line: bytes) -> list[bytes]:
        """Take a line of the command's; return the lines that go on."""
        kind = record["type"]
        if kind == "notice":
            return [line]
        if kind not in HISTORY:
            return [*self.rest(), line]
        for place in range(self._place, len(self._entries)):
            if self._entries[place].line == line or self._entries[place].record == record:
                return self._until(place + 1)
        before = self.rest() if record.get("role") in ("assistant", "tool") else []
        self._entries.insert(self._place, Entry(record, line, True))
        self._place += 1
        return [*before, line]

    def rest(self) -> list[bytes]:
        """Return the lines that the command has not copied and that have not gone on."""
        return self._until(len(self._entries))

    def _until(self, end: int) -> list[bytes]:
        passed = self._entries[self._place : end]
        self._place = end
        lines = [entry.line for entry in passed if not entry.is_written]
        for entry in passed:
            entry.is_written = True
        return lines
