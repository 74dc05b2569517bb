"""llm-msg: appends a message to the stream."""

from __future__ import annotations

import os
import sys

import click

from ...attachment import from_bytes, from_file, text_from
from ...errors import InputError, LlmToolsError, UsageError
from ...records.build import build_message
from ...records.check import ROLES
from ...records.conversation import Conversation
from ..main import main
from ..options import Command, common, flag, option
from ..process import Process, StreamFailure
from .compose import answer, fragment, from_url, joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.types import Message, Part, Record
    from .template import Template

EXAMPLES = """
llm-msg user 'Capital of France?' | llm-send -m echo | llm-parts
llm-msg system 'Be brief' | llm-msg user 'hi' | llm-send
llm-msg user 'And of Germany?' < talk.jsonl | llm-send
llm-msg -c user 'shorter' | llm-send --log | llm-parts
git diff | llm-msg user -f - 'Write a commit message'
llm-msg user 'What is this?' -a photo.jpg | llm-send
"""


class Input:
    """What the arguments say is in the message; stdin is read where one of them is `-`."""

    def __init__(self, process: Process, given: dict[str, Any], template: Template | None) -> None:
        self.process = process
        self.given = given
        self.template = template
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

    def _all(self, name: str) -> list[str]:
        """Return the fragments or attachments, those of the template first."""
        said = self.template.said if self.template is not None else {}
        return [*said.get({"fragment": "fragments", "attach": "attachments"}[name], ()), *self.given[name]]

    def text(self) -> str | None:
        """Return TEXT, which may be stdin; it is read once."""
        if self.given["text"] == "-":
            self.given["text"] = text_from(self._stdin(), "stdin")
        text: str | None = self.given["text"]
        return text

    def content(self) -> list[str | Part]:
        """Return the texts and parts of the message: fragments, TEXT, attachments."""
        content: list[str | Part] = []
        for source in self._all("fragment"):
            content += [text_from(self._stdin(), "stdin")] if source == "-" else fragment(source)
        text = self.text()
        if self.template is not None:
            text = self.template.text(dict(self.given["param"]), text)
        content = joined(content if text is None else [*content, text])
        if self.given["edit"]:
            from ..editor import edited

            content = joined([edited("".join(item for item in content if isinstance(item, str))), *_parts(content)])
        content += [self._attachment(source) for source in self._all("attach")]
        if not content:
            raise UsageError("the message is empty: give TEXT, -f or -a")
        return content


def _parts(content: list[str | Part]) -> list[Part]:
    return [item for item in content if not isinstance(item, str)]


def _of_template(given: Input) -> tuple[list[Record], dict[str, Any], list[Record]]:
    """Return what a template says beside the text: records before the message, its request, notices."""
    template = given.template
    if template is None:
        return [], {}, []
    system = template.fill("system", dict(given.given["param"]), given.text())
    messages: list[Record] = [dict(build_message("system", system))] if system else []
    notices: list[Record] = [{"type": "notice", "code": "template", "message": said} for said in template.left_out]
    return [*template.tools(), *messages], template.request(), notices


class Appender:
    """Copies the stream and puts the message behind it, and into every conversation record."""

    def __init__(self, given: Input, role: str, call: str | None) -> None:
        self.process = given.process
        self.role = role
        self.content = given.content()
        self.call = call
        self.opening, self.request, self.notices = _of_template(given)
        self.conversation = Conversation()

    def message(self, conversation: Conversation) -> Message:
        """Return the message that goes behind `conversation`."""
        if self.role == "tool":
            return answer(conversation, "".join(item for item in self.content if isinstance(item, str)), self.call)
        message = build_message(self.role, *self.content)  # type: ignore[arg-type]
        return {**message, "request": self.request} if self.request else message  # type: ignore[typeddict-item]

    def before(self, conversation: Conversation) -> list[Record]:
        """Return what of the template goes before the message and is not there yet: tools, a system message."""
        there: list[Any] = [*conversation.tools.values(), *conversation.messages]
        return [record for record in self.opening if record not in there]

    def copy(self, wait: float) -> None:
        """Write stdin as it comes; each conversation record gets the message too."""
        self.process.copy(wait, self.conversation, self._extended)

    def _extended(self, record: Record, inner: Conversation) -> Record:
        before = self.before(inner)
        tools = [each for each in before if each["type"] == "tool"]
        messages = [*record["messages"], *(each for each in before if each["type"] == "message"), self.message(inner)]
        offered = {"tools": [*record.get("tools", ()), *tools]} if tools else {}
        return {**record, **offered, "messages": messages}

    def append(self) -> None:
        """Write the message, unless the stream has failed."""
        failure = self.conversation.failure
        if failure is not None:
            raise StreamFailure(failure)
        if self.process.is_cut:
            self.process.write_error(self.process.cancelled())
            return
        if not self.conversation.conversations or self.conversation.has_history:
            before = self.before(self.conversation)
            self.process.write_records([*self.notices, *before, dict(self.message(self.conversation))])


