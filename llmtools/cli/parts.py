"""llm-parts: selects parts of a stream and prints them."""

from __future__ import annotations

import click

from ..conversation import Conversation, from_record
from ..errors import NoInputError
from ..jsonl import dumps
from ..parts import TYPES, extract, is_complete, plain, save_attachments, select, texts, total_usage, turn
from ..terminal import colour_wanted, visible
from ..view import QUIET, EventLines, PeopleView, View
from .options import Command, common, flag, needs_stream
from .run import Process, StreamFailure, main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..types import ErrorRecord, Message

EXAMPLES = """
llm-msg user 'hi' | llm-send -m echo | llm-parts
llm-msg user 'hi' | llm-send -m echo | llm-parts --type text
llm-parts --json -t tool_call < talk.jsonl
llm-msg user 'Write fizzbuzz' | llm-send | llm-parts -x > fizzbuzz.py
"""
LIVE = ("text", "reasoning", "refusal")
ROLES = ("system", "user", "assistant", "tool")


class Printer:
    """Prints what the options ask for."""

    def __init__(self, process: Process, given: dict[str, Any]) -> None:
        self.process = process
        self.given = given
        self.types: tuple[str, ...] = _names(given["type"], TYPES, "--type")
        self.roles: tuple[str, ...] = _names(given["role"], ROLES, "--role")
        self.failure: ErrorRecord | None = None
        self.has_reply = False
        self._last = b"\n"
        self._is_terminal = process.is_terminal(1)
        if self._is_text and len(self.types) > 1 and not self._is_terminal:
            raise click.UsageError("several types in one pipe need --json")

    @property
    def _is_text(self) -> bool:
        """Whether plain text is asked for, no other form."""
        return not any(self.given[name] for name in ("json", "events", "usage", "extract", "extract_last"))

    @property
    def _is_for_people(self) -> bool:
        return self._is_text and self._is_terminal and not self.types and not self._is_gathered

    @property
    def _is_gathered(self) -> bool:
        """Whether whole messages are asked for, which are printed at the end."""
        given = self.given
        chosen = any(given[name] for name in ("json", "usage", "extract", "extract_last", "whole", "last", "all"))
        return chosen or bool(self.roles) or any(kind not in LIVE for kind in self.types)

    def view(self) -> View:
        """Return what reads the stream."""
        keep = bool(self.given["save"])
        if self._is_for_people:
            colour = colour_wanted(self.given["color"], self.process.is_terminal(2))
            return PeopleView(colour=colour, reasoning=not self.given["no_reasoning"], keep=keep)
        if self._is_gathered:
            return View((), keep=True)
        return EventLines(keep=keep) if self.given["events"] else View(self.types or ("text",), keep=keep)

    def read(self, view: View) -> None:
        """Print what comes, as it comes; from a regular file, when all of it is known."""
        is_file = self.process.is_file()
        quiet = None if is_file else lambda: QUIET if view.is_waiting else None
        for lines in self.process.batches(self.given["wait"], quiet):
            view.feed(lines)
            if not is_file:
                self._print(view.take(is_quiet=not lines))
            for record, _ in lines if view.conversation.conversations else ():
                if record["type"] == "conversation":
                    self._print_conversation(from_record(record))
        self._print(view.take(is_end=True))

    def _print(self, pieces: list[tuple[int, str]]) -> None:
        for descriptor, text in pieces:
            if descriptor == 1:
                self._write(text.encode())
            elif not self.process.quiet:
                self.process.write(_shown(text), 2)

    def _write(self, data: bytes) -> None:
        if data:
            self._last = data[-1:]
            if self._is_terminal and not self.given["raw"]:
                data = visible(data.decode(errors="replace")).encode()
            self.process.write(data)

    def finish(self, view: View) -> None:
        """Print what had to wait for the end, and close the last line."""
        conversation = view.conversation
        if self._is_gathered and (conversation.has_history or not conversation.conversations):
            self._gather(conversation)
        else:
            self._save(turn(conversation))
            self.has_reply = self.has_reply or bool(conversation.reply) or conversation.is_open
        if conversation.has_history or conversation.is_open:
            self._close()
        self.failure = self.failure or conversation.failure

    def _print_conversation(self, conversation: Conversation) -> None:
        if self._is_gathered:
            self._gather(conversation)
        else:
            self.has_reply = self.has_reply or bool(conversation.reply)
            parts = select(conversation.reply, self.types or ("text",))
            self._write(
                b"".join(map(plain, parts)) if len(conversation.reply) == 1 else self._texts(conversation.reply)
            )
            self._save(turn(conversation))
        self._close()
        self.failure = self.failure or conversation.failure

    def _texts(self, messages: list[Message]) -> bytes:
        return texts(messages).encode()

    def _close(self) -> None:
        """End the reply of one conversation: with NUL, or with a newline if it has none."""
        if self.given["null"]:
            self.process.write(b"\0")
            self._last = b"\n"
        elif self._last != b"\n" and self._is_text_like:
            self._write(b"\n")

    @property
    def _is_text_like(self) -> bool:
        return "attachment" not in self.types or self.given["json"]

    def _chosen(self, conversation: Conversation) -> list[Message]:
        if self.given["all"] or self.roles:
            messages = list(conversation.messages)
            messages = [message for message in messages if not self.roles or message["role"] in self.roles]
        else:
            messages = turn(conversation)
            if "tool_result" not in self.types:
                messages = [message for message in messages if message["role"] == "assistant"]
        if self.given["whole"]:
            messages = [message for message in messages if is_complete(message)]
        return messages[-1:] if self.given["last"] else messages

    def _gather(self, conversation: Conversation) -> None:
        given, messages = self.given, self._chosen(conversation)
        self.has_reply = self.has_reply or bool(messages)
        if given["usage"]:
            self._write(dumps(total_usage(messages)) + b"\n")
        elif given["json"]:
            parts = [part for part in select(messages, self.types) if not self._is_hidden(part["type"])]
            self._write(b"".join([dumps(part) + b"\n" for part in parts]))
        elif given["extract"] or given["extract_last"]:
            self._write(extract(texts(messages), last=given["extract_last"]).encode())
        elif any(kind not in LIVE for kind in self.types):
            self._write_parts(messages)
        else:
            self._write(self._joined(messages))
        self._save(messages)

    def _is_hidden(self, kind: str) -> bool:
        return bool(self.given["no_reasoning"]) and kind == "reasoning"

    def _joined(self, messages: list[Message]) -> bytes:
        kinds = self.types or ("text",)
        found = [b"".join(map(plain, select([message], kinds))) for message in messages]
        found = [data for data in found if data]
        return b"".join([data if data.endswith(b"\n") else data + b"\n" for data in found])

    def _write_parts(self, messages: list[Message]) -> None:
        if self.given["save"]:
            return
        for part in select(messages, self.types):
            data = plain(part)
            is_bytes = part["type"] == "attachment" and "url" not in part.get("attachment", {})
            if is_bytes and self._is_terminal and not self.given["raw"]:
                raise click.UsageError("an attachment is not for a terminal: redirect it, or use --save DIR")
            self._write(data if is_bytes or data.endswith(b"\n") else data + b"\n")

    def _save(self, messages: list[Message]) -> None:
        if not self.given["save"]:
            return
        paths = save_attachments(messages, self.given["save"])
        if self.types == ("attachment",):
            self._write(b"".join([path.encode() + (b"\0" if self.given["null"] else b"\n") for path in paths]))
        elif not self.process.quiet:
            for path in paths:
                self.process.say(f"saved {path}")


