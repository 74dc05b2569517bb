"""The run of one llm-tools: its filters, its loop, and what needs no conversation."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from itertools import count

from ...errors import CancelledError, InputError, LlmToolsError, NoInputError, OutputError, UsageError
from ...records.conversation import Conversation
from ...records.jsonl import Decoder, dumps, loads
from ...records.state import StreamState
from ...tools.calls import has_next_round, result_part
from ...tools.process import CHILDREN, describe_status
from ..process import SIGNAL_GRACE, Process, StreamFailure
from .history import History

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO, Any

    from ...records.jsonl import Line
    from ...records.types import Record
    from ...tools.toolset import Toolset

ROUND_POLL = 0.001
"""Seconds between two checks of signals and of stdout's reader while results are awaited."""
COMMAND_PATIENCE = 0.5
"""Seconds between SIGTERM and SIGKILL for tools that still run at the end."""


class Runner:
    """The run of one llm-tools."""

    def __init__(self, process: Process, options: dict[str, Any], tools: Toolset) -> None:
        self.process = process
        self.options = options
        self.tools = tools
        self.conversation = Conversation()

    # The filters

    def offer(self) -> None:
        """Copy the stream, and append the tools that it does not have."""
        self._copy(self._offer_tools)
        self._ready()
        if self._has_stream():
            self.process.write_records(self._missing(self.conversation))

    def run(self) -> None:
        """Copy the stream, run the pending calls of its last reply, and append the results."""
        self._copy(self._answer_calls)
        self._ready()
        if self._has_stream():
            for records in self._round(self.conversation):
                self.process.write_records(records)

    def _ready(self) -> None:
        """Wait for the tools; the sources are asked for them while the stream passes."""
        with self.process.interruptible():
            self.tools.ready()
        for notice in self.tools.notices if not self.process.quiet else ():
            self.process.say(notice)
        self.tools.notices = []

    def _has_stream(self) -> bool:
        """Return whether there is a conversation to continue. Raises StreamFailure."""
        failure = self.conversation.failure
        if failure is not None:
            raise StreamFailure(failure)
        if self.process.is_cut:
            raise self.process.cancellation()
        return not self.conversation.conversations or self.conversation.has_history

    def _copy(self, change: Callable[[Record, Conversation], Record]) -> None:
        if not self.options["no_stdin"] and self.process.stdin_kind() == "stream":
            self.process.copy(self.options["wait"], self.conversation, change)

    def _batches(self) -> Iterator[list[Line]]:
        if self.options["no_stdin"] or self.process.stdin_kind() != "stream":
            return iter(())
        return self.process.batches(self.options["wait"])

    def _offer_tools(self, record: Record, inner: Conversation) -> Record:
        self._ready()
        missing = self._missing(inner)
        return {**record, "tools": [*record.get("tools", ()), *missing]} if missing else record

    def _answer_calls(self, record: Record, inner: Conversation) -> Record:
        self._ready()
        message = None
        for records in self._round(inner):
            message = next((each for each in records if each["type"] == "message"), message)
        return record if message is None else {**record, "messages": [*record["messages"], message]}

    def _missing(self, conversation: Conversation) -> list[Record]:
        """Return the tools that the stream does not have, or has in another form."""
        return self.tools.missing(conversation.tools)

    def _round(self, conversation: Conversation) -> Iterator[list[Record]]:
        """Yield the records of the pending calls' results; nothing without pending calls."""
        turn = self.tools.round(conversation)
        if turn is None:
            return
        try:
            yield from turn.batches(lambda: self.process.sleep(ROUND_POLL))
        except CancelledError:
            yield turn.end()
            CHILDREN.end(COMMAND_PATIENCE)

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
        """Read the stream, and append the tools that it does not have. Raises the stream's failure, and
        InputError or NoInputError for a stream that no loop can start from."""
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
            self.process.write_lines(history.rest())  # an interrupted loop continues
            self._answer(self.conversation, history)
        for rounds in count():
            conversation = self._ask(command, history)
            if not has_next_round(conversation.pending_calls(), rounds, self.options["max_rounds"], "--max-rounds"):
                return
            self._answer(conversation, history)

    def _ask(self, command: list[str], history: History) -> Conversation:
        """Run COMMAND once and pass on what it adds; return the conversation with it.

        Raises StreamFailure where COMMAND reported a failure.
        """
        history.begin()
        added = StreamState()
        before = sum(record.get("role") == "assistant" for record in history.records())
        with _file_of(history) as file:
            child, stdout = _start(command, file.fileno())
        CHILDREN.watch(child)
        is_whole = False
        try:
            wrong = self._pass_on(child, stdout, history, added)
            is_whole = wrong is None and self.process.signal is None
        finally:
            os.close(stdout)
            status = self._wait_for(child, is_whole)
            CHILDREN.unwatch(child)
        self.process.write_lines(history.rest())
        conversation = Conversation(history.records())
        if self.process.signal is not None:
            raise self.process.cancellation() if added.failure is None else StreamFailure(added.failure)
        if added.failure is not None:
            raise StreamFailure(added.failure)
        has_reply = sum(record.get("role") == "assistant" for record in history.records()) > before
        name = command[0]
        if wrong is not None:
            raise InputError(f"the output of {name} is not a stream: {wrong.message}")
        if status:
            error = LlmToolsError(f"{name} {describe_status(status)}")
            error.exit_status = status if 0 < status < 126 else 1
            raise error
        if not has_reply:
            raise NoInputError(f"{name} gave no reply")
        return conversation

    def _pass_on(
        self, child: subprocess.Popen[bytes], stdout: int, history: History, added: StreamState
    ) -> InputError | None:
        """Write what COMMAND adds, as it comes; return the error of output that is not a stream."""
        decoder = Decoder("its output")
        is_terminated = False
        for data in self.process.follow(stdout):
            if not is_terminated and self.process.signal_age > (
                0 if self.process.signal == signal.SIGTERM else SIGNAL_GRACE / 2
            ):
                is_terminated = True  # once: the second signal of the terminal's would kill it at once
                child.terminate()
            self._add(decoder.feed(data) if data else [], history, added)
            if decoder.error:
                return decoder.error
        self._add(decoder.eof(), history, added)
        return decoder.error

    def _add(self, lines: list[Line], history: History, added: StreamState) -> None:
        out: list[bytes] = []
        for record, raw in lines:
            added.add(record)
            out += history.feed(record, raw)
        self.process.write_lines(out)

    def _answer(self, conversation: Conversation, history: History) -> None:
        for records in self._round(conversation):
            self.process.write_records(records)
            for record in records:
                if record["type"] == "message":
                    history.add(record, dumps(record), is_written=True)
        if self.process.signal is not None:
            raise self.process.cancellation()

    def _wait_for(self, child: subprocess.Popen[bytes], is_whole: bool) -> int:
        """Return the status of COMMAND. After a whole stream it may take its time; otherwise it is ended."""
        with suppress(CancelledError):
            if is_whole:
                with self.process.interruptible():
                    return child.wait()
        try:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(SIGNAL_GRACE)
        finally:
            child.kill()  # also when a signal leaves no more time
        return child.wait()

    # Without a conversation

    def list(self) -> None:
        """Write the tools: for people, or as records."""
        self._ready()
        if self.options["json"]:
            return self.process.write_records([dict(tool) for tool in self.tools.records.values()])
        lines = []
        for name, tool in self.tools.records.items():
            about = tool.get("description", "").strip().partition("\n")[0]
            lines.append(self.process.visible(f"{name}\t{about}".rstrip("\t")))
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
        if self.options["json"]:
            self.process.write_records([result_part(name, call["tool_call_id"], result)])
        else:
            self.process.write(self.process.visible(result.output))
            if result.output and not result.output.endswith("\n"):
                self.process.write(b"\n")
        if result.exception is not None:
            raise LlmToolsError(f"{name}: {result.exception}")


@contextmanager
def _file_of(history: History) -> Iterator[IO[bytes]]:
    """Open a temporary file that has the history. Raises OutputError."""
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
        try:
            file.writelines(line + b"\n" for line in history.lines())
            file.seek(0)
        except BaseException:
            with suppress(OSError):  # it still has what could not be written
                file.close()
            raise
    except OSError as error:
        raise OutputError(f"a temporary file for the history (TMPDIR): {error.strerror}") from None
    with file:
        yield file


def _start(command: list[str], stdin: int) -> tuple[subprocess.Popen[bytes], int]:
    """Start COMMAND; return it, and the pipe that it writes to. Raises UsageError."""
    reader, writer = os.pipe()
    try:
        # COMMAND inherits what the user opened for it (--key-fd); our own descriptors are close-on-exec.
        return subprocess.Popen(command, stdin=stdin, stdout=writer, close_fds=False), reader
    except (OSError, ValueError) as error:
        os.close(reader)
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{command[0]}: {reason}") from None
    finally:
        os.close(writer)
