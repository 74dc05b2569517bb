"""llm-send: sends the conversation on stdin to a model and streams the reply."""

from __future__ import annotations

import sys
import time

import click

from ...errors import (
    CancelledError,
    InputError,
    LlmToolsError,
    NoKeyError,
    OutputError,
    TimedOutError,
    UsageError,
)
from ...exchange.ask import choose_model, prepare, target_of
from ...exchange.exchange import Exchange
from ...protocols.request import Limits, Secret, Target
from ...providers.names import PROTOCOLS, at, is_built_in
from ...records.conversation import HISTORY, Conversation, from_record
from ...records.jsonl import dumps, loads
from ..msg.compose import system
from ..options import (
    Command,
    common,
    flag,
    needs_stream,
)
from ..process import Process, StreamFailure, main
from .relay import Relay, SaveFile, starts_with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Any

    from ...log.journal import Entry, Journal
    from ...records.jsonl import Line
    from ...records.types import Message, Record

EXAMPLES = """
llm-msg user 'hi' | llm-send -m echo | llm-parts
llm-msg user 'hi' | llm-send -m echo --save talk.jsonl | llm-parts
llm-msg user 'shorter' < talk.jsonl | llm-send | llm-parts
llm-msg user 'hi' | llm-send -m openai/gpt-5.5 | llm-parts
llm-msg user 'hi' | llm-send -m replay/talk.jsonl | llm-parts
llm-msg user 'hi' | llm-send --base-url http://127.0.0.1:8080/v1 -m tiny | llm-parts
"""
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
SECONDS = click.FloatRange(min=0, min_open=True)
WITHOUT_EVENTS = HISTORY | {"error", "notice"}


