"""llm-log as a filter: passes a stream on and stores it."""

from __future__ import annotations

from ...errors import InputError, LlmToolsError, OutputError
from ...records.conversation import conversation_of
from ...records.state import StreamState
from ..process import Process, StreamFailure
from .place import given_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...errors import ErrorRecord
    from ...log.recorder import Recorder
    from ...log.store import Store
    from ...records.jsonl import Line


class Filter:
    """Passes a stream on and stores it. `status` is what conversation records ended with."""

    def __init__(self, process: Process, given: dict[str, Any], recorder: Recorder) -> None:
        self.process = process
        self.given = given
        self.recorder = recorder
        self.state = StreamState()
        self.failure: ErrorRecord | None = None
        self._store: Store | None = None
        self._lost: LlmToolsError | None = None
        self._full: OutputError | None = None

    def open(self) -> None:
        """Open the log, with --require before anything is read."""
        try:
            from ...log.store import Store

            self._store = Store(given_path(self.given))
            if self.given["require"]:
                self._store.check()
        except (ImportError, LlmToolsError) as error:
            self._lose(error if isinstance(error, LlmToolsError) else OutputError(str(error)))
            if self.given["require"]:
                raise self._lost from None  # type: ignore[misc]

    def _lose(self, error: LlmToolsError) -> None:
        """Give the storing up, and say so once; the stream goes on."""
        self._lost = error
        if not self.given["require"]:
            self.process.say(f"not stored: {error.message}")

    def read(self) -> None:
        """Pass the stream on, each `end` and each conversation record when it is stored."""
        for lines in self.process.batches(self.given["wait"]):
            held, raw = self._take(lines), [raw for _, raw in lines]
            lines.clear()  # a record may be large
            self._pass_on(raw[:held])
            if self._store is None and self._lost is None and self.recorder.unsaved_conversations():
                self.open()
            if held < len(raw):
                self.commit()
                self._pass_on(raw[held:])

    def _pass_on(self, lines: list[bytes]) -> None:
        """Write lines; where there is no room for them the rest of the stream is stored all the same."""
        if self._full is None:
            try:
                self.process.write_lines(lines)
            except OutputError as error:
                self._full = error

    def _take(self, lines: list[Line]) -> int:
        """Take some lines in; return how many of them may go on before they are stored."""
        held = len(lines)
        for place, (record, _) in enumerate(lines):
            self.state.add(record)
            kind = record["type"]
            if kind == "conversation":
                self.failure = self.failure or conversation_of(record).failure
            if kind in ("end", "conversation"):
                held = min(held, place)
            if self._lost is None:
                try:
                    self.recorder.feed(record)
                except InputError as error:  # what came before it is kept
                    self.commit()
                    self._lose(error)
        return held

    def commit(self) -> None:
        """Store what has come."""
        if self._lost is not None or not self.recorder.unsaved_conversations():
            return
        if self._store is None:
            self.open()
        try:
            if self._store is not None:
                self._store.write(self.recorder.unsaved_conversations(), self.given["name"])
        except LlmToolsError as error:
            self._lose(error)

    def close(self, *, is_left: bool) -> None:
        """Store what is left, be it half a reply: it is cancelled where a signal came, or where
        who reads it has left."""
        if self._lost is None:
            self.recorder.eof(is_cancelled=is_left or self.process.signal is not None)
        self.commit()
        if self._store is not None:
            if self.process.verbose and self._lost is None and self.recorder.conversation.depth:
                self.process.say(f"stored {self.recorder.conversation.hash.hex()}")
            self._store.close()

    def finish(self) -> None:
        """Fail where something could not be written, or was required and not stored, or as the stream did."""
        if self._full is not None:
            raise self._full
        if self._lost is not None and self.given["require"]:
            raise self._lost
        failure = self.state.failure or self.failure
        if failure is not None:
            raise StreamFailure(failure)