def _shown(text: str) -> bytes:
    """Return words for stderr with control characters visible, our own colours apart."""
    pieces = text.split("\x1b[")
    shown = [visible(pieces[0])]
    for piece in pieces[1:]:
        code, m, rest = piece.partition("m")
        is_ours = m and code.isdigit()
        shown.append(f"\x1b[{code}m{visible(rest)}" if is_ours else visible("\x1b[" + piece))
    return "".join(shown).encode()


def _names(values: tuple[str, ...], known: tuple[str, ...], option: str) -> tuple[str, ...]:
    names = tuple(name.strip() for value in values for name in value.split(",") if name.strip())
    if option == "--role":
        for name in names:
            if name not in known:
                raise click.UsageError(f"{option}: {name!r} is none of {', '.join(known)}")
    return names


@click.command(
    name="llm-parts",
    cls=Command,
    examples=EXAMPLES,
    short_help="Print parts of a conversation",
    context_settings={"max_content_width": 100},
)
@click.option("-t", "--type", multiple=True, metavar="TYPE,…", help=f"Print parts of these types: {', '.join(TYPES)}.")
@click.option(
    "--role", multiple=True, metavar="ROLE,…", help="Print messages of these roles of the whole conversation."
)
@flag("--last", help="Only the final message.")
@flag("--all", help="The whole conversation, not only the reply.")
@flag("--json", help="Whole parts, as JSON Lines.")
@flag("--events", help="The events of the reply, as they came.")
@flag("-0", "--null", help="End each conversation's reply with NUL.")
@flag("-x", "--extract", help="The first fenced code block.")
@flag("--xl", "extract_last", help="The last fenced code block.")
@click.option("--save", metavar="DIR", help="Write attachments to files in DIR.")
@flag("-R", "--no-reasoning", help="Leave reasoning out.")
@flag("--usage", help="The tokens used, as a JSON object.")
@flag("--whole", help="Wait for each message; print only complete ones.")
@flag("--raw", help="Leave control characters alone on a terminal.")
@common
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Print the reply: what the model said after the last user message, as it comes.

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
        process.say(printer.failure["message"])
        raise StreamFailure(printer.failure)
    if not printer.has_reply:
        raise NoInputError("there is no reply in the stream")


def run() -> None:
    """The entry point."""
    main(command, writes_records=False)
