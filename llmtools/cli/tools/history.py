"""The stream of a loop: the input once, then what each run of the command added.

Rules:
* The command gets the whole history each round. Lines that it copies back are recognised by equality,
  in order, and not written again. Lines that it drops stay in the history.
* In the first round the history is passed on as the command copies it, so that what the command puts
  first (a system message) comes first.
* At the first event of the reply, and at the end, the rest of the history is passed on.
* Events, notices and errors of the input are passed on in their place. The command never sees them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...records.state import HISTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...records.types import Record


@dataclass(slots=True)
class HistoryEntry:
    """A record of the history, its line, and whether the line is written."""

    record: Record
    line: bytes
    is_written: bool = False


class History:
    """The conversation of a loop. `begin` starts a round; `feed` takes what the command writes."""

    def __init__(self) -> None:
        self._entries: list[HistoryEntry] = []
        self._place = 0

    def add(self, record: Record, line: bytes, *, is_written: bool = False) -> None:
        """Append a record of the input or of a round."""
        self._entries.append(HistoryEntry(record, line, is_written))

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
        """Take a line that the command wrote; return the lines to write."""
        kind = record["type"]
        if kind == "notice":
            return [line]
        if kind not in HISTORY:
            return [*self.rest(), line]
        for place in range(self._place, len(self._entries)):
            if self._entries[place].line == line or self._entries[place].record == record:
                return self._until(place + 1)
        before = self.rest() if record.get("role") in ("assistant", "tool") else []
        self._entries.insert(self._place, HistoryEntry(record, line, True))
        self._place += 1
        return [*before, line]

    def rest(self) -> list[bytes]:
        """Return the lines that the command has not copied and that are not written yet."""
        return self._until(len(self._entries))

    def _until(self, end: int) -> list[bytes]:
        passed = self._entries[self._place : end]
        self._place = end
        lines = [entry.line for entry in passed if not entry.is_written]
        for entry in passed:
            entry.is_written = True
        return lines
