"""llm-msg: appends a message to the stream."""

from __future__ import annotations

import os
import sys

import click

from ...errors import InputError, LlmToolsError, UsageError
from ...files import MAX_FILE
from ...media_type import text_of_bytes
from ...records.build import build_message, notice
from ...records.check import ROLES
from ...records.conversation import Conversation
from ..main import main
from ..options import Command, filter_options, flag, option
from ..process import Process, StreamFailure
from .compose import answer, fragment, from_url, join_texts

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


class Composer:
    """Makes the content of the message from the arguments. Stdin is read where one of them is `-`."""

    def __init__(self, process: Process, options: dict[str, Any], template: Template | None) -> None:
        dashes = [value for value in (options["text"], *options["fragment"], *options["attach"]) if value == "-"]
        if len(dashes) > 1:
            raise click.UsageError("stdin can be taken once: more than one - is given")
        self.takes_stdin = bool(dashes)
        self._process = process
        self._options = options
        self._template = template
        self._text: str | None = options["text"]

    def read_text(self) -> str | None:
        """Return TEXT, None without it. A `-` is read from stdin, once."""
        if self._text == "-":
            self._text = text_of_bytes(self._read_stdin(), "stdin")
        return self._text

    def content(self) -> list[str | Part]:
        """Return the texts and parts of the message: fragments, TEXT, attachments.

        Raises UsageError for a message that is empty.
        """
        if self._template is not None and self._template.added:
            self._tell(f"the template {self._template.name} adds {', '.join(self._template.added)}")
        content: list[str | Part] = []
        for source in self._sources("fragments", "fragment"):
            if source == "-":
                content += [text_of_bytes(self._read_stdin(), "stdin")]
            else:
                content += fragment(source, is_raw=self._options["raw"], tell=self._tell)
        text = self.read_text()
        if self._template is not None:
            text = self._template.text(dict(self._options["param"]), text)
        content = join_texts(content if text is None else [*content, text])
        if self._options["edit"]:
            content = _edit(content)
        content += [self._attachment(source) for source in self._sources("attachments", "attach")]
        if not content:
            raise UsageError("the message is empty: give TEXT, -f or -a")
        return content

    def template_records(self) -> tuple[list[Record], dict[str, Any], list[Record]]:
        """Return what the template adds beside the text: records before the message, the `request`
        of the message, and notices."""
        template = self._template
        if template is None:
            return [], {}, []
        system = template.fill("system", dict(self._options["param"]), self.read_text())
        messages: list[Record] = [dict(build_message("system", system))] if system else []
        notices = [notice("template", text) for text in template.left_out]
        return [*template.tools(), *messages], template.request(), notices

    def _sources(self, key: str, option: str) -> list[str]:
        """Return the fragments or attachments, those of the template first."""
        fields = self._template.fields if self._template is not None else {}
        return [*fields.get(key, ()), *self._options[option]]

    def _tell(self, text: str) -> None:
        if not self._process.quiet:
            self._process.say(text)

    def _read_stdin(self) -> bytes:
        """Return all of stdin. Raises InputError for more than `MAX_FILE` bytes."""
        data = bytearray()
        for chunk in self._process.chunks() if self._process.stdin_kind() != "none" else ():
            data += chunk
            if len(data) > MAX_FILE:
                raise InputError(f"stdin: larger than {MAX_FILE >> 20} MiB")
        return bytes(data)

    def _attachment(self, source: str) -> Part:
        from ...attachment import from_bytes, from_file

        mime = self._options["mime"]
        if source == "-":
            attachment = from_bytes(self._read_stdin(), mime=mime)
        elif source.startswith(("http://", "https://")):
            attachment = from_url(source, mime=mime)
        else:
            attachment = from_file(source, mime=mime, ref=self._options["ref"])
        return {"type": "attachment", "attachment": attachment}