class Sender:
    """The run of one llm-send: `status` is what it ends with."""

    def __init__(self, process: Process, given: dict[str, Any], save: SaveFile | None) -> None:
        self.process = process
        self.given = given
        self.options = {name: _value(value) for name, value in given["option"]}
        self.relay = Relay(given["system"], self._keep)
        self.key = _key(given)
        self.endpoint = at(given["base_url"], given["protocol"], self.key) if given["base_url"] is not None else None
        self._targets: dict[str, Target | LlmToolsError] = {}
        self._names: dict[str | None, str] = {}
        tries = {name: given[name] for name in ("retries", "retry_stream")}
        self.limits = Limits(total=given["timeout"], idle=given["idle_timeout"], **tries)
        self.schema = _schema(given)
        self.status = 0
        self._save = save
        self._tools: list[tuple[int, Record]] = []
        self._journal: Journal | None = None
        self._until: float | None = None
        self._cancelled: CancelledError | TimedOutError = CancelledError("the reader left")

    # What comes in

    def read(self) -> None:
        """Pass the stream on; answer each conversation record as it comes."""
        try:
            for lines in self.process.batches(self.given["wait"]):
                self._take(lines)
        except InputError:  # what came before the wrong line goes out first
            self._pass_on(self.relay.release(events=True))
            raise
        self._pass_on(self.relay.eof())

    def _take(self, lines: list[Line]) -> None:
        out: list[bytes] = []
        for record, raw in lines:
            if record["type"] == "conversation":
                self._pass_on(out)
                out, raw = [], self._answer_record(record)
            elif record["type"] == "tool":
                self._tools.append((len(self.relay.conversation.messages), record))
            out += self.relay.feed(record, raw)
        self._pass_on(out)

    def _pass_on(self, lines: list[bytes]) -> None:
        if not self.given["dry_run"]:
            self.process.write_lines(lines)

    def _keep(self, line: bytes) -> None:
        if self._save is not None:
            self._save.write(line)

    # What is answered

    def answer(self) -> None:
        """Answer the stream, or pass on that it has failed."""
        conversation, relay = self.relay.conversation, self.relay
        if conversation.conversations and not conversation.messages:
            return
        failure = conversation.failure
        if failure is not None and not self.given["anyway"]:
            self._pass_on(relay.release(events=True))
            raise StreamFailure(failure)
        self._pass_on(relay.release(events=False))
        if self.process.signal is not None:
            raise self.process.cancelled()
        prepared, notices = self._prepared(conversation)
        if self.given["dry_run"]:
            return self._show_request(prepared, conversation, self.options)
        self._emit(notices)
        self.process.check_stdout()
        for tool in self._server_tools(prepared, conversation):
            line = dumps(tool)
            self._pass_on([line])
            self._keep(line)
            self._tools.append((len(conversation.messages), tool))
        entry = self._entry(conversation, conversation.messages, self._tools)
        for exchange in self._exchanges(prepared, conversation, self.options):
            self._run(exchange, entry)
        self._end(exchange)

    def _entry(
        self,
        conversation: Conversation,
        messages: list[Message],
        tools: list[tuple[int, Record]],
        record: Record | None = None,
    ) -> Entry | None:
        """Return where the conversation is stored, if it is to be."""
        if not self._is_logged(conversation):
            return None
        from ...log.journal import Journal

        self._journal = self._journal or Journal(self.process.say)
        return self._journal.entry(messages, tools, record)

    def _is_logged(self, conversation: Conversation) -> bool:
        if self.given["log"] or self.given["no_log"] or self.endpoint is not None:
            return bool(self.given["log"] and not self.given["no_log"])
        if self._target(conversation).endpoint is None:
            return False
        from ...providers.config import read

        return read().log

    def _prepared(self, conversation: Conversation) -> tuple[Conversation, list[Record]]:
        return prepare(conversation, anyway=self.given["anyway"], prefill=self.given["prefill"])

    def _exchange(self, prepared: Conversation, conversation: Conversation, options: dict[str, Any]) -> Exchange:
        given, target = self.given, self._target(conversation)
        told = {name: given[name] for name in ("tool_choice", "reasoning")}
        request = target.request(
            **conversation.asked(options, schema=self.schema, **told),
            cache_prompt=given["cache_prompt"],
            drop_unsupported=given["drop_unsupported"],
            stream=not given["no_stream"],
        )
        return Exchange(prepared, request, target.endpoint, self.limits)

    def _target(self, conversation: Conversation) -> Target:
        """Return what answers: each model is looked up once, be its key found or not."""
        model = self._named(conversation)
        if self.endpoint is not None:
            return Target(model, model, self.endpoint)
        if self.key is not None and (model != self.given["model"] or is_built_in(model)):
            raise UsageError("a key option goes with --base-url, or with a provider's model that -m names")
        if model not in self._targets:
            try:
                with self.process.interruptible():  # a key may be long in coming
                    self._targets[model] = self._resolved(model)
            except CancelledError:
                self.process.check_stdout()
                raise
            except LlmToolsError as error:
                self._targets[model] = error
        found = self._targets[model]
        if isinstance(found, LlmToolsError):
            raise found
        return found

    def _resolved(self, model: str) -> Target:
        try:
            return target_of(model, self.key)
        except NoKeyError as error:
            if not self.given["dry_run"]:
                raise
            if not self.process.quiet:
                self.process.say(error.message)
            return target_of(model, Secret("none"))  # what is shown of it is masked

    def _named(self, conversation: Conversation) -> str:
        """Return the model's name, which is the same wherever the last reply's is."""
        last = conversation.model
        if last not in self._names:
            self._names[last] = choose_model(self.given["model"], conversation, is_elsewhere=self.endpoint is not None)
        return self._names[last]

    def _server_tools(self, prepared: Conversation, conversation: Conversation) -> list[Record]:
        """Offer the vendor's own tools that are asked for; return the records of those that are new."""
        if not self.given["server_tool"]:
            return []
        from ...protocols.server_tools import tool_record

        target = self._target(conversation)
        protocol, issuer = (target.endpoint.protocol, target.endpoint.name) if target.endpoint else ("", "")
        quirks = target.request({}).quirks
        asked: list[Record] = [dict(tool_record(name, protocol, issuer, quirks)) for name in self.given["server_tool"]]
        new = [tool for tool in asked if prepared.tools.get(tool["name"]) != tool]
        for tool in new:
            prepared.add(tool)
        return new

    def _exchanges(
        self, prepared: Conversation, conversation: Conversation, options: dict[str, Any]
    ) -> Iterator[Exchange]:
        """Yield the request, and those that continue a reply which the model pauses."""
        if self.limits.total is not None:
            self._until = time.monotonic() + self.limits.total
        exchange: Exchange | None = self._exchange(prepared, conversation, options)
        while exchange is not None:
            yield exchange
            exchange = exchange.continued()

    def _show_request(self, prepared: Conversation, conversation: Conversation, options: dict[str, Any]) -> None:
        self._server_tools(prepared, conversation)
        request, notices = self._exchange(prepared, conversation, options).dry_run()
        for record in notices if not self.process.quiet else ():
            self.process.say(record["message"])
        self.process.write_lines([request])

    def _run(self, exchange: Exchange, entry: Entry | None) -> None:
        """Write the records of the reply; keep its message, however the run ends."""
        if entry is not None:
            entry.begin(exchange.request.model)
        batches = exchange.batches(self.process.sleep)
        try:
            for records in self._interruptible(batches):
                if entry is not None and exchange.message is not None:
                    entry.finish(exchange.message, exchange.failure)
                self._emit(records)
            self._emit(exchange.cancel(self._cancelled))
        finally:
            exchange.cancel(self._cancelled)
            batches.close()
            if entry is not None:
                entry.finish(exchange.message, exchange.failure)
            if exchange.message is not None:
                self._keep(dumps(exchange.message))

    def _interruptible(self, batches: Generator[list[Record], None, None]) -> Generator[list[Record], None, None]:
        """Yield the batches; a signal, or the end of --timeout, ends the wait for the next one."""
        while True:
            try:
                with self.process.interruptible(self._until):
                    records = next(batches, None)
            except (CancelledError, TimedOutError) as error:
                self._cancelled = error
                return
            if records is None:
                return
            yield records

    def _emit(self, records: list[Record]) -> None:
        if self.given["no_events"]:
            records = [record for record in records if record["type"] in WITHOUT_EVENTS]
        if self.process.verbose:
            for record in records:
                if record["type"] == "notice":
                    self.process.say(record["message"])
        self.process.write_records(records)

    def _end(self, exchange: Exchange) -> None:
        if exchange.failure is not None and self.process.signal is None:
            self.process.say(exchange.failure.message)
            self.status = exchange.failure.exit_status

    def _answer_record(self, record: Record) -> bytes:
        """Return a conversation record with its reply, or with the error that came instead."""
        instructions = self.given["system"]
        if instructions is not None and not starts_with(record["messages"], system(instructions)):
            record = {**record, "messages": [system(instructions), *record["messages"]]}
        conversation = from_record(record)
        if conversation.failure is not None and not self.given["anyway"]:
            self.status = self.status or conversation.failure["exit_status"]
            return dumps(record)
        try:
            options = {**record.get("options", {}), **self.options}
            if self.given["dry_run"]:
                self._show_request(self._prepared(conversation)[0], conversation, options)
                return dumps(record)
            return dumps(self._answered(record, conversation, options))
        except OutputError:
            raise
        except LlmToolsError as error:
            return dumps(self._failed(record, error))

    def _answered(self, record: Record, conversation: Conversation, options: dict[str, Any]) -> Record:
        prepared, _ = self._prepared(conversation)
        rest = {name: value for name, value in record.items() if name != "error"}
        if tools := self._server_tools(prepared, conversation):
            rest["tools"] = [*record.get("tools", ()), *tools]
        entry = self._entry(conversation, rest["messages"], [(0, tool) for tool in rest.get("tools", ())], rest)
        for exchange in self._exchanges(prepared, conversation, options):
            if entry is not None:
                entry.begin(exchange.request.model)
            for _ in self._interruptible(exchange.batches(self.process.sleep)):
                pass
            exchange.cancel(self._cancelled)
            if entry is not None:
                entry.finish(exchange.message, exchange.failure)
            if exchange.message is not None:
                rest["messages"] = [*rest["messages"], exchange.message]
        return rest if exchange.failure is None else self._failed(rest, exchange.failure)

    def _failed(self, record: Record, error: LlmToolsError) -> Record:
        named = f" {record['id']}" if "id" in record else ""
        self.process.say(f"conversation{named}: {error.message}")
        self.status = self.status or error.exit_status
        failure = {name: value for name, value in error.to_record().items() if name != "type"}
        return {**record, "error": failure}


