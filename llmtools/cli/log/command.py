"""llm-log: stores every conversation that passes, once, and returns it."""

from __future__ import annotations

import click

from ...records.check import ROLES
from ..main import main
from ..options import Command, filter_options, flag, needs_stream, option
from ..process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

EXAMPLES = """
llm-msg user hi | llm-send -m echo | llm-log | llm-parts
llm-log get last | llm-msg user 'shorter' | llm-send | llm-log | llm-parts
llm-log search 'Kraków weather' --role user
llm-log fork last~2 other-way
llm-log usage --by day --plot
"""


GROUPS = ("model", "day", "name")
MOST = (1 << 63) - 1


ACTIONS: dict[str, tuple[int, int | None, tuple[str, ...]]] = {
    "get": (0, 1, ()),
    "list": (0, 0, ("json", "since", "model", "limit")),
    "search": (1, None, ("json", "since", "model", "limit", "role", "tool", "name")),
    "tree": (0, 1, ("dot", "all")),
    "fork": (2, 2, ()),
    "rm": (1, None, ()),
    "gc": (0, 0, ()),
    "usage": (0, 0, ("json", "since", "model", "name", "by", "plot")),
    "export": (0, None, ()),
    "import": (1, None, ()),
    "verify": (0, 0, ()),
    "path": (0, 0, ()),
    "backup": (1, 1, ()),
}
"""Action -> the least and the most operands it takes, and the options that go with it."""
_METHODS = {"import": "import_"}
EVERYWHERE = ("database", "wait", "no_stdin", "color")
STREAMS = ("get", "export")


@click.command(
    name="llm-log",
    cls=Command,
    examples=EXAMPLES,
    short_help="Keep conversations, and get them back",
    context_settings={"max_content_width": 100},
)
@click.argument("action", required=False, type=click.Choice(tuple(ACTIONS)), metavar="[ACTION]")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@option("-d", "--database", metavar="FILE", help="Use the log in FILE.  [default: log.db in LLMTOOLS_DATA]")
@option("--name", metavar="NAME", help="Name the stored conversation; with search and usage: only this conversation.")
@flag("--require", help="Fail if the log cannot be written, before stdin is read.")
@flag("--json", help="Write JSON Lines.")
@option("--model", metavar="MODEL", help="Only replies of MODEL (list, search, usage).")
@option("--since", metavar="WHEN", help="Only from WHEN on: 2026-11-21, 7d, 12h (list, search, usage).")
@option("--role", type=click.Choice(ROLES), help="Only messages of this role (search).")
@option("--tool", metavar="TOOL", help="Only calls of TOOL and their results (search).")
@option(
    "--limit",
    type=click.IntRange(1, MOST),
    metavar="N",
    default=20,
    help="List at most N (list, search).  [default: 20]",
)
@flag("--all", help="Draw all graphs (tree).")
@flag("--dot", help="Write the graph for Graphviz (tree).")
@option(
    "--by",
    type=click.Choice(GROUPS),
    default="model",
    help="Print one sum for each model, day or name (usage).  [default: model]",
)
@flag("--plot", help="Draw bars (usage).")
@filter_options
@click.pass_context
def command(ctx: click.Context, /, action: str | None, words: tuple[str, ...], **options: Any) -> None:
    """Store the stream on stdin and pass it on.

    \b
    get [REF]             write the records of a conversation; REF is last, a name, or a hash
    list                  list the conversations, the newest first
    search WORD...        find messages by their words
    tree [REF]            draw the graph of a message
    fork REF NAME         name a message, so that a conversation can continue from there
    rm REF...             forget conversations
    gc                    delete what has no reference
    usage                 sum up tokens and dollars, by model, day or name
    export [REF...]       write conversations as records
    import FILE...        store a saved stream, an export, the log of llm, or another log
    verify                compute every hash again
    backup FILE           copy the whole log
    path                  print the path of the log
    """
    process: Process = ctx.obj
    process.writes_records = action is None or action in STREAMS
    _check(ctx, action or "", words)
    process.check_stdout()
    if action:
        run_action(process, options, action, words)
    else:
        run_filter(process, options)


def _check(ctx: click.Context, action: str, operands: tuple[str, ...]) -> None:
    """Refuse options and operands that do not go together."""
    least, most, options = ACTIONS.get(action, (0, 0, ("name", "require")))
    if len(operands) < least or (most is not None and len(operands) > most):
        raise click.UsageError(f"{action} takes {_count(least, most)}")
    for name in ctx.params:
        source = ctx.get_parameter_source(name)
        is_given = source is not None and source.name == "COMMANDLINE"
        if is_given and name not in ("action", "words", *EVERYWHERE, *options):
            raise click.UsageError(f"--{name.replace('_', '-')} does not go with {action or 'a stream'}")


def _count(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least} operand{'s' if least > 1 else ''}"
    return "no operand" if not most else f"{least} to {most} operands" if least != most else f"{least} operands"


def run_action(process: Process, options: dict[str, Any], action: str, operands: tuple[str, ...]) -> None:
    """Run an action."""
    from .actions import Reader

    reader = Reader(process, options)
    method: Callable[..., None] = getattr(reader, _METHODS.get(action, action))
    try:
        method(*operands)
    finally:
        reader.close()


def run_filter(process: Process, options: dict[str, Any]) -> None:
    """Store the stream on stdin and pass it on."""
    from ...log.recorder import Recorder
    from .filter import LogFilter

    needs_stream(process, options["no_stdin"])
    if options["name"] is not None:
        from ...log.store import check_name

        check_name(options["name"])
    passing = LogFilter(process, options, Recorder())
    if options["require"]:
        passing.open()
    is_left = False
    try:
        if not options["no_stdin"] and process.stdin_kind() == "stream":
            passing.read()
    except BrokenPipeError:
        is_left = True
        raise
    finally:
        passing.close(is_left=is_left)
    passing.finish()


def run() -> None:
    """The entry point."""
    main(command, writes_records=True)
