"""llm-tools: offers tools to the model, runs the calls it makes, loops until it is done."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress

import click

from ...errors import (
    CancelledError,
    InputError,
    LlmToolsError,
    NoInputError,
    RoundLimitError,
    UsageError,
)
from ...records.conversation import Conversation, from_record
from ...records.jsonl import Decoder, dumps, loads
from ...terminal import visible
from ...tools.approval import Approval, ask_on_terminal
from ...tools.process import CHILDREN, Limits, how_ended
from ...tools.round import JOBS, part_of, refusal
from ...tools.round import run as run_call
from ...tools.toolset import Toolset
from ..options import (
    Command,
    common,
    flag,
    needs_stream,
)
from ..process import (
    GRACE,
    Process,
    StreamFailure,
    main,
)
from .history import History

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ...records.jsonl import Line
    from ...records.types import Record

EXAMPLES = """
llm-msg user 'What is 12*34?' | llm-tools loop ./calc.py -- llm-send | llm-parts
llm-tools offer ./calc.py < talk.jsonl | llm-send | llm-tools run ./calc.py | llm-send
llm-tools list 'mcp:mcp-server-git --repository .'
llm-tools call ./calc.py multiply '{"a": 12, "b": 34}'
llm-msg user 'Where is main?' | llm-tools loop 'find: grep -rn -- {text} src' -- llm-send
"""
TICK = 0.001
"""Seconds for which the reader and the signals are looked at while results are waited for."""
PATIENCE = 0.5
"""Seconds between SIGTERM and SIGKILL for what runs when all of it is over."""
ACTIONS = ("list", "offer", "run", "loop", "call")


class ToolsCommand(Command):
    """A command that keeps what stands behind `--` for the command of a loop."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take COMMAND away before the options are read."""
        place = args.index("--") if "--" in args else len(args)
        ctx.meta["command"] = args[place + 1 :] if "loop" in args[:place] else []
        return super().parse_args(ctx, args[:place] if "loop" in args[:place] else args)