def _key(given: dict[str, Any]) -> Secret | None:
    """Return the key that an option names."""
    sources = [name for name in ("key_file", "key_fd", "key_env") if given[name] is not None]
    if given["base_url"] is None and given["protocol"]:
        raise click.UsageError("--protocol goes with --base-url")
    if given["base_url"] is None and sources and given["model"] is None:
        raise click.UsageError("a key option goes with --base-url, or with a provider's model that -m names")
    if not sources:
        return None
    if len(sources) > 1:
        raise click.UsageError("one of --key-file, --key-fd and --key-env is enough")
    from ...providers import keys

    readers = {"key_file": keys.from_file, "key_fd": keys.from_descriptor, "key_env": keys.from_variable}
    return readers[sources[0]](given[sources[0]])  # type: ignore[no-any-return, operator]


def _schema(given: dict[str, Any]) -> dict[str, Any] | None:
    if given["schema"] is None and given["schema_multi"] is None:
        return None
    if given["schema"] is not None and given["schema_multi"] is not None:
        raise click.UsageError("--schema or --schema-multi, not both")
    from ...schema import from_text, many

    if given["schema_multi"] is not None:
        return many(from_text(given["schema_multi"]))
    return from_text(given["schema"])


def _value(text: str) -> Any:
    """Return an option's value: JSON where it is JSON, else the text."""
    try:
        return loads(text)
    except InputError:
        return text


