"""llm-models: lists the available models, sets the default and the aliases."""

from __future__ import annotations

import os
import time

import click

from ..errors import NoKeyError, NoModelError
from ..protocols.request import is_built_in
from ..providers import resolve
from ..providers.address import base_url_of
from ..providers.config import Config, read_config, set_value
from ..providers.lists import load_listings
from ..providers.names import did_you_mean
from ..providers.prices import with_prices
from ..records.jsonl import dumps
from .main import main
from .options import SECONDS, Command, flag, option, shared_options
from .process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..providers.list_formats import Listing, ModelEntry

EXAMPLES = """
llm-models
llm-models claude -l
llm-models show openai/gpt-5.5
llm-models default openai/gpt-5.5
llm-models alias fast groq/llama-3.3-70b-versatile
"""
ACTIONS = ("list", "show", "default", "alias")
COLUMNS = ("context", "max_output", "input", "output")
"""What -l shows beside the name: numbers of tokens, and dollars per million tokens."""


class WordType(click.Choice[str]):
    """The words of the command. The first may be an action, which completions offer."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take any word."""
        return str(value)


class ModelsCommand:
    """The run of one llm-models."""

    def __init__(self, process: Process, config: Config, options: dict[str, Any]) -> None:
        self.process = process
        self.config = config
        self.options = options

    # The lists

    def show_list(self, words: tuple[str, ...]) -> int:
        """Write the models whose names have all the words in them; return the exit status."""
        providers = resolve.all_providers(self.config)
        chosen = [word[:-1] for word in words if word.endswith("/") and word[:-1] in providers]
        lists = self._lists(chosen)
        failures = [listing.failure for listing in lists if listing.failure is not None]
        models = [model for listing in lists for model in sorted(listing.models, key=lambda model: str(model["name"]))]
        if not models and failures:
            return failures[0].exit_status
        if not models:
            raise NoKeyError("no provider has a key and none runs here: llm-keys set PROVIDER, or OPENAI_API_KEY=…")
        matches = [model for model in models if self._is_wanted(model, words)]
        if not matches:
            self.process.say(f"no model has {' and '.join(words) or 'conversations'} in its name")
            return failures[0].exit_status if failures else 1
        self._write(matches)
        return failures[0].exit_status if failures and chosen else 0

    def _lists(self, names: list[str]) -> list[Listing]:
        """Return the lists of providers, and report each that failed."""
        with self.process.interruptible():
            lists = load_listings(self.config, names, refresh=self.options["refresh"], limit=self.options["timeout"])
        for listing in lists:
            if listing.failure is not None:
                day = time.strftime("%Y-%m-%d", time.localtime(listing.fetched))
                earlier = f" (its list of {day} is shown)" if listing.models else ""
                message = listing.failure.message.removeprefix(f"no key for {listing.provider}: ")
                self.process.say(f"{listing.provider}: {message}{earlier}")
        return lists

    def _is_wanted(self, model: ModelEntry, words: tuple[str, ...]) -> bool:
        if model.get("chat") is False and not self.options["all"]:
            return False
        text = f"{model['name']} {model.get('title', '')}".lower()
        return all(word.lower() in text for word in words)

    def _write(self, models: list[ModelEntry]) -> None:
        if self.options["json"]:
            return self.process.write_lines([dumps(with_prices(model)) for model in models])
        rows = [[" ".join(str(model["name"]).splitlines())] for model in models]
        if self.options["long"]:
            rows = [[row[0], *_columns(with_prices(model))] for row, model in zip(rows, models, strict=True)]
            rows = [["MODEL", *(column.upper() for column in COLUMNS)], *rows]
            wide = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
            rows = [
                [row[0].ljust(wide[0]), *(cell.rjust(wide[i + 1]) for i, cell in enumerate(row[1:]))] for row in rows
            ]
        self.process.write_lines([self.process.visible("  ".join(row).rstrip()) for row in rows])

    # One model

    def show(self, name: str) -> None:
        """Write the fields of a model."""
        full_name = resolve.resolve_alias(name, self.config)
        if is_built_in(full_name):
            return self._write_fields({"name": full_name, "provider": full_name.partition("/")[0]})
        provider, model = resolve.split_name(name, self.config)
        settings = resolve.find_provider(provider, self.config)
        base_url = base_url_of(provider, settings, self.config.providers.get(provider, {}), model)[0]
        fields: ModelEntry = {"name": f"{provider}/{model}", "provider": provider, "id": model}
        listed = self._lists([provider])[0].models if settings.models else []
        fields.update(_entry(listed, provider, model))
        fields = {**with_prices(fields), "protocol": settings.protocol, "base_url": base_url}
        name = str(fields["name"])
        if aliases := [alias for alias in self.config.aliases if resolve.resolve_alias(alias, self.config) == name]:
            fields["aliases"] = aliases
        if options := resolve.model_options(name, self.config):
            fields["options"] = options
        self._write_fields(fields)

    def _write_fields(self, fields: ModelEntry) -> None:
        if self.options["json"]:
            return self.process.write_lines([dumps(fields)])
        lines = []
        for name, value in fields.items():
            if isinstance(value, dict):
                lines += [f"{name}.{key}: {_text(item)}" for key, item in value.items()]
            else:
                lines.append(f"{name}: {_text(value)}")
        self.process.write_lines([self.process.visible(" ".join(line.splitlines())) for line in lines])

    # Settings

    def default(self, name: str | None) -> None:
        """Write the default model, or set it."""
        if self.options["rm"]:
            return set_value(("default_model",), None)
        if name is not None:
            self._check_model(name)
            return set_value(("default_model",), name)
        default = os.environ.get("LLMTOOLS_MODEL") or self.config.default_model
        if not default:
            raise NoModelError("no default model: llm-models default MODEL sets one")
        self.process.write_lines([default.encode()])

    def alias(self, name: str | None, model: str | None) -> None:
        """Write the aliases or one of them; set or remove one."""
        aliases = self.config.aliases
        if name is None:
            return self.process.write_lines([f"{alias}\t{aliases[alias]}".encode() for alias in sorted(aliases)])
        if model is not None:
            self._check_model(model, Config(self.config.path, aliases={**aliases, name: model}))
            return set_value(("aliases", name), model)
        if name not in aliases:
            raise NoModelError(f"no alias is named {name!r}{did_you_mean(name, aliases, ': ')}")
        if self.options["rm"]:
            return set_value(("aliases", name), None)
        self.process.write_lines([aliases[name].encode()])

    def _check_model(self, model: str, config: Config | None = None) -> None:
        """Refuse a name that is not known, and an alias that leads back to itself."""
        if config is not None:
            resolve.resolve_alias(model, config)
        if not is_built_in(resolve.resolve_alias(model, self.config)):
            resolve.split_name(model, self.config)