class Runner:
    """The run of one llm-tools."""

    def __init__(self, process: Process, given: dict[str, Any], tools: Toolset) -> None:
        self.process = process
        self.given = given
        self.tools = tools
        self.conversation = Conversation()
        self.status = 0

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
        """Wait for the tools, which the sources are asked for while the stream passes."""
        with self.process.interruptible():
            self.tools.ready()

    def _has_stream(self) -> bool:
        """Whether there is a conversation to go on with. Raises StreamFailure."""
        failure = self.conversation.failure
        if failure is not None:
            raise StreamFailure(failure)
        if self.process.is_cut:
            raise self.process.cancelled()
        return not self.conversation.conversations or self.conversation.has_history

    def _copy(self, changed: Any) -> None:
        """Pass the stream on as it comes; `changed` makes the new form of a conversation record."""
        for lines in self._batches():
            out = []
            for record, raw in lines:
                self.conversation.add(record)
                out.append(self._changed(record, changed) if record["type"] == "conversation" else raw)
            self.process.write_lines(out)

    def _batches(self) -> Iterator[list[Line]]:
        if self.given["no_stdin"] or self.process.stdin_kind() != "stream":
            return iter(())
        return self.process.batches(self.given["wait"])

    def _changed(self, record: Record, changed: Any) -> bytes:
        inner = from_record(record)
        if inner.failure is not None:
            self.status = self.status or inner.failure["exit_status"]
            return dumps(record)
        self._ready()
        return dumps(changed(record, inner))

    def _offered(self, record: Record, inner: Conversation) -> Record:
        missing = self._missing(inner)
        return {**record, "tools": [*record.get("tools", ()), *missing]} if missing else record

    def _answered(self, record: Record, inner: Conversation) -> Record:
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
        for number in range(self.given["max_rounds"] + 1):
            conversation = self._ask(command, history)
            calls = conversation.pending_calls()
            if not calls:
                return
            if number == self.given["max_rounds"]:
                raise RoundLimitError(f"the model still calls tools after {number} rounds (--max-rounds)")
            self._answer(conversation, history)

    def _ask(self, command: list[str], history: History) -> Conversation:
        """Run COMMAND once and pass on what it adds; return the conversation then.

        Raises StreamFailure where it failed, having told so.
        """
        history.begin()
        heard = Conversation()
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
            error = LlmToolsError(f"{name} {how_ended(status)}")
            error.exit_status = status if 0 < status < 126 else 1
            raise error
        if not has_reply:
            raise NoInputError(f"{name} gave no reply")
        return conversation

    def _pass_on(
        self, child: subprocess.Popen[bytes], stdout: int, history: History, heard: Conversation
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

    def _add(self, lines: list[Line], history: History, heard: Conversation) -> None:
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
        if name not in self.tools.owners:
            raise UsageError(f"no tool {name}: there are {', '.join(self.tools.owners)}")
        arguments = loads(text.encode())
        if not isinstance(arguments, dict):
            raise UsageError("the arguments are not a JSON object")
        call = {"type": "tool_call", "name": name, "arguments": arguments, "tool_call_id": "~0"}
        if why := refusal(call, self.tools.records, self.tools):
            raise InputError(why)
        call = self.tools.approved(call)
        with self.process.interruptible():
            result = run_call(call, self.tools, self.tools.limits)
        if self.given["json"]:
            self.process.write_records([part_of(call, result)])
        else:
            self.process.write(self._shown(result.output))
            if result.output and not result.output.endswith("\n"):
                self.process.write(b"\n")
        if result.exception is not None:
            raise LlmToolsError(f"{name}: {result.exception}")

    def _shown(self, text: str) -> bytes:
        """Return what a tool said, with control characters visible where it goes to a terminal."""
        return (visible(text) if self.process.is_terminal(1) else text).encode(errors="replace")


def _approval(process: Process, given: dict[str, Any]) -> Approval:
    if not given["ask"]:
        return Approval(allow=given["allow"], deny=given["deny"])
    from ...providers.config import data_folder
    from ..editor import edited

    def ask(question: str) -> str:
        with process.interruptible():
            return ask_on_terminal(question)

    return Approval(allow=given["allow"], deny=given["deny"], ask=ask, edit=edited, folder=data_folder())


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


@click.command(
    name="llm-tools",
    cls=ToolsCommand,
    examples=EXAMPLES,
    short_help="Offer tools to a model and run its calls",
    context_settings={"max_content_width": 100},
)
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("source", nargs=-1)
@click.option(
    "--max-rounds", type=click.IntRange(min=0), metavar="N", default=10, help="Rounds of a loop.  [default: 10]"
)
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), metavar="N", default=JOBS, help="Calls at once.  [default: 8]"
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    default=120,
    help="The most that a call may take.  [default: 120]",
)
@click.option(
    "--max-output",
    type=click.IntRange(min=1),
    metavar="BYTES",
    default=1 << 20,
    help="The most that a call may say.  [default: 1048576]",
)
@flag("--ask", help="Ask on the terminal before each call.")
@click.option(
    "--allow", multiple=True, metavar="PATTERN", help="Run only these tools; with --ask, do not ask for them."
)
@click.option("--deny", multiple=True, metavar="PATTERN", help="Never run these tools.")
@click.option("-E", "--env", multiple=True, metavar="NAME", help="Give tools the environment variable NAME.")
@flag("--json", help="list, call: write records.")
@common
@click.pass_context
def command(ctx: click.Context, /, action: str, source: tuple[str, ...], **options: Any) -> None:
    """Work with tools: Python files, executables, command templates, MCP servers, @NAMES.

    \b
    list SOURCE...              the tools there are
    offer SOURCE...             filter: offer them to the model
    run SOURCE...               filter: run the pending calls, append the results
    loop SOURCE... -- COMMAND   offer, then COMMAND and run in turn until the model is done
    call SOURCE... NAME JSON    run one tool
    """
    process: Process = ctx.obj
    names, asked = (source[:-2], source[-2:]) if action == "call" else (source, ())
    if action == "call" and len(source) < 3:
        raise click.UsageError("call wants SOURCE, NAME and JSON")
    if not names:
        raise click.UsageError(f"{action}: which SOURCE?")
    if action == "loop" and not ctx.meta["command"]:
        raise click.UsageError("loop wants a COMMAND behind --, such as: -- llm-send")
    if action in ("offer", "run", "loop"):
        needs_stream(process, options["no_stdin"])
    process.writes_records = action in ("offer", "run", "loop")
    process.check_stdout()
    tools: Toolset | None = None
    limits = Limits(options["timeout"], options["max_output"])
    try:
        approve = _approval(process, options)
        jobs = options["jobs"]
        tools = Toolset(*names, env=options["env"], limits=limits, approve=approve, jobs=jobs, wait=False)
        runner = Runner(process, options, tools)
        if action == "loop":
            runner.loop(ctx.meta["command"])
        elif action == "call":
            runner.call(*asked)
        else:
            getattr(runner, action)()
    except BaseException as error:
        if isinstance(error, CancelledError) or not isinstance(error, (LlmToolsError, StreamFailure)):
            CHILDREN.end(PATIENCE)
        raise
    finally:
        if tools is not None:
            tools.close()
    if runner.status:
        ctx.exit(runner.status)


def run() -> None:
    """The entry point."""
    main(command, writes_records=True)
