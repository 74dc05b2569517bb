"""llm-parts: selects parts of a stream and prints them."""

from __future__ import annotations

import click

from ...errors import NoInputError
from ...records.check import ROLES
from ...records.conversation import Conversation, conversation_of, total_usage
from ...records.jsonl import dumps
from ...terminal import visible, visible_json, wants_colour
from ..main import main
from ..options import Command, filter_options, flag, needs_stream, option
from ..process import Process, StreamFailure
from .select import (
    TYPES,
    Selection,
    extract,
    join_lines,
    json_values,
    part_bytes,
    save_attachments,
    text_of_parts,
    turn,
)
from .view import (
    QUIET,
    EventLines,
    PeopleView,
    View,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import ErrorRecord, Message

EXAMPLES = """
llm-msg user 'hi' | llm-send -m echo | llm-parts
llm-msg user 'hi' | llm-send -m echo | llm-parts --type text
llm-parts --json -t tool_call < talk.jsonl
llm-msg user 'Write fizzbuzz' | llm-send | llm-parts -x > fizzbuzz.py
"""
LIVE = ("text", "reasoning", "refusal")


class Printer:
    """Prints what the options ask for: the reply while it comes, or whole messages at the end."""

    def __init__(self, process: Process, options: dict[str, Any]) -> None:
        self.process = process
        self.options = options
        self.failure: ErrorRecord | None = None
        self.has_reply = False
        types, roles = _names(options["type"]), _names(options["role"])
        if unknown := set(roles) - set(ROLES):
            raise click.UsageError(f"--role {', '.join(unknown)}: the roles are {', '.join(ROLES)}")
        self.types = types
        has_form = any(options[name] for name in ("json", "events", "usage", "extract", "extract_last"))
        is_narrowed = any(options[name] for name in ("whole", "last", "all")) or bool(roles)
        self._is_json = bool(options["json"] or options["events"])
        self._is_terminal = process.is_terminal(1)
        if not has_form and len(types) > 1 and not self._is_terminal:
            raise click.UsageError("several types in one pipe need --json")
        self._is_live = not is_narrowed and set(types) <= set(LIVE) and (options["events"] or not has_form)
        self._is_for_people = self._is_live and self._is_terminal and not types and not has_form
        shown = types if types or options["json"] else ("text",)
        reasoning = not options["no_reasoning"]
        self.selection = Selection(shown, roles, options["all"], options["last"], options["whole"], reasoning)
        self._last = b"\n"

    def view(self) -> View:
        """Return the view that reads the stream."""
        keep = bool(self.options["save"]) or not self._is_live
        if not self._is_live:
            return View((), keep=keep)
        if self.options["events"]:
            return EventLines(keep=keep)
        if self._is_for_people:
            colour = wants_colour(self.options["color"], self.process.is_terminal(2))
            return PeopleView(colour=colour, reasoning=self.selection.reasoning, keep=keep)
        return View(self.selection.types, keep=keep)

    def read(self, view: View) -> None:
        """Print the reply as it comes; from a regular file, after all of it was read."""
        is_file = self.process.is_file()
        quiet = None if is_file else lambda: QUIET if view.is_waiting else None
        for lines in self.process.batches(self.options["wait"], quiet):
            view.feed(lines)
            if not is_file:
                self._print(view.take(is_quiet=not lines))
            if view.conversation.conversations:
                for record, _ in lines:
                    if record["type"] == "conversation":
                        self._print_whole(conversation_of(record))

    def finish(self, view: View) -> None:
        """Print what waited for the end, and end the last line."""
        self._print(view.take(is_end=True))
        conversation = view.conversation
        if conversation.conversations and not conversation.has_history:
            self.failure = self.failure or conversation.failure
        elif self._is_live:
            self.has_reply = self.has_reply or bool(conversation.reply) or conversation.is_open
            self.failure = self.failure or conversation.failure
            self._save(turn(conversation))
            self._close()
        else:
            self._print_whole(conversation)

    def _print(self, pieces: list[tuple[int, str]]) -> None:
        for descriptor, text in pieces:
            if descriptor == 1:
                self._write(text.encode())
            elif self._is_for_people and not self.process.quiet:
                self.process.write(text.encode(errors="replace"), 2)
            elif not self.process.quiet:
                self.process.say(text)

    def _write(self, data: bytes) -> None:
        if data:
            self._last = data[-1:]
            if self._is_terminal and not self.options["raw"]:
                data = visible_json(data) if self._is_json else visible(data.decode(errors="replace")).encode()
            self.process.write(data)

    def _close(self) -> None:
        """End the reply of one conversation: with NUL, or with a newline if it has none."""
        if self.options["null"]:
            self.process.write(b"\0")
            self._last = b"\n"
        elif self._last != b"\n" and (self._is_live or self.types != ("attachment",)):
            self._write(b"\n")

    def _print_whole(self, conversation: Conversation) -> None:
        messages = self.selection.messages(conversation)
        self.has_reply = self.has_reply or bool(messages)
        self.failure = self.failure or conversation.failure
        if self.options["json"] and not self.options["usage"]:
            for value in json_values(messages, self.selection):
                self._write(dumps(value) + b"\n")
        else:
            self._write(self._format(messages))
        self._save(messages)
        self._close()

    def _format(self, messages: list[Message]) -> bytes:
        """Return whole messages in the form that the options ask for."""
        options, selection = self.options, self.selection
        if options["usage"]:
            return dumps({"input": 0, "output": 0, **total_usage(messages)}) + b"\n"
        if options["extract"] or options["extract_last"]:
            text = text_of_parts(messages, selection).decode()
            return extract(text, last=options["extract_last"]).encode()
        if self.types == ("attachment",):
            return self._attachments(messages)
        if set(self.types) <= set(LIVE):
            lines = text_of_parts(messages, selection)
            return lines[:-1] if options["null"] else lines
        return join_lines(map(part_bytes, selection.parts(messages)))

    def _attachments(self, messages: list[Message]) -> bytes:
        if self.options["save"]:
            return b""
        if self._is_terminal and not self.options["raw"]:
            raise click.UsageError("attachments are not printed on a terminal: redirect them, or use --save DIR")
        return b"".join(map(part_bytes, self.selection.parts(messages)))

    def _save(self, messages: list[Message]) -> None:
        if not self.options["save"]:
            return
        paths = save_attachments(messages, self.options["save"])
        if self.types == ("attachment",):
            end = b"\0" if self.options["null"] else b"\n"
            self._write(b"".join([path.encode() + end for path in paths]))
        elif not self.process.quiet:
            for path in paths:
                self.process.say(f"saved {path}")


def _names(lists: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for names in lists for name in names.split(",") if name.strip())


@click.command(
    name="llm-parts",
    cls=Command,
    examples=EXAMPLES,
    short_help="Print parts of a conversation",
    context_settings={"max_content_width": 100},
)
@option("-t", "--type", multiple=True, metavar="TYPE,…", help=f"Print parts of these types: {', '.join(TYPES)}.")
@option("--role", multiple=True, metavar="ROLE,…", help="Print messages of these roles of the whole conversation.")
@flag("--last", help="Print only the last selected message.")
@flag("--all", help="Print the whole conversation, not only the reply.")
@flag("--json", help="Print whole parts as JSON Lines; with a schema, the answer.")
@flag("--events", help="Print the events of the reply as they came.")
@flag("-0", "--null", help="End the reply of each conversation with NUL instead of a newline.")
@flag("-x", "--extract", help="Print the first fenced code block, or all text if there is none.")
@flag("--xl", "extract_last", help="Print the last fenced code block, or all text if there is none.")
@option("--save", metavar="DIR", help="Write attachments to files in DIR.")
@flag("-R", "--no-reasoning", help="Leave reasoning out.")
@flag("--usage", help="Print the number of tokens as a JSON object.")
@flag("--whole", help="Print only complete messages.")
@flag("--raw", help="Do not change control characters on a terminal.")
@filter_options
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Print the reply, as it comes: the messages of the model after the last user message.

    On a terminal it is shown for people; in a pipe it is the text alone.
    """
    process: Process = ctx.obj
    needs_stream(process, options["no_stdin"])
    process.check_stdout()
    printer = Printer(process, options)
    view = printer.view()
    try:
        if not options["no_stdin"] and process.stdin_kind() == "stream":
            printer.read(view)
    finally:
        printer.finish(view)
    if printer.failure is not None:
        raise StreamFailure(printer.failure)
    if not printer.has_reply:
        raise NoInputError("there is no reply in the stream")


def run() -> None:
    """The entry point."""
    main(command, writes_records=False)
