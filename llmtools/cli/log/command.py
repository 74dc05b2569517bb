"""llm-log: keeps every conversation that passes once, and gives it back."""

from __future__ import annotations

from pathlib import Path

import click

from ...errors import (
    InputError,
    LlmToolsError,
    NoInputError,
    OutputError,
)
from ...records.conversation import Conversation, from_record
from ...records.jsonl import dumps
from ...terminal import colour_wanted, visible
from ..options import (
    Command,
    common,
    flag,
    needs_stream,
)
from ..process import Process, StreamFailure, main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ...log.recorder import Recorder
    from ...log.store import Store
    from ...records.jsonl import Line
    from ...records.types import ErrorRecord

EXAMPLES = """
llm-msg user hi | llm-send -m echo | llm-log | llm-parts
llm-log get last | llm-msg user 'shorter' | llm-send | llm-log | llm-parts
llm-log search 'Kraków weather' --role user
llm-log fork last~2 other-way
llm-log usage --by day --plot
"""


ROLES = ("system", "user", "assistant", "tool")
GROUPS = ("model", "day", "name")
MOST = (1 << 63) - 1


class Filter:
    """Passes a stream on and stores it. `status` is what conversation records ended with."""

    def __init__(self, process: Process, given: dict[str, Any], recorder: Recorder) -> None:
        self.process = process
        self.given = given
        self.recorder = recorder
        self.conversation = Conversation()
        self.failure: ErrorRecord | None = None
        self._store: Store | None = None
        self._lost: LlmToolsError | None = None
        self._full: OutputError | None = None

    def open(self) -> None:
        """Open the log, with --require before anything is read."""
        try:
            from ...log.store import Store

            self._store = Store(_path(self.given))
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
            if self._store is None and self._lost is None and self.recorder.changed():
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
            self.conversation.add(record)
            kind = record["type"]
            if kind == "conversation":
                self.failure = self.failure or from_record(record).failure
            if kind in ("end", "conversation"):
                held = min(held, place)
            if self._lost is None:
                try:
                    self.recorder.feed(record)
                except InputError as error:  # what came before it is kept
                    self.commit()
                    self._lose(error)
        self.conversation.messages.clear()  # they are in the recorder
        return held

    def commit(self) -> None:
        """Store what has come."""
        if self._lost is not None or not self.recorder.changed():
            return
        if self._store is None:
            self.open()
        try:
            if self._store is not None:
                self._store.write(self.recorder.changed(), self.given["name"])
        except LlmToolsError as error:
            self._lose(error)

    def close(self, *, is_left: bool) -> None:
        """Store what is left, be it half a reply: it is cancelled where a signal came, or where
        who reads it has left."""
        if self._lost is None:
            self.recorder.eof(is_cancelled=is_left or self.process.signal is not None)
        self.commit()
        if self._store is not None:
            if self.process.verbose and self._lost is None and self.recorder.chain.depth:
                self.process.say(f"stored {self.recorder.chain.hash.hex()}")
            self._store.close()

    def finish(self) -> None:
        """Fail where something could not be written, or was required and not stored, or as the stream did."""
        if self._full is not None:
            raise self._full
        if self._lost is not None and self.given["require"]:
            raise self._lost
        failure = self.conversation.failure or self.failure
        if failure is not None:
            raise StreamFailure(failure)


