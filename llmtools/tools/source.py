"""What a SOURCE names: an object with tools, each of which can be called.

tools.py                          functions of a Python file
./tool, name                      an executable that prints its tools for --llm-tools
'grep: grep -rn -- {pattern} .'   a command template
mcp:COMMAND, mcp+https://…        a server that speaks MCP
@NAME                             those that the configuration lists
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import threading
from dataclasses import dataclass

from ..errors import ConfigError, InputError, UsageError
from ..jsonl import dumps, loads
from . import process
from .command import START, Executable, Template, records_of
from .function import Result
from .process import Limits, ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    from ..types import ToolRecord

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


_TEMPLATE = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*):\s+(\S.*)", re.DOTALL)


class Worker:
    """Tools that a child process holds, which lives from the first use to `close`, and again
    after it died."""

    def __init__(self, name: str, argv: list[str], env: dict[str, str]) -> None:
        self.name = name
        self._argv = argv
        self._env = env
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._waiting: dict[int, tuple[threading.Event, list[Any]]] = {}
        self._count = 0
        self._tools: dict[str, ToolRecord] | None = None

    @property
    def tools(self) -> dict[str, ToolRecord]:
        """Return the tools that the process says it has."""
        with self._lock:
            if self._tools is None:
                self._start()
            return self._tools or {}

    def call(self, name: str, arguments: dict[str, Any], limits: Limits) -> Result:
        """Run a call in the process."""
        answered, place = threading.Event(), []  # type: ignore[var-annotated]
        with self._lock:
            if self._child is None or self._child.poll() is not None:
                self._start()
            self._count += 1
            number = self._count
            self._waiting[number] = (answered, place)
            self._write({"id": number, "name": name, "arguments": arguments, "max_output": limits.max_output})
        if not answered.wait(limits.timeout):
            self._waiting.pop(number, None)
            if not self._waiting:  # nobody else's call is lost with the process
                self.close()
            return Result(exception=f"timed out after {limits.timeout:g} s")
        if not place:
            return Result(exception=f"the process of {self.name} ended")
        said = place[0]
        return Result(said["output"], said.get("exception"), said.get("attachments", []))

    def close(self) -> None:
        """End the process: its stdin is closed first, so that it can go by itself."""
        child, self._child = self._child, None
        if child is not None:
            if child.stdin is not None:
                child.stdin.close()
            process.stop(child, grace=process.GRACE)

    def _start(self) -> None:
        child = process.start(self._argv, self._env, stderr=None)
        said: list[Any] = []
        greeted = threading.Event()
        threading.Thread(target=self._listen, args=(child, said, greeted), daemon=True).start()
        if not greeted.wait(START) or not said:
            process.stop(child, grace=0)
            raise ToolError(f"{self.name}: it did not say its tools" + ("" if greeted.is_set() else f" in {START:g} s"))
        if "error" in said[0]:
            process.stop(child, grace=0)
            raise ToolError(f"{self.name}: {said[0]['error']}")
        self._child, self._tools = child, records_of(self.name, said[0]["tools"])

    def _listen(self, child: subprocess.Popen[bytes], said: list[Any], greeted: threading.Event) -> None:
        """Take what the process says, until it ends; wake those who wait for it."""
        if child.stdout is None:
            return
        for line in child.stdout:
            try:
                value = loads(line)
            except InputError:
                break
            if not greeted.is_set():
                said.append(value)
                greeted.set()
            elif waiting := self._waiting.pop(value["id"], None):
                waiting[1].append(value)
                waiting[0].set()
        greeted.set()
        for number in list(self._waiting):
            if waiting := self._waiting.pop(number, None):
                waiting[0].set()

    def _write(self, value: dict[str, Any]) -> None:
        if self._child is None or self._child.stdin is None:
            return
        try:
            self._child.stdin.write(dumps(value) + b"\n")
            self._child.stdin.flush()
        except OSError:
            raise ToolError(f"the process of {self.name} ended") from None


def _program(word: str) -> str:
    """Return the absolute path of a program. Raises UsageError."""
    found = shutil.which(word)
    if found is None:
        raise UsageError(f"{word}: no such file, and no command of that name; a template is 'NAME: COMMAND {{FIELD}}'")
    return os.path.abspath(found)


def source(named: str, env: dict[str, str]) -> Source:
    """Return what a SOURCE names. Raises UsageError."""
    if named.startswith(("mcp:", "mcp+http://", "mcp+https://")):
        return Worker(named, [sys.executable, "-P", "-m", "llmtools.tools.mcp", named], env)
    if match := _TEMPLATE.fullmatch(named):
        return Template(match[1], match[2], env)
    if named.endswith(".py"):
        if not os.path.isfile(named):
            raise UsageError(f"{named}: no such file")
        return Worker(named, [sys.executable, "-P", "-m", "llmtools.tools.worker", os.path.abspath(named)], env)
    words = [named] if os.path.exists(named) else shlex.split(named)
    if not words:
        raise UsageError("a SOURCE with nothing in it")
    return Executable(named, [_program(words[0]), *words[1:]], env)


def sources(named: Iterable[str], configured: Callable[[], dict[str, list[str]]], env: dict[str, str]) -> list[Source]:
    """Return the sources that are named; `configured` gives those of @NAME.

    Raises UsageError, ConfigError.
    """
    found: list[Source] = []
    for name in named:
        if not name.startswith("@"):
            found.append(source(name, env))
            continue
        listed = configured()
        if name[1:] not in listed:
            raise ConfigError(f"{name}: the configuration names no tools {name[1:]!r}")
        found += [source(each, env) for each in listed[name[1:]]]
    return found


@dataclass(frozen=True, slots=True)
class Toolset:
    """The tools of several sources: `records` by name, and who runs each."""

    sources: list[Source]
    records: dict[str, ToolRecord]
    owners: dict[str, Source]

    def close(self) -> None:
        """End what the sources keep running."""
        for each in self.sources:
            each.close()


def toolset(found: list[Source]) -> Toolset:
    """Return the tools of sources, which are asked all at once.

    Raises ToolError for a source that cannot be asked, UsageError for a name that two have.
    """
    from concurrent.futures import ThreadPoolExecutor

    records: dict[str, ToolRecord] = {}
    owners: dict[str, Source] = {}
    with ThreadPoolExecutor(max(len(found), 1)) as pool:
        asked = [pool.submit(lambda each=each: each.tools) for each in found]  # type: ignore[misc]
        try:
            for owner, tools in zip(found, [one.result() for one in asked], strict=True):
                for name, record in tools.items():
                    if name in records:
                        raise UsageError(f"{owners[name].name} and {owner.name} both have a tool {name}")
                    records[name], owners[name] = record, owner
        except BaseException:
            for owner in found:
                owner.close()
            raise
    return Toolset(found, records, owners)
