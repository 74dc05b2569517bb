"""Sources of tools: a SOURCE of the command line to an object that has tools and runs their calls.

tools.py                          functions of a Python file
./tool, name                      an executable that prints its tools with --llm-tools
'grep: grep -rn -- {pattern} .'   a command template
mcp:COMMAND, mcp+https://…        an MCP server
@NAME                             the sources that the configuration lists under NAME
NAME=SOURCE                       any of these, with tools named NAME_TOOL
"""

from __future__ import annotations

import os
import re
import shlex
import sys

from ..errors import ConfigError, UsageError
from .command import CommandTemplate, Executable, find_program, tools_by_name
from .logins import MCP_CLIENT, WEB_SCHEMES, Login
from .worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Protocol

    from ..records.types import ToolRecord
    from .calls import Result
    from .process import CallLimits

    class ToolSource(Protocol):
        """A source of tools: `tools` are their records, by name."""

        name: str

        @property
        def notices(self) -> Sequence[str]:
            """What the user should know of the tools, once they are listed."""

        @property
        def tools(self) -> dict[str, ToolRecord]:
            """The tools, by name. Raises ToolError if the source does not list them."""

        def call(self, name: str, arguments: dict[str, Any], limits: CallLimits) -> Result:
            """Run a call; a failure is in the result. Raises ToolError if the call cannot run."""

        def close(self) -> None:
            """End the processes of the source."""


_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
WEB_VARIABLES = (*_PROXIES, *map(str.upper, _PROXIES), *_CERTIFICATES)
"""The variables for proxies and certificates, passed on to the child that connects to a server on the web."""

_PREFIXED = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)=(\S.*)", re.DOTALL)
_TEMPLATE = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*):\s+(\S.*)", re.DOTALL)


class PrefixedSource:
    """A source whose tools are named NAME_TOOL, so that two sources can have a tool of the same name."""

    def __init__(self, name: str, source: ToolSource) -> None:
        self.name = f"{name}={source.name}"
        self._prefix = f"{name}_"
        self._source = source

    @property
    def notices(self) -> Sequence[str]:
        """What the user should know of the tools."""
        return self._source.notices

    @property
    def tools(self) -> dict[str, ToolRecord]:
        """The tools, by their new names. Raises ToolError."""
        renamed = [{**record, "name": self._prefix + name} for name, record in self._source.tools.items()]
        return tools_by_name(self.name, renamed)

    def call(self, name: str, arguments: dict[str, Any], limits: CallLimits) -> Result:
        """Run a call."""
        return self._source.call(name.removeprefix(self._prefix), arguments, limits)

    def close(self) -> None:
        """End the processes of the source."""
        self._source.close()


def parse_source(text: str, env: dict[str, str]) -> ToolSource:
    """Return the source for a SOURCE other than @NAME. `env`: the environment of its processes.

    Raises UsageError.
    """
    if (match := _PREFIXED.fullmatch(text)) and not os.path.exists(text):
        return PrefixedSource(match[1], parse_source(match[2], env))
    if text.startswith(("mcp:", *WEB_SCHEMES)):
        is_web = text.startswith(WEB_SCHEMES)
        web = {name: os.environ[name] for name in WEB_VARIABLES if name in os.environ} if is_web else {}
        login = Login(text.removeprefix("mcp+")) if is_web else None
        return Worker(text, [*MCP_CLIENT, text], {**web, **env}, login)
    if match := _TEMPLATE.fullmatch(text):
        return CommandTemplate(match[1], match[2], env)
    if text.endswith(".py"):
        if not os.path.isfile(text):
            raise UsageError(f"{text}: no such file")
        return Worker(text, [sys.executable, "-P", "-m", "llmtools.tools.worker_main", os.path.abspath(text)], env)
    words = [text] if os.path.exists(text) else _split_command(text)
    if not words:
        raise UsageError("an empty SOURCE")
    return Executable(text, [find_program(words[0]), *words[1:]], env)


def _split_command(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{command}: {error}") from None


def parse_sources(
    texts: Iterable[str], read_configured: Callable[[], dict[str, list[str]]], env: dict[str, str]
) -> list[ToolSource]:
    """Return the sources for several SOURCEs.

    read_configured: returns the lists of SOURCEs of the configuration, by NAME; called only for
    @NAME. Raises UsageError, ConfigError.
    """
    sources: list[ToolSource] = []
    for text in texts:
        match = _PREFIXED.fullmatch(text)
        prefix, wanted = (match[1], match[2]) if match and match[2].startswith("@") else (None, text)
        if not wanted.startswith("@"):
            sources.append(parse_source(text, env))
            continue
        configured = read_configured()
        if wanted[1:] not in configured:
            raise ConfigError(f"{wanted}: the configuration names no tools {wanted[1:]!r}")
        of_name = [parse_source(each, env) for each in configured[wanted[1:]]]
        sources += of_name if prefix is None else [PrefixedSource(prefix, each) for each in of_name]
    return sources
