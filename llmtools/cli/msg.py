"""llm-msg: appends a message to the stream."""

from __future__ import annotations

import click

from ..attachment import from_bytes, from_file, from_url
from ..conversation import Conversation, from_record
from ..errors import InputError, UsageError
from ..jsonl import dumps
from ..message import answer, build, fragment, joined, text_from
from .options import Command, common, flag
from .run import Process, StreamFailure, main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..types import Message, Part, Record

EXAMPLES = """
llm-msg user 'Capital of France?' | llm-send -m echo | llm-parts
llm-msg system 'Be brief' | llm-msg user 'hi' | llm-send
llm-msg user 'And of Germany?' < talk.jsonl | llm-send
git diff | llm-msg user -f - 'Write a commit message'
llm-msg user 'What is this?' -a photo.jpg | llm-send
"""


class Input:
    """What the arguments say is in the message; stdin is read where one of them is `-`."""

    def __init__(self, process: Process, ctx: click.Context) -> None:
        self.process = process
        self.given: dict[str, Any] = ctx.params
        dashes = [
            value for value in (self.given["text"], *self.given["fragment"], *self.given["attach"]) if value == "-"
        ]
        if len(dashes) > 1:
            raise click.UsageError("stdin can be taken once: more than one - is given")
        self.takes_stdin = bool(dashes)

    def _stdin(self) -> bytes:
        if self.process.stdin_kind() == "none":
            return b""
        return b"".join(self.process.chunks())

    def _attachment(self, source: str) -> Part:
        mime = self.given["mime"]
        if source == "-":
            attachment = from_bytes(self._stdin(), mime=mime)
        elif source.startswith(("http://", "https://")):
            attachment = from_url(source, mime=mime)
        else:
            attachment = from_file(source, mime=mime, ref=self.given["ref"])
        return {"type": "attachment", "attachment": attachment}

    def content(self) -> list[str | Part]:
        """Return the texts and parts of the message: fragments, TEXT, attachments."""
        content: list[str | Part] = []
        for source in self.given["fragment"]:
            content += [text_from(self._stdin(), "stdin")] if source == "-" else fragment(source)
        if self.given["text"] == "-":
            content.append(text_from(self._stdin(), "stdin"))
        elif self.given["text"] is not None:
            content.append(self.given["text"])
        content = joined(content)
        if self.given["edit"]:
            from ..editor import edited

            content = joined([edited("".join(item for item in content if isinstance(item, str))), *_parts(content)])
        content += [self._attachment(source) for source in self.given["attach"]]
        if not content:
            raise UsageError("the message is empty: give TEXT, -f or -a")
        return content


def _parts(content: list[str | Part]) -> list[Part]:
    return [item for item in content if not isinstance(item, str)]


class Appender:
    """Copies the stream and puts the message behind it, and into every conversation record."""

    def __init__(self, process: Process, role: str, content: list[str | Part], call: str | None) -> None:
        self.process = process
        self.role = role
        self.content = content
        self.call = call
        self.conversation = Conversation()
        self.status = 0

    def message(self, conversation: Conversation) -> Message:
        """Return the message that goes behind `conversation`."""
        if self.role == "tool":
            return answer(conversation, "".join(item for item in self.content if isinstance(item, str)), self.call)
        return build(self.role, *self.content)  # type: ignore[arg-type]

    def copy(self, wait: float) -> None:
        """Write stdin as it comes."""
        for lines in self.process.batches(wait):
            for record, _ in lines:
                self.conversation.add(record)
            self.process.write_lines(
                [self._extended(record) if record["type"] == "conversation" else raw for record, raw in lines]
            )

    def _extended(self, record: Record) -> bytes:
        inner = from_record(record)
        failure = inner.failure
        if failure is not None:
            self.status = self.status or failure["exit_status"]
            return dumps(record)
        message = self.message(inner)
        return dumps({**record, "messages": [*record["messages"], message]})

    def append(self) -> None:
        """Write the message, unless the stream has failed."""
        failure = self.conversation.failure
        if failure is not None:
            raise StreamFailure(failure)
        if self.process.is_cut:
            self.process.write_error(self.process.cancelled())
            return
        if not self.conversation.conversations or self.conversation.has_history:
            self.process.write_records([dict(self.message(self.conversation))])


@click.command(
    name="llm-msg",
    cls=Command,
    examples=EXAMPLES,
    short_help="Append a message to a conversation",
    context_settings={"max_content_width": 100},
)
@click.argument("role", metavar="ROLE", type=click.Choice(("user", "system", "assistant", "tool")))
@click.argument("text", required=False)
@click.option("-f", "--fragment", multiple=True, metavar="FILE|URL|NAME:ARG|-", help="Put a text before TEXT.")
@click.option("-a", "--attach", multiple=True, metavar="FILE|URL|-", help="Attach a file.")
@click.option("--mime", metavar="TYPE", help="The MIME type of the attachments.")
@flag("--ref", help="Attach by path and sha256, not by content.")
@flag("-e", "--edit", help="Write the message in $EDITOR.")
@click.option("--call", metavar="ID", help="Which pending tool call the message answers (role tool).")
@common
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Copy the stream on stdin and append a message of ROLE: user, system, assistant or tool.

    TEXT - is stdin. With a - anywhere, stdin is text and no stream.
    """
    process: Process = ctx.obj
    if options["call"] and options["role"] != "tool":
        raise click.UsageError("--call goes with the role tool")
    process.check_stdout()
    given = Input(process, ctx)
    content = given.content()
    appender = Appender(process, options["role"], content, options["call"])
    if not (options["no_stdin"] or given.takes_stdin) and process.stdin_kind() == "stream":
        try:
            appender.copy(options["wait"])
        except InputError as error:
            if error.line:
                error.message += ": no stream (-f - takes stdin as the text, -n leaves it alone)"
            raise
    appender.append()
    if appender.status:
        ctx.exit(appender.status)


def run() -> None:
    """The entry point."""
    main(command, writes_records=True)
