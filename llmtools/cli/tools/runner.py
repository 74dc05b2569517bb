"""The run of one llm-tools: its filters, its loop, and what needs no conversation."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from itertools import count

from ...errors import CancelledError, InputError, LlmToolsError, NoInputError, UsageError
from ...records.conversation import Conversation
from ...records.jsonl import Decoder, dumps, loads
from ...records.state import StreamState
from ...terminal import visible
from ...tools.calls import has_next_round, result_part
from ...tools.process import CHILDREN, describe_status
from ..process import GRACE, Process, StreamFailure
from .history import History

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ...records.jsonl import Line
    from ...records.types import Record
    from ...tools.toolset import Toolset

TICK = 0.001
"""Seconds for which the reader and the signals are looked at while results are waited for."""
PATIENCE = 0.5
"""Seconds between SIGTERM and SIGKILL for what runs when all of it is over."""


class Runner:
    """The run of one llm-tools."""

    def __init__(self, process: Process, given: dict[str, Any], tools: Toolset) -> None:
        self.process = process
        self.given = given
        self.tools = tools
        self.conversation = Conversation()

    # The filters

    def offer(self) -> None:
        """Copy the stream, with the tools behind it that it does not have."""
        self._copy(self._offered)
        self._ready()
        if self._has_stream():
            self.process.write_records(self._missing(self.conversation))

    def run(self) -> None:
        """Copy the stream, run the pending calls of its last reply, and append the results."""
        self._copy(self._answered)
        self._ready()
        if self._has_stream():
            for records in self._round(self.conversation):
                self.process.write_records(records)

    def _ready(self) -> None:
        """Wait for the tools; the sources are asked for them while the stream passes."""
        with self.process.interruptible():
            self.tools.ready()

    def _has_stream(self) -> bool:
        """Return whether there is a conversation to go on with. Raises StreamFailure."""
        failure = self.conversation.failure
        if failure is not None:
            raise StreamFailure(failure)
        if self.process.is_cut:
            raise self.process.cancelled()
        return not self.conversation.conversations or self.conversation.has_history

    def _copy(self, change: Callable[[Record, Conversation], Record]) -> None:
        if not self.given["no_stdin"] and self.process.stdin_kind() == "stream":
            self.process.copy(self.given["wait"], self.conversation, change)

    def _batches(self) -> Iterator[list[Line]]:
        if self.given["no_stdin"] or self.process.stdin_kind() != "stream":
            return iter(())
        return self.process.batches(self.given["wait"])

    def _offered(self, record: Record, inner: Conversation) -> Record:
        self._ready()
        missing = self._missing(inner)
        return {**record, "tools": [*record.get("tools", ()), *missing]} if missing else record

    def _answered(self, record: Record, inner: Conversation) -> Record:
        self._ready()
        message = None
        for records in self._round(inner):
            message = next((each for each in records if each["type"] == "message"), message)
        return record if message is None else {**record, "messages": [*record["messages"], message]}

    def _missing(self, conversation: Conversation) -> list[Record]:
        """Return the tools that the stream does not offer as they are."""
        return self.tools.missing(conversation.tools)

    def _round(self, conversation: Conversation) -> Iterator[list[Record]]:
        """Yield the records of the pending calls' results, none where nothing is pending."""
        turn = self.tools.round(conversation)
        if turn is None:
            return
        try:
            yield from turn.batches(lambda: self.process.sleep(TICK))
        except CancelledError:
            yield turn.end()
            CHILDREN.end(PATIENCE)

    # The loop

    def loop(self, command: list[str]) -> None:
        """Offer the tools; run COMMAND and the calls of its reply in turn, until there are none."""
        history = History()
        try:
            self._begin(history)
            self._take_turns(command, history)
        except (LlmToolsError, StreamFailure):
            self.process.write_lines(history.rest())
            raise

    def _begin(self, history: History) -> None:
        """Read the stream, and put the tools behind it that it does not have. Raises what there is
        no going on with."""
        for lines in self._batches():
            for record, raw in lines:
                self.conversation.add(record)
                history.add(record, raw)
        if self.conversation.conversations:
            raise InputError("a loop takes one conversation, and no conversation records")
        if not self._has_stream() or not self.conversation.messages:
            raise NoInputError("no message to answer in the stream")
        self._ready()
        for tool in self._missing(self.conversation):
            history.add(tool, dumps(tool))

    def _take_turns(self, command: list[str], history: History) -> None:
        if self.conversation.messages[-1]["role"] != "user" and self.conversation.pending_calls():
            self.process.write_lines(history.rest())  # a loop that was cut short goes on
            self._answer(self.conversation, history)
        for rounds in count():
            conversation = self._ask(command, history)
            if not has_next_round(conversation.pending_calls(), rounds, self.given["max_rounds"], "--max-rounds"):
                return
            self._answer(conversation, history)

    def _ask(self, command: list[str], history: History) -> Conversation:
        """Run COMMAND once and pass on what it adds; return the conversation then.

        Raises StreamFailure where it failed, having told so.
        """
        history.begin()
        heard = StreamState()
        before = sum(record.get("role") == "assistant" for record in history.records())
        with tempfile.TemporaryFile() as file:
            file.writelines(line + b"\n" for line in history.lines())
            file.seek(0)
            child, stdout = _started(command, file.fileno())
        is_whole = False
        try:
            wrong = self._pass_on(child, stdout, history, heard)
            is_whole = wrong is None and self.process.signal is None
        finally:
            os.close(stdout)
            status = self._ended(child, is_whole)
        self.process.write_lines(history.rest())
        conversation = Conversation(history.records())
        if self.process.signal is not None:
            raise self.process.cancelled() if heard.failure is None else StreamFailure(heard.failure)
        if heard.failure is not None:
            raise StreamFailure(heard.failure)
        has_reply = sum(record.get("role") == "assistant" for record in history.records()) > before
        name = command[0]
        if wrong is not None:
            raise InputError(f"what {name} printed is no stream: {wrong.message}")
        if status:
            error = LlmToolsError(f"{name} {describe_status(status)}")
            error.exit_status = status if 0 < status < 126 else 1
            raise error
        if not has_reply:
            raise NoInputError(f"{name} gave no reply")
        return conversation

    def _pass_on(
        self, child: subprocess.Popen[bytes], stdout: int, history: History, heard: StreamState
    ) -> InputError | None:
        """Write what COMMAND adds, as it comes; return what is wrong with it, if something is."""
        decoder = Decoder("its output")
        is_told = False
        for data in self.process.follow(stdout):
            if not is_told and self.process.signal_age > (0 if self.process.signal == signal.SIGTERM else GRACE / 2):
                is_told = True  # once: the second signal of the terminal's would kill it at once
                child.terminate()
            self._add(decoder.feed(data) if data else [], history, heard)
            if decoder.error:
                return decoder.error
        self._add(decoder.eof(), history, heard)
        return decoder.error

    def _add(self, lines: list[Line], history: History, heard: StreamState) -> None:
        out: list[bytes] = []
        for record, raw in lines:
            heard.add(record)
            out += history.feed(record, raw)
        self.process.write_lines(out)

    def _answer(self, conversation: Conversation, history: History) -> None:
        for records in self._round(conversation):
            self.process.write_records(records)
            for record in records:
                if record["type"] == "message":
                    history.add(record, dumps(record), is_written=True)
        if self.process.signal is not None:
            raise self.process.cancelled()

    def _ended(self, child: subprocess.Popen[bytes], is_whole: bool) -> int:
        """Return how COMMAND ended; after a whole stream it may take its time, otherwise it is ended."""
        with suppress(CancelledError):
            if is_whole:
                with self.process.interruptible():
                    return child.wait()
        try:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(GRACE)
        finally:
            child.kill()  # also where the time that a signal leaves is over
        return child.wait()

    # Without a conversation

    def list(self) -> None:
        """Write the tools: for people, or as records."""
        self._ready()
        if self.given["json"]:
            return self.process.write_records([dict(tool) for tool in self.tools.records.values()])
        lines = []
        for name, tool in self.tools.records.items():
            about = tool.get("description", "").strip().partition("\n")[0]
            lines.append(self._shown(f"{name}\t{about}".rstrip("\t")))
        self.process.write_lines(lines)

    def call(self, name: str, text: str) -> None:
        """Run one tool and write its output."""
        self._ready()
        arguments = loads(text.encode())
        if not isinstance(arguments, dict):
            raise UsageError("the arguments are not a JSON object")
        call = self.tools.new_call(name, arguments)
        with self.process.interruptible():
            result = self.tools.run_call(call)
        if self.given["json"]:
            self.process.write_records([result_part(name, call["tool_call_id"], result)])
        else:
            self.process.write(self._shown(result.output))
            if result.output and not result.output.endswith("\n"):
                self.process.write(b"\n")
        if result.exception is not None:
            raise LlmToolsError(f"{name}: {result.exception}")

    def _shown(self, text: str) -> bytes:
        """Return what a tool said, with control characters visible where it goes to a terminal."""
        return (visible(text) if self.process.is_terminal(1) else text).encode(errors="replace")


def _started(command: list[str], stdin: int) -> tuple[subprocess.Popen[bytes], int]:
    """Start COMMAND; return it, and the pipe that it writes to. Raises UsageError."""
    reader, writer = os.pipe()
    try:
        # What the user opened for COMMAND (--key-fd) it gets; ours are closed in it all the same.
        return subprocess.Popen(command, stdin=stdin, stdout=writer, close_fds=False), reader
    except (OSError, ValueError) as error:
        os.close(reader)
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{command[0]}: {said}") from None
    finally:
        os.close(writer)
