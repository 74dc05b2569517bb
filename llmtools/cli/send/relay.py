"""What llm-send passes on of the stream it reads, and where it keeps the conversation.

Rules:
* History goes on at once, byte for byte. The events of an earlier response wait for its
  message: a complete one replaces them, a failed stream is passed on whole.
* A file is written beside its name and put there at the end, in one step.
"""

from __future__ import annotations

import os
import stat

from ...errors import CreateError, OutputError
from ...records.conversation import HISTORY, Conversation, text_of
from ...records.jsonl import dumps
from ..msg.compose import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...records.types import Message, Record

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
        instructions = system(self._instructions)
        is_there = message is not None and starts_with([message], instructions)  # type: ignore[list-item]
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


def starts_with(messages: list[Message], instructions: Message) -> bool:
    """Whether the first message is the system message `instructions`."""
    return bool(messages) and messages[0]["role"] == "system" and text_of(messages[0]) == text_of(instructions)


class SaveFile:
    """A file that appears, whole, when it is closed. Raises CreateError, OutputError.

    What is no regular file (a pipe, a terminal) is written to directly.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)
        self._temporary: str | None = None
        self._is_broken = False
        flags, mode = os.O_WRONLY | os.O_CLOEXEC, 0o666
        try:
            try:
                found = os.stat(self.path)
                mode = stat.S_IMODE(found.st_mode)
            except FileNotFoundError:
                found = None
            if found is None or stat.S_ISREG(found.st_mode):
                self._temporary = f"{self.path}.{os.getpid()}.tmp"
                flags |= os.O_CREAT | os.O_EXCL
            self._descriptor = os.open(self._temporary or self.path, flags, mode)
        except OSError as error:
            raise CreateError(f"{path}: {error.strerror}") from None

    def write(self, line: bytes) -> None:
        """Write one line."""
        try:
            for data in (line, b"\n"):
                view = memoryview(data)
                while view:
                    view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            self._is_broken = True
            raise OutputError(f"{self.path}: {error.strerror}") from None

    def close(self) -> None:
        """Put the file in its place; after a write that failed, leave what was there before."""
        try:
            if self._temporary is not None and not self._is_broken:
                os.fsync(self._descriptor)
                os.replace(self._temporary, self.path)
                self._temporary = None
        except OSError as error:
            raise OutputError(f"{self.path}: {error.strerror}") from None
        finally:
            os.close(self._descriptor)
            if self._temporary is not None:
                os.unlink(self._temporary)
