"""llm-log as a filter: passes a stream on and stores it."""

from __future__ import annotations

from ...errors import InputError, LlmToolsError, OutputError
from ...records.conversation import conversation_of
from ...records.state import StreamState
from ..process import Process, StreamFailure
from .place import log_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...errors import ErrorRecord
    from ...log.recorder import Recorder
    from ...log.store import Store
    from ...records.jsonl import Line


class LogFilter:
    """Passes a stream on and stores it."""

    def __init__(self, process: Process, options: dict[str, Any], recorder: Recorder) -> None:
        self.process = process
        self.options = options
        self.recorder = recorder
        self.state = StreamState()
        self.failure: ErrorRecord | None = None
        self._store: Store | None = None
        self._lost: LlmToolsError | None = None
        self._full: OutputError | None = None

    def open(self) -> None:
        """Open the log; with --require before stdin is read."""
        try:
            from ...log.store import Store

            self._store = Store(log_path(self.options))
            if self.options["require"]:
                self._store.check()
        except (ImportError, LlmToolsError) as error:
            self._lose(error if isinstance(error, LlmToolsError) else OutputError(str(error)))
            if self.options["require"]:
                raise self._lost from None  # type: ignore[misc]

    def _lose(self, error: LlmToolsError) -> None:
        """Stop storing, and report it once; the stream is still passed on."""
        self._lost = error
        if not self.options["require"]:
            self.process.say(f"not stored: {error.message}")

    def read(self) -> None:
        """Pass the stream on; an `end` or a conversation record only after it is stored."""
        for lines in self.process.batches(self.options["wait"]):
            first, raw = self._take(lines), [raw for _, raw in lines]
            lines.clear()  # a record may be large
            self._pass_on(raw[:first])
            if self._store is None and self._lost is None and self.recorder.unsaved_conversations():
                self.open()
            if first < len(raw):
                self.commit()
                self._pass_on(raw[first:])

    def _pass_on(self, lines: list[bytes]) -> None:
        """Write lines. After a write error the rest of the stream is still stored."""
        if self._full is None:
            try:
                self.process.write_lines(lines)
            except OutputError as error:
                self._full = error

    def _take(self, lines: list[Line]) -> int:
        """Take lines; return how many of them may be written before they are stored."""
        first = len(lines)
        for place, (record, _) in enumerate(lines):
            self.state.add(record)
            kind = record["type"]
            if kind == "conversation":
                self.failure = self.failure or conversation_of(record).failure
            if kind in ("end", "conversation"):
                first = min(first, place)
            if self._lost is None:
                try:
                    self.recorder.feed(record)
                except InputError as error:  # what came before it is stored
                    self.commit()
                    self._lose(error)
        return first

    def commit(self) -> None:
        """Store what has come so far."""
        if self._lost is not None or not self.recorder.unsaved_conversations():
            return
        if self._store is None:
            self.open()
        try:
            if self._store is not None:
                self._store.write(self.recorder.unsaved_conversations(), self.options["name"])
        except LlmToolsError as error:
            self._lose(error)

    def close(self, *, is_left: bool) -> None:
        """Store the rest, also half a reply: it counts as cancelled after a signal, or if the reader left."""
        if self._lost is None:
            self.recorder.eof(is_cancelled=is_left or self.process.signal is not None)
        self.commit()
        if self._store is not None:
            if self.process.verbose and self._lost is None and self.recorder.conversation.depth:
                self.process.say(f"stored {self.recorder.conversation.hash.hex()}")
            self._store.close()

    def finish(self) -> None:
        """Raise the error of a failed write, of a failed --require, or of the stream."""
        if self._full is not None:
            raise self._full
        if self._lost is not None and self.options["require"]:
            raise self._lost
        if self.state.failure is not None:
            raise StreamFailure(self.state.failure)
        if self.failure is not None:  # of a conversation record, which has it
            self.process.status = self.failure["exit_status"]
