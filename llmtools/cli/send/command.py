"""llm-send: sends the conversation on stdin to a model and streams the reply."""

from __future__ import annotations

import click

from ...errors import InputError
from ...exchange.ask import AskOptions
from ...http.request import Limits
from ...protocols import PROTOCOLS
from ...records.jsonl import loads
from ..main import main
from ..options import SECONDS, Command, filter_options, flag, needs_stream, option
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


def _save_file(path: str) -> SaveFile:
    from .save import SaveFile

    return SaveFile(path)


def _ask_options(options: dict[str, Any]) -> AskOptions:
    """Return the options of the command line that concern the answer."""
    key = _key(options)
    endpoint = None
    if options["base_url"] is not None:
        from ...providers.address import at

        endpoint = at(options["base_url"], options["protocol"], key)
    limits = Limits(
        total=options["timeout"],
        connect=options["connect_timeout"],
        idle=options["idle_timeout"],
        retries=options["retries"],
        retry_stream=options["retry_stream"],
    )
    return AskOptions(
        model=options["model"],
        endpoint=endpoint,
        key=None if endpoint is not None else key,
        system=options["system"],
        options={name: _value(value) for name, value in options["option"]},
        schema=_schema(options),
        tool_choice=options["tool_choice"],
        reasoning=options["reasoning"],
        server_tools=options["server_tool"],
        cache_prompt=options["cache_prompt"],
        drop_unsupported=options["drop_unsupported"],
        stream=not options["no_stream"],
        reply_id=options["await"] or "",
        anyway=options["anyway"],
        prefill=options["prefill"],
        limits=limits,
    )


def _key(options: dict[str, Any]) -> Secret | None:
    """Return the key that an option names, None without such an option."""
    sources = [name for name in ("key_file", "key_fd", "key_env") if options[name] is not None]
    if options["base_url"] is None and options["protocol"]:
        raise click.UsageError("--protocol goes with --base-url")
    if options["base_url"] is None and sources and options["model"] is None:
        raise click.UsageError("a key option goes with --base-url, or with a provider's model that -m names")
    if not sources:
        return None
    if len(sources) > 1:
        raise click.UsageError("one of --key-file, --key-fd and --key-env is enough")
    from ...providers import keys

    readers = {"key_file": keys.key_from_file, "key_fd": keys.key_from_descriptor, "key_env": keys.key_from_variable}
    return readers[sources[0]](options[sources[0]])  # type: ignore[no-any-return, operator]


def _schema(options: dict[str, Any]) -> dict[str, Any] | None:
    if options["schema"] is None and options["schema_multi"] is None:
        return None
    if options["schema"] is not None and options["schema_multi"] is not None:
        raise click.UsageError("--schema or --schema-multi, not both")
    from ...schema import schema_from_text, schema_of_list

    if options["schema_multi"] is not None:
        return schema_of_list(schema_from_text(options["schema_multi"]))
    return schema_from_text(options["schema"])


def _value(text: str) -> Any:
    """Return the value of -o: a JSON value if it is JSON, else the text."""
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
@option(
    "-m",
    "--model",
    metavar="MODEL",
    help="Use MODEL: PROVIDER/MODEL, an alias, or a bare name."
    "  [default: that of the last reply, LLMTOOLS_MODEL, config.toml]",
)
@option("-s", "--system", metavar="TEXT", help="Begin the conversation with TEXT as a system message.")
@option(
    "-o",
    "--option",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="Set an option of the model; VALUE is JSON or a string.",
)
@option("--save", metavar="FILE", help="Write the whole conversation to FILE, however the run ends.")
@flag("--log", help="Store the conversation and the reply in the log.")
@flag("--no-log", help="Do not store the conversation, even with log = true in config.toml.")
@option(
    "--schema",
    metavar="SCHEMA",
    help="Ask for JSON that fits SCHEMA: a JSON Schema, a *.json file, or 'name, age int'.",
)
@option("--schema-multi", metavar="SCHEMA", help="Ask for a list of objects that each fit SCHEMA.")
@option(
    "--reasoning",
    type=click.Choice(EFFORTS),
    metavar="EFFORT",
    help=f"Set how much the model reasons: {'|'.join(EFFORTS)}.",
)
@option(
    "--tool-choice",
    metavar="CHOICE",
    help="Set whether the model calls a tool: auto, none, required, or a tool's name.",
)
@option(
    "--server-tool",
    multiple=True,
    metavar="NAME[=JSON]",
    help="Offer a tool that the provider runs: web_search, url_fetch, code_execution, image_generation …",
)
@flag("--cache-prompt", help="Ask the provider to cache the conversation for the next turn.")
@flag("--drop-unsupported", help="Leave out attachments that the model does not accept.")
@option("--base-url", metavar="URL", help="Send the request to the server at URL.")
@option(
    "--protocol",
    type=click.Choice(tuple(PROTOCOLS)),
    metavar="NAME",
    help=f"Use this protocol for --base-url: {', '.join(PROTOCOLS)}.",
)
@option("--key-file", metavar="FILE", help="Read the key from FILE, which only you may access.")
@option("--key-fd", type=click.IntRange(min=0), metavar="N", help="Read the key from file descriptor N.")
@option("--key-env", metavar="NAME", help="Read the key from the environment variable NAME.")
@option("--timeout", type=SECONDS, metavar="SECONDS", help="Give up if the reply takes longer, including retries.")
@option(
    "--connect-timeout",
    type=SECONDS,
    metavar="SECONDS",
    default=10,
    help="Give up a connection that is not made within SECONDS.  [default: 10]",
)
@option(
    "--idle-timeout",
    type=SECONDS,
    metavar="SECONDS",
    default=300,
    help="Give up after SECONDS without any data.  [default: 300]",
)
@option(
    "--retries",
    type=click.IntRange(min=0),
    metavar="N",
    default=2,
    help="Retry a failed request up to N times.  [default: 2]",
)
@flag("--retry-stream", help="Retry also after the first event, with a reset record.")
@flag("--no-stream", help="Ask the provider for the answer in one piece.")
@option("--await", metavar="ID", help="Wait for the background reply ID instead of sending a request.")
@flag("--detach", help="Leave a background reply to the provider when Ctrl-C ends the wait.")
@flag("--dry-run", help="Print the HTTP request with the key masked; send nothing.")
@flag("--anyway", help="Send the conversation even if the stream has failed.")
@flag("--prefill", help="Let the model continue its own last message.")
@flag("--no-events", help="Write only the message, without its events.")
@filter_options
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
            is_detached=options["detach"],
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