def _last_of_the_log() -> int:
    """Put what `llm-log get last` writes in the place of stdin; return the process. It is
    another one, so that no SQLite is loaded here."""
    reader, writer = os.pipe()
    empty = os.open(os.devnull, os.O_RDONLY)
    program = [sys.executable, "-P", "-c", "from llmtools.cli import llm_log; llm_log()", "get", "last"]
    streams = [(os.POSIX_SPAWN_DUP2, empty, 0), (os.POSIX_SPAWN_DUP2, writer, 1)]
    child = os.posix_spawn(sys.executable, program, os.environ, file_actions=streams)
    os.dup2(reader, 0)
    for descriptor in (reader, writer, empty):
        os.close(descriptor)
    return child


def _check(child: int, appender: Appender) -> None:
    """Refuse to go on behind a process that failed and could not even write that it did."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status and appender.conversation.failure is None:
        raise LlmToolsError(f"llm-log get last failed with status {status}")


def _template(given: dict[str, Any]) -> Template | None:
    """Return the template that is asked for. Raises UsageError, and what `load` raises."""
    if given["template"] is None:
        if given["role"] is None:
            raise click.UsageError("Missing argument 'ROLE'.")
        if given["param"]:
            raise click.UsageError("-p goes with -t")
        return None
    if given["role"] not in (None, "user"):
        raise click.UsageError("-t goes with the role user")
    from .template import load

    return load(given["template"])


@click.command(
    name="llm-msg",
    cls=Command,
    examples=EXAMPLES,
    short_help="Append a message to a conversation",
    context_settings={"max_content_width": 100},
)
@click.argument("role", metavar="ROLE", required=False, type=click.Choice(ROLES))
@click.argument("text", required=False)
@option(
    "-f",
    "--fragment",
    multiple=True,
    metavar="FILE|URL|NAME:ARG|-",
    help="Put the text of a file, URL, program or stdin before TEXT.",
)
@option("-a", "--attach", multiple=True, metavar="FILE|URL|-", help="Attach a file.")
@option("--mime", metavar="TYPE", help="Set the MIME type of the attachments.")
@flag("--ref", help="Attach files by path and SHA-256, not by content.")
@option("-t", "--template", metavar="TEMPLATE", help="Make the message from a template; TEXT fills $input.")
@option(
    "-p",
    "--param",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="Fill the field NAME of the template with VALUE.",
)
@flag("-c", "--continue", "goes_on", help="Continue the conversation that was stored last.")
@flag("-e", "--edit", help="Write the message in an editor on the terminal.")
@option("--call", metavar="ID", help="Answer the pending tool call ID (role tool).")
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
    given = Input(process, options, _template(options))
    appender = Appender(given, options["role"] or "user", options["call"])
    if options["goes_on"]:
        child = _last_of_the_log()
        appender.copy(options["wait"])
        _check(child, appender)
    elif not (options["no_stdin"] or given.takes_stdin) and process.stdin_kind() == "stream":
        try:
            appender.copy(options["wait"])
        except InputError as error:
            if error.line:
                error.message += ": no stream (-f - takes stdin as the text, -n leaves it alone)"
            raise
    appender.append()


def run() -> None:
    """The entry point."""
    main(command, writes_records=True)