class Reader:
    """The actions on what is stored."""

    def __init__(self, process: Process, given: dict[str, Any]) -> None:
        self.process = process
        self.given = given
        self._opened: list[Store] = []

    def _store(self, *, writes: bool = False, creates: bool = False) -> Store:
        from ...log.database import default_path
        from ...log.store import Store

        path = _path(self.given) or default_path()
        store = Store(path, writes=creates or (writes and path.exists()))
        self._opened.append(store)
        if store.said and not self.process.quiet:
            self.process.say(store.said)
        return store

    def close(self) -> None:
        """Let every log go, so that nothing but its one file is left."""
        for store in self._opened:
            store.close()

    def _write(self, lines: Iterable[bytes]) -> None:
        """Write lines as they are ready, some thousands in one write."""
        ready: list[bytes] = []
        for line in lines:
            ready.append(line)
            if len(ready) >= 1000 or len(line) > 1 << 18:
                self.process.write_lines(ready)
                ready = []
        self.process.write_lines(ready)

    def get(self, ref: str = "last") -> None:
        """Write the records of a conversation."""
        self._write(self._store().lines(ref))

    def list(self) -> None:
        """Write the conversations, the newest first."""
        from ...log.search import conversations, listed

        given = self.given
        rows = conversations(self._store(), given["limit"], since=self._since(), model=given["model"])
        self._write(dumps(row) if given["json"] else self._shown(listed(row)) for row in rows)

    def _since(self) -> int | None:
        from ...log.search import since

        return since(self.given["since"]) if self.given["since"] else None

    def _shown(self, line: str) -> bytes:
        """Return a line for people; on a terminal no character of it is a command."""
        return (visible(line) if self.process.is_terminal(1) else line).encode()

    def search(self, *words: str) -> None:
        """Write the messages that hold the words, the best match first."""
        from ...log.search import MARKS, found, search

        given, store = self.given, self._store()
        asked = {name: given[name] for name in ("model", "role", "tool", "name")}
        rows = search(store, " ".join(words), given["limit"], since=self._since(), **asked)
        if not rows:
            raise NoInputError("nothing found")
        if given["json"]:
            return self._write(store.message(row["node"]) for row in rows)
        wanted = colour_wanted(given["color"], self.process.is_terminal(1))
        marks = ("\x1b[1m", "\x1b[0m") if wanted else ("", "")
        for row in rows:
            line = self._shown(found(row))
            for mark, shown in zip(MARKS, marks, strict=True):
                line = line.replace(mark.encode(), shown.encode())
            self.process.write_lines([line])

    def tree(self, ref: str = "last") -> None:
        """Draw the graph that a message stands in."""
        from ...log import tree

        rows = tree.rows(self._store(), None if self.given["all"] else ref)
        self._write(map(self._shown, tree.dot(rows) if self.given["dot"] else tree.drawn(rows)))

    def fork(self, ref: str, name: str) -> None:
        """Give a name to a message, for a conversation to go on from there."""
        self._write([self._store(writes=True).fork(ref, name).encode()])

    def rm(self, *refs: str) -> None:
        """Forget conversations."""
        from ...log.upkeep import remove

        count = remove(self._store(writes=True), refs)
        if not self.process.quiet:
            self.process.say(f"removed {_several(count, 'reference')} (llm-log gc deletes what nothing refers to)")

    def gc(self) -> None:
        """Delete what nothing refers to."""
        from ...log.upkeep import collect

        gone = collect(self._store(writes=True))
        if not self.process.quiet:
            said = f"{_several(gone['messages'], 'message')} and {_several(gone['attachments'], 'attachment')}"
            self.process.say(f"deleted {said}, {max(gone['bytes'], 0)} bytes freed")

    def usage(self) -> None:
        """Write what was spent."""
        from ...log import usage

        given = self.given
        by = given["by"]
        rows = usage.usage(self._store(), by, since=self._since(), model=given["model"], name=given["name"])
        if given["json"]:
            return self._write(map(dumps, rows))
        self._write(map(self._shown, usage.bars(rows, by) if given["plot"] else usage.table(rows, by)))

    def export(self, *refs: str) -> None:
        """Write conversations as records."""
        from ...log.export import exported

        self._write(exported(self._store(), refs))

    def import_(self, *files: str) -> None:
        """Take in what other files hold."""
        from ...log.export import Importer

        importer = Importer(self._store(creates=True))
        try:
            for file in files:
                if file == "-":
                    importer.lines(self.process.chunks(self.given["wait"]), "stdin")
                else:
                    importer.file(Path(file))
        finally:
            messages, responses, attachments = importer.added
            if not self.process.quiet:
                counts = (messages, "message"), (responses, "response"), (attachments, "attachment")
                self.process.say("imported " + ", ".join(_several(*count) for count in counts))

    def verify(self) -> None:
        """Derive every hash again."""
        from ...log.upkeep import verify

        counts, wrong = verify(self._store())
        if wrong:
            for line in wrong[:-1]:
                self.process.say(line)
            raise InputError(wrong[-1])
        self._write([", ".join(_several(count, name[:-1]) for name, count in counts.items()).encode()])

    def path(self) -> None:
        """Write where the log is."""
        from ...log.database import default_path

        self._write([bytes(_path(self.given) or default_path())])

    def backup(self, file: str) -> None:
        """Write a copy of the log."""
        from ...log.upkeep import backup

        backup(self._store(), Path(file))


