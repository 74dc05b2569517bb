"""What a SOURCE names: an object with tools, each of which can be called.

tools.py                          functions of a Python file
./tool, name                      an executable that prints its tools for --llm-tools
'grep: grep -rn -- {pattern} .'   a command template
mcp:COMMAND, mcp+https://…        a server that speaks MCP
@NAME                             those that the configuration lists
NAME=SOURCE                       any of these, its tools called NAME_TOOL
"""

from __future__ import annotations

import os
import re
import shlex
import sys

from ..errors import ConfigError, UsageError
from .command import (
    Executable,
    Template,
    program,
    records_of,
)
from .worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    from ..records.types import ToolRecord
    from .calls import Result
    from .process import Limits

    class Source(Protocol):
        """Where tools are from: `tools` are their records, by name."""

        name: str

        @property
        def tools(self) -> dict[str, ToolRecord]:
            """Return the tools. Raises ToolError where the source cannot be asked."""

        def call(self, name: str, arguments: dict[str, Any], limits: Limits) -> Result:
            """Run a call; what goes wrong is in the result. Raises ToolError where it cannot be run."""

        def close(self) -> None:
            """End what the source keeps running."""


_WEB = ("mcp+http://", "mcp+https://")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
WEB = (*_PROXIES, *map(str.upper, _PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables that say how a server on the web is reached: for our own process that asks it."""

_NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)=(\S.*)", re.DOTALL)
_TEMPLATE = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*):\s+(\S.*)", re.DOTALL)


class Named:
    """A source whose tools are called NAME_TOOL, so that two sources can have a tool of one name."""

    def __init__(self, name: str, source: Source) -> None:
        self.name = f"{name}={source.name}"
        self._prefix = f"{name}_"
        self._source = source

    @property
    def tools(self) -> dict[str, ToolRecord]:
        """Return the tools, by their new names. Raises ToolError."""
        renamed = [{**record, "name": self._prefix + name} for name, record in self._source.tools.items()]
        return records_of(self.name, renamed)

    def call(self, name: str, arguments: dict[str, Any], limits: Limits) -> Result:
        """Run a call."""
        return self._source.call(name.removeprefix(self._prefix), arguments, limits)

    def close(self) -> None:
        """End what the source keeps running."""
        self._source.close()


def source(named: str, env: dict[str, str]) -> Source:
    """Return what a SOURCE names; `env` is the environment of what it starts. Raises UsageError."""
    if (match := _NAMED.fullmatch(named)) and not os.path.exists(named):
        return Named(match[1], source(match[2], env))
    if named.startswith(("mcp:", *_WEB)):
        web = {name: os.environ[name] for name in WEB if name in os.environ} if named.startswith(_WEB) else {}
        return Worker(named, [sys.executable, "-P", "-m", "llmtools.tools.mcp_main", named], {**web, **env})
    if match := _TEMPLATE.fullmatch(named):
        return Template(match[1], match[2], env)
    if named.endswith(".py"):
        if not os.path.isfile(named):
            raise UsageError(f"{named}: no such file")
        return Worker(named, [sys.executable, "-P", "-m", "llmtools.tools.worker_main", os.path.abspath(named)], env)
    words = [named] if os.path.exists(named) else _words(named)
    if not words:
        raise UsageError("a SOURCE with nothing in it")
    return Executable(named, [program(words[0]), *words[1:]], env)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{command}: {error}") from None


def sources(named: Iterable[str], configured: Callable[[], dict[str, list[str]]], env: dict[str, str]) -> list[Source]:
    """Return the sources that are named; `configured` gives those of @NAME.

    Raises UsageError, ConfigError.
    """
    found: list[Source] = []
    for name in named:
        match = _NAMED.fullmatch(name)
        prefix, wanted = (match[1], match[2]) if match and match[2].startswith("@") else (None, name)
        if not wanted.startswith("@"):
            found.append(source(name, env))
            continue
        listed = configured()
        if wanted[1:] not in listed:
            raise ConfigError(f"{wanted}: the configuration names no tools {wanted[1:]!r}")
        of_name = [source(each, env) for each in listed[wanted[1:]]]
        found += of_name if prefix is None else [Named(prefix, each) for each in of_name]
    return found
