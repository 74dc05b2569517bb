"""llm-keys: stores API keys in the system keyring, and reports where a key would come from."""

from __future__ import annotations

import os

import click

from ..errors import ConfigError, NoKeyError
from ..providers import keychain, keys, resolve
from ..providers.address import base_url_of, is_self_hosted
from ..providers.config import read_config
from .main import main
from .options import Command, shared_options
from .process import STDIN_WAIT, Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..providers.config import Config

EXAMPLES = """
llm-keys set openai
pass show api/openai | llm-keys set openai
llm-keys which openai
llm-keys list
"""
ACTIONS = ("set", "list", "rm", "which")
PLAIN = ("keyrings.alt.file.PlaintextKeyring",)
"""Backends that do not encrypt."""


class KeyCommands:
    """The run of one llm-keys."""

    def __init__(self, process: Process, config: Config) -> None:
        self.process = process
        self.config = config

    def _waiting(self) -> None:
        self.process.say("waiting for the keyring, which may want to be unlocked (Ctrl-C ends this)")

    def _ask(self, function: Callable[..., Any], *arguments: str) -> Any:
        """Call a function of the keyring; a person at the terminal gets time to unlock it."""
        waiting = self._waiting if self.process.is_terminal(2) else None
        try:
            with self.process.interruptible():
                return function(*arguments, waiting)
        except keychain.KeyringError as error:
            raise NoKeyError(f"{error}; a variable, key_command or --key-file does without it") from None

    def set(self, name: str) -> None:
        """Read a key and store it."""
        provider = resolve.find_provider(name, self.config)
        key = keys.secret_of(self._read_key(name), "stdin")
        backend = self._ask(keychain.store_key, name, key.reveal())
        if backend in PLAIN:
            self.process.say(f"kept, but not encrypted: {backend} writes it to a file")
        elif self.process.verbose:
            self.process.say(f"kept in {backend}")
        before = [variable for variable in provider.keys if os.environ.get(variable)]
        if before and not self.process.quiet:
            self.process.say(f"{before[0]} is set, and comes first")

    def _read_key(self, name: str) -> str:
        """Return the key that a person types, unseen, or that stdin has."""
        kind = self.process.stdin_kind()
        if kind == "none":
            raise click.UsageError("no key on stdin: pipe it in, or type it at a terminal")
        if kind == "stream":
            data = b"".join(self.process.chunks(STDIN_WAIT))
            try:
                return data.decode()
            except UnicodeDecodeError:
                raise NoKeyError("stdin holds no key: it is not text") from None
        import getpass

        with self.process.interruptible():
            try:
                return getpass.getpass(f"Key for {name}: ")
            except EOFError:
                return ""

    def rm(self, name: str) -> None:
        """Remove a key from the keyring."""
        if name not in keychain.key_names():
            resolve.find_provider(name, self.config)
        if not self._ask(keychain.delete_key, name):
            raise NoKeyError(f"the keyring has no key for {name}")

    def names(self) -> None:
        """Write the names of the stored keys."""
        self._write(keychain.key_names())

    def which(self, name: str | None) -> None:
        """Write where the key of a provider would come from, or of each that has one."""
        if name is not None:
            return self._write([self._place(name)])
        in_keyring = keychain.key_names()
        lines = []
        for name, provider in resolve.all_providers(self.config).items():
            settings = self.config.providers.get(name, {})
            variable = next((variable for variable in provider.keys if os.environ.get(variable)), None)
            if variable:
                lines.append(f"{name}\tvariable {variable}")
            elif "key_command" in settings:
                lines.append(f"{name}\tkey_command {settings['key_command'][0]}")
            elif name in in_keyring:
                lines.append(f"{name}\tkeyring")
        self._write(lines)

    def _place(self, name: str) -> str:
        provider, settings = resolve.find_provider(name, self.config), self.config.providers.get(name, {})
        try:
            is_here = is_self_hosted(provider, base_url_of(name, provider, settings, "")[0])
        except ConfigError:  # an address that is not configured is not this machine
            is_here = False
        waiting = self._waiting if self.process.is_terminal(2) else None
        with self.process.interruptible():
            found_key = keys.find_key_and_place(name, provider, settings, is_local=is_here, on_wait=waiting)
        return found_key[1] if found_key else "none: it needs no key"

    def _write(self, lines: list[str]) -> None:
        self.process.write_lines([line.encode() for line in lines])


@click.command(
    name="llm-keys",
    cls=Command,
    examples=EXAMPLES,
    short_help="Keep API keys in the system keyring",
    context_settings={"max_content_width": 100},
)
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("provider", required=False)
@shared_options
@click.pass_context
def command(ctx: click.Context, /, action: str, provider: str | None, color: str) -> None:
    """Keep the API keys of providers in the system keyring.

    \b
    set PROVIDER      store a key: typed at the terminal, unseen, or from stdin
    list              list the providers that have a stored key
    rm PROVIDER       delete a key
    which [PROVIDER]  print where the key would come from, never the key
    """
    process: Process = ctx.obj
    if action == "list" and provider is not None:
        raise click.UsageError("list takes no provider")
    if action in ("set", "rm") and provider is None:
        raise click.UsageError(f"{action} needs a PROVIDER")
    process.check_stdout()
    keeper = KeyCommands(process, read_config())
    if action == "list":
        keeper.names()
    elif action == "which":
        keeper.which(provider)
    else:
        getattr(keeper, action)(provider)


def run() -> None:
    """The entry point."""
    main(command, writes_records=False)