def _several(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _path(given: dict[str, Any]) -> Path | None:
    return Path(given["database"]).expanduser() if given["database"] else None


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
@click.option("-d", "--database", metavar="FILE", help="The log is in FILE.  [default: log.db in LLMTOOLS_DATA]")
@click.option("--name", metavar="NAME", help="The name that the conversation gets, or has.")
@flag("--require", help="Fail before anything is read if it cannot be stored.")
@flag("--json", help="Write JSON Lines.")
@click.option("--model", metavar="MODEL", help="Only what MODEL replied.")
@click.option("--since", metavar="WHEN", help="Only what is not older: 2026-11-21, 7d, 12h.")
@click.option("--role", type=click.Choice(ROLES), help="Only messages of this role.")
@click.option("--tool", metavar="TOOL", help="Only calls of TOOL and their results.")
@click.option("--limit", type=click.IntRange(1, MOST), metavar="N", default=20, help="At most N.  [default: 20]")
@flag("--all", help="All that there is, not only the graph of one message.")
@flag("--dot", help="Write the graph for graphviz.")
@click.option("--by", type=click.Choice(GROUPS), default="model", help="What to add up by.  [default: model]")
@flag("--plot", help="Draw bars.")
@common
@click.pass_context
def command(ctx: click.Context, /, action: str | None, words: tuple[str, ...], **given: Any) -> None:
    """Store the stream on stdin and pass it on.

    \b
    get [REF]             the records of a conversation: REF is last, a name, or a hash
    list                  the conversations, the newest first
    search WORD...        the messages that hold the words
    tree [REF]            the graph that a message stands in, drawn
    fork REF NAME         a name for a message: a conversation goes on from there
    rm REF...             forget conversations; gc deletes what nothing refers to
    usage                 tokens and dollars, by model, day or name
    export [REF...]       conversations as records
    import FILE...        a saved stream, an export, the log of llm, or another log
    verify                derive every hash again
    backup FILE           a copy of the whole log
    path                  where the log is
    """
    process: Process = ctx.obj
    process.writes_records = action is None or action in STREAMS
    _check(ctx, action or "", words)
    process.check_stdout()
    try:
        if action:
            run_action(process, given, action, words)
        else:
            run_filter(process, given)
    except OutputError as error:  # of the log: stdout may still be told, so that what follows fails too
        if process.writes_records and action:
            process.write_error(error)
        raise


def _check(ctx: click.Context, action: str, operands: tuple[str, ...]) -> None:
    """Refuse what does not go together."""
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


def run_action(process: Process, given: dict[str, Any], action: str, operands: tuple[str, ...]) -> None:
    """Do what is asked of the log."""
    reader = Reader(process, given)
    method: Callable[..., None] = getattr(reader, _METHODS.get(action, action))
    try:
        method(*operands)
    finally:
        reader.close()


def run_filter(process: Process, given: dict[str, Any]) -> None:
    """Store and pass on what is on stdin."""
    from ...log.recorder import Recorder

    needs_stream(process, given["no_stdin"])
    if given["name"] is not None:
        from ...log.store import check_name

        check_name(given["name"])
    passing = Filter(process, given, Recorder())
    if given["require"]:
        try:
            passing.open()
        except OutputError as error:
            process.write_error(error)
            raise
    is_left = False
    try:
        if not given["no_stdin"] and process.stdin_kind() == "stream":
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
