"""llm-tools: offers tools to the model, runs the calls it makes, loops until it is done."""

from __future__ import annotations

import click

from ...errors import CancelledError, LlmToolsError
from ...tools.approval import Approval, ask_on_terminal
from ...tools.logins import log_in
from ...tools.process import CHILDREN, CallLimits
from ...tools.round import JOBS
from ...tools.toolset import Toolset
from ..main import main
from ..options import SECONDS, Command, filter_options, flag, needs_stream, option
from ..process import Process, StreamFailure
from .runner import COMMAND_PATIENCE, Runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXAMPLES = """
llm-msg user 'What is 12*34?' | llm-tools loop ./calc.py -- llm-send | llm-parts
llm-tools offer ./calc.py < talk.jsonl | llm-send | llm-tools run ./calc.py | llm-send
llm-tools list 'mcp:mcp-server-git --repository .'
llm-tools call ./calc.py multiply '{"a": 12, "b": 34}'
llm-msg user 'Where is main?' | llm-tools loop 'find: grep -rn -- {text} src' -- llm-send
"""
ACTIONS = ("list", "offer", "run", "loop", "call", "login")


class ToolsCommand(Command):
    """A command that keeps the words after `--` for the COMMAND of a loop."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take COMMAND away before click reads the options."""
        place = args.index("--") if "--" in args else len(args)
        ctx.meta["command"] = args[place + 1 :] if "loop" in args[:place] else []
        return super().parse_args(ctx, args[:place] if "loop" in args[:place] else args)


def _approval(process: Process, options: dict[str, Any]) -> Approval:
    if not options["ask"]:
        return Approval(allow=options["allow"], deny=options["deny"])
    from ...paths import data_folder
    from ..editor import edit_text, view_text

    def ask(question: str) -> str:
        with process.interruptible():
            return ask_on_terminal(question)

    patterns = {"allow": options["allow"], "deny": options["deny"]}
    return Approval(**patterns, ask=ask, edit=edit_text, view=view_text, folder=data_folder())


def _check_arguments(action: str, source: tuple[str, ...], loop_command: list[str], *, is_answering: bool) -> None:
    """Raise UsageError for arguments that do not fit the action. is_answering: whether the user says which calls
    may run; then no source is needed, because a provider's own tools may only wait for that."""
    if action == "call" and len(source) < 3:
        raise click.UsageError("call needs SOURCE, NAME and JSON")
    if not source and not (is_answering and action in ("run", "loop")):
        raise click.UsageError(f"{action} needs a SOURCE")
    if action == "login" and len(source) != 1:
        raise click.UsageError("login needs one SOURCE")
    if action == "loop" and not loop_command:
        raise click.UsageError("loop needs a COMMAND after --, such as: -- llm-send")


@click.command(
    name="llm-tools",
    cls=ToolsCommand,
    examples=EXAMPLES,
    short_help="Offer tools to a model and run its calls",
    context_settings={"max_content_width": 100},
)
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("source", nargs=-1)
@option(
    "--max-rounds",
    type=click.IntRange(min=0),
    metavar="N",
    default=10,
    help="Run the calls of at most N replies (loop).  [default: 10]",
)
@option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    default=JOBS,
    help="Run at most N calls at the same time.  [default: 8]",
)
@option(
    "--timeout",
    type=SECONDS,
    metavar="SECONDS",
    default=120,
    help="End a call that takes longer than SECONDS.  [default: 120]",
)
@option(
    "--max-output",
    type=click.IntRange(min=1),
    metavar="BYTES",
    default=1 << 20,
    help="Cut the output of a call after BYTES.  [default: 1048576]",
)
@flag("--ask", help="Ask on the terminal before each call.")
@option(
    "--allow",
    multiple=True,
    metavar="PATTERN",
    help="Run only tools that match PATTERN; with --ask, run them without asking.",
)
@option("--deny", multiple=True, metavar="PATTERN", help="Never run tools that match PATTERN.")
@option("-E", "--env", multiple=True, metavar="NAME", help="Give tools the environment variable NAME.")
@flag("--json", help="Write JSON (list, call).")
@filter_options
@click.pass_context
def command(ctx: click.Context, /, action: str, source: tuple[str, ...], **options: Any) -> None:
    """Work with tools: Python files, executables, command templates, MCP servers, @NAMES.

    \b
    list SOURCE...              list the tools
    offer SOURCE...             add the tools to the stream on stdin (a filter)
    run SOURCE...               run the pending calls, append the results (a filter)
    loop SOURCE... -- COMMAND   offer, then COMMAND and run in turn until the model calls no more
    call SOURCE... NAME JSON    run one tool
    login SOURCE                log in at an MCP server on the web
    """
    process: Process = ctx.obj
    names, call = (source[:-2], source[-2:]) if action == "call" else (source, ())
    _check_arguments(action, source, ctx.meta["command"], is_answering=options["ask"] or bool(options["allow"]))
    if action in ("offer", "run", "loop"):
        needs_stream(process, options["no_stdin"])
    process.writes_records = action in ("offer", "run", "loop")
    process.check_stdout()
    if action == "login":
        with process.interruptible():
            return process.say(log_in(names[0]))
    tools: Toolset | None = None
    limits = CallLimits(options["timeout"], options["max_output"])
    try:
        approve = _approval(process, options)
        jobs = options["jobs"]
        tools = Toolset(*names, env=options["env"], limits=limits, approve=approve, jobs=jobs, wait=False)
        runner = Runner(process, options, tools)
        if action == "loop":
            runner.loop(ctx.meta["command"])
        elif action == "call":
            runner.call(*call)
        else:
            getattr(runner, action)()
    except BaseException as error:
        if isinstance(error, CancelledError) or not isinstance(error, (LlmToolsError, StreamFailure)):
            CHILDREN.end(COMMAND_PATIENCE)
        raise
    finally:
        if tools is not None:
            tools.close()


def run() -> None:
    """The entry point."""
    main(command, writes_records=True)
