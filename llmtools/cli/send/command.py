"""llm-send: sends the conversation on stdin to a model and streams the reply."""

from __future__ import annotations

import click

from ...errors import InputError
from ...exchange.ask import AskOptions
from ...http.request import Limits
from ...protocols import PROTOCOLS
from ...records.jsonl import loads
from ..main import main
from ..options import Command, common, flag, needs_stream
from .sender import Sender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...http.endpoint import Secret
    from ..process import Process
    from .save import SaveFile

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


def _save_file(path: str) -> SaveFile:
    from .save import SaveFile

    return SaveFile(path)


def _ask_options(given: dict[str, Any]) -> AskOptions:
    """Return what the options of the command line say about the answer."""
    key = _key(given)
    endpoint = None
    if given["base_url"] is not None:
        from ...providers.address import at

        endpoint = at(given["base_url"], given["protocol"], key)
    limits = Limits(
        total=given["timeout"],
        idle=given["idle_timeout"],
        retries=given["retries"],
        retry_stream=given["retry_stream"],
    )
    return AskOptions(
        model=given["model"],
        endpoint=endpoint,
        key=None if endpoint is not None else key,
        system=given["system"],
        options={name: _value(value) for name, value in given["option"]},
        schema=_schema(given),
        tool_choice=given["tool_choice"],
        reasoning=given["reasoning"],
        server_tools=given["server_tool"],
        cache_prompt=given["cache_prompt"],
        drop_unsupported=given["drop_unsupported"],
        stream=not given["no_stream"],
        anyway=given["anyway"],
        prefill=given["prefill"],
        limits=limits,
    )


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

    readers = {"key_file": keys.key_from_file, "key_fd": keys.key_from_descriptor, "key_env": keys.key_from_variable}
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
    save = _save_file(options["save"]) if options["save"] else None
    try:
        sender = Sender(
            process,
            _ask_options(options),
            save,
            log=False if options["no_log"] else options["log"] or None,
            is_dry_run=options["dry_run"],
            has_events=not options["no_events"],
        )
        if not options["no_stdin"] and process.stdin_kind() == "stream":
            sender.read(options["wait"])
        sender.answer()
    finally:
        if save is not None:
            save.close()


def run() -> None:
    """The entry point."""
    main(command, writes_records=True)