def _entry(listed: list[ModelEntry], provider: str, model: str) -> ModelEntry:
    """Return the entry of a model in its provider's list. Raises NoModelError for a model that the list lacks."""
    matches = [entry for entry in listed if entry["id"] in (model, f"{model}:latest")]
    if listed and not matches:
        advice = did_you_mean(model, [str(entry["id"]) for entry in listed], ": ")
        raise NoModelError(f"{provider} does not list a model {model!r}{advice}")
    return matches[0] if matches else {}


def _columns(model: ModelEntry) -> list[str]:
    prices = model.get("prices", {})
    return [_text(model.get(name, prices.get(name, "-"))) for name in COLUMNS]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    return value if isinstance(value, str) else dumps(value).decode()


@click.command(
    name="llm-models",
    cls=Command,
    examples=EXAMPLES,
    short_help="List models, set aliases and the default",
    context_settings={"max_content_width": 100},
)
@click.argument("words", nargs=-1, type=WordType(ACTIONS), metavar="[ACTION] [WORD]...")
@flag("--refresh", help="Request every list again (lists are stored for a day).")
@flag("--json", help="Write everything that is known as JSON Lines.")
@flag("-l", "--long", help="Show also context, longest output, and prices in dollars per million tokens.")
@flag("-a", "--all", help="List also models that are not for conversations.")
@flag("--rm", help="Remove the default or the alias.")
@option(
    "--timeout",
    type=SECONDS,
    metavar="SECONDS",
    default=10,
    help="Wait at most SECONDS for the lists.  [default: 10]",
)
@shared_options
@click.pass_context
def command(ctx: click.Context, /, words: tuple[str, ...], **options: Any) -> None:
    """List the models of every provider that has a key or runs on this machine.

    \b
    [list] [WORD]...      list those with all the words in their names; PROVIDER/ asks one provider
    show MODEL            print what is known of a model
    default [MODEL]       print or set the model that llm-send uses without -m
    alias [NAME [MODEL]]  print the aliases, or set one
    """
    process: Process = ctx.obj
    action, rest = (words[0], words[1:]) if words[:1] and words[0] in ACTIONS else ("list", words)
    most = {"list": None, "show": 1, "default": 1, "alias": 2}[action]
    if most is not None and len(rest) > most:
        raise click.UsageError(f"{action} takes no more than {most} of the words")
    if options["rm"] and (action, len(rest)) not in (("default", 0), ("alias", 1)):
        raise click.UsageError("--rm goes with default, or with alias NAME")
    if action == "show" and not rest:
        raise click.UsageError("show needs a MODEL")
    process.check_stdout()
    lister = ModelsCommand(process, _config(action, options), options)
    if action == "list":
        ctx.exit(lister.show_list(rest))
    if action == "show":
        lister.show(rest[0])
    elif action == "default":
        lister.default(rest[0] if rest else None)
    else:
        lister.alias(*(*rest, None, None)[:2])


def _config(action: str, options: dict[str, Any]) -> Config:
    """Return the configuration. A file that an action is about to create need not exist."""
    from ..paths import CONFIG_VARIABLE, config_file

    if action in ("default", "alias") and os.environ.get(CONFIG_VARIABLE) and not config_file().exists():
        return Config(str(config_file()))
    return read_config()


def run() -> None:
    """The entry point."""
    main(command, writes_records=False)