def _edit(content: list[str | Part]) -> list[str | Part]:
    """Return the content with its text as the user leaves it in an editor."""
    from ..editor import edit_text

    text = "".join([item for item in content if isinstance(item, str)])
    return join_texts([edit_text(text), *(item for item in content if not isinstance(item, str))])


class Appender:
    """Copies the stream and appends the message, also to every conversation record."""

    def __init__(self, process: Process, role: str, composer: Composer, call: str | None) -> None:
        self.process = process
        self.conversation = Conversation()
        self._role = role
        self._call = call
        self._content = composer.content()
        self._opening, self._request, self._notices = composer.template_records()

    def copy(self, wait: float) -> None:
        """Write stdin as it comes; each conversation record gets the message too."""
        self.process.copy(wait, self.conversation, self._extend)

    def append(self) -> None:
        """Write the message, unless the stream has failed."""
        failure = self.conversation.failure
        if failure is not None:
            raise StreamFailure(failure)
        if self.process.is_cut:
            self.process.write_error(self.process.cancellation())
            return
        if not self.conversation.conversations or self.conversation.has_history:
            before = self._missing(self.conversation)
            self.process.write_records([*self._notices, *before, dict(self._message(self.conversation))])

    def _extend(self, record: Record, conversation: Conversation) -> Record:
        before = self._missing(conversation)
        tools = [each for each in before if each["type"] == "tool"]
        messages = [each for each in before if each["type"] == "message"]
        offered = {"tools": [*record.get("tools", ()), *tools]} if tools else {}
        return {**record, **offered, "messages": [*record["messages"], *messages, self._message(conversation)]}

    def _message(self, conversation: Conversation) -> Message:
        """Return the message that follows `conversation`."""
        if self._role == "tool":
            return answer(conversation, self._content, self._call)
        message = build_message(self._role, *self._content)  # type: ignore[arg-type]
        return {**message, "request": self._request} if self._request else message  # type: ignore[typeddict-item]

    def _missing(self, conversation: Conversation) -> list[Record]:
        """Return the template's records that go before the message and are not in the conversation yet."""
        there: list[Any] = [*conversation.tools.values(), *conversation.messages]
        return [record for record in self._opening if record not in there]


def _read_last_conversation() -> int:
    """Replace stdin by the output of `llm-log get last`; return the process. It is another process so
    that this one loads no SQLite."""
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
    """Refuse to continue after a process that failed without an error record."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status and appender.conversation.failure is None:
        raise LlmToolsError(f"llm-log get last failed with status {status}")


def _template(options: dict[str, Any]) -> Template | None:
    """Return the template that -t names, None without -t. Raises UsageError, and what `load_template` raises."""
    if options["template"] is None:
        if options["role"] is None:
            raise click.UsageError("Missing argument 'ROLE'.")
        if options["param"]:
            raise click.UsageError("-p goes with -t")
        return None
    if options["role"] not in (None, "user"):
        raise click.UsageError("-t goes with the role user")
    from .template import load_template

    return load_template(options["template"])


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
@flag("--raw", help="Take the page at a URL of -f as it is, HTML too.")
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
@filter_options
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Copy the stream on stdin and append a message of ROLE: user, system, assistant or tool.

    TEXT - is stdin. With a - anywhere, stdin is text, not a stream.
    """
    process: Process = ctx.obj
    if options["call"] and options["role"] != "tool":
        raise click.UsageError("--call goes with the role tool")
    process.check_stdout()
    composer = Composer(process, options, _template(options))
    appender = Appender(process, options["role"] or "user", composer, options["call"])
    if options["goes_on"]:
        child = _read_last_conversation()
        appender.copy(options["wait"])
        _check(child, appender)
    elif not (options["no_stdin"] or composer.takes_stdin) and process.stdin_kind() == "stream":
        try:
            appender.copy(options["wait"])
        except InputError as error:
            if error.line:
                error.message += ": not a stream (-f - takes stdin as the text, -n leaves it alone)"
            raise
    appender.append()


def run() -> None:
    """The entry point."""
    main(command, writes_records=True)