@click.command(
    name="llm-send",
    cls=Command,
    examples=EXAMPLES,
    short_help="Send a conversation to a model",
    context_settings={"max_content_width": 100},
)
@click.option(
    "-m",
    "--model",
    metavar="MODEL",
    help="The model, as PROVIDER/MODEL, or its alias.  [default: that of the last reply, LLMTOOLS_MODEL, config.toml]",
)
@click.option("-s", "--system", metavar="TEXT", help="Make TEXT the first message of the stream, a system message.")
@click.option(
    "-o", "--option", nargs=2, multiple=True, metavar="NAME VALUE", help="An option of the model; VALUE may be JSON."
)
@click.option("--save", metavar="FILE", help="Write the whole conversation to FILE, however the run ends.")
@flag("--log", help="Store the conversation and the reply in the log.")
@flag("--no-log", help="Do not, though config.toml says log = true.")
@click.option("--schema", metavar="SCHEMA", help="Have JSON: a JSON Schema, a file of it, or 'name, age int'.")
@click.option("--schema-multi", metavar="SCHEMA", help="Have a list of such objects, as items.")
@click.option(
    "--reasoning", type=click.Choice(EFFORTS), metavar="EFFORT", help=f"How much to think: {'|'.join(EFFORTS)}."
)
@click.option("--tool-choice", metavar="CHOICE", help="auto, none, required, or the name of a tool.")
@click.option(
    "--server-tool",
    multiple=True,
    metavar="NAME[=JSON]",
    help="Offer a tool that the provider runs: web_search, url_fetch, code_execution, image_generation …",
)
@flag("--cache-prompt", help="Have the provider keep the conversation for the next turn.")
@flag("--drop-unsupported", help="Leave out attachments that the model does not take.")
@click.option("--base-url", metavar="URL", help="Ask the server at URL.")
@click.option(
    "--protocol",
    type=click.Choice(tuple(PROTOCOLS)),
    metavar="NAME",
    help=f"The protocol of --base-url: {', '.join(PROTOCOLS)}.",
)
@click.option("--key-file", metavar="FILE", help="The key is in FILE, which only you may read.")
@click.option("--key-fd", type=click.IntRange(min=0), metavar="N", help="It is read from the descriptor N.")
@click.option("--key-env", metavar="NAME", help="It is in the environment variable NAME.")
@click.option(
    "--timeout", type=SECONDS, metavar="SECONDS", help="The most that the reply may take, all tries together."
)
@click.option(
    "--idle-timeout", type=SECONDS, metavar="SECONDS", default=300, help="The most without an event.  [default: 300]"
)
@click.option("--retries", type=click.IntRange(min=0), metavar="N", default=2, help="Further tries.  [default: 2]")
@flag("--retry-stream", help="Try again also after the first event, behind a reset.")
@flag("--no-stream", help="Ask for the answer in one piece.")
@flag("--dry-run", help="Show the HTTP request, the key masked, and send nothing.")
@flag("--anyway", help="Go on from a stream that has failed.")
@flag("--prefill", help="Have a last message of the model's continued.")
@flag("--no-events", help="Write the message only, no events.")
@common
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Read a conversation, send it to a model, and write it with the reply: the reply's events
    as they come, then its message.
    """
    process: Process = ctx.obj
    needs_stream(process, options["no_stdin"])
    process.check_stdout()
    save = SaveFile(options["save"]) if options["save"] else None
    sender = Sender(process, options, save)
    try:
        if not options["no_stdin"] and process.stdin_kind() == "stream":
            sender.read()
        sender.answer()
    finally:
        if save is not None:
            save.close()
    if sender.status:
        ctx.exit(sender.status)


def run() -> None:
    """The entry point."""
    # The HTTP client imports its own command line, and with it rich where that is installed:
    # a fifth of our start-up, for nothing.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    main(command, writes_records=True)
