"""Commands as tools: an executable that says its tools, and a template of a command.

Rules:
* Nothing goes through a shell: a call is JSON on the stdin of an executable, and fields that
  are arguments, each in its place, of a template.
* What a command prints is the output, an attachment where it is no text; a status that is
  not 0, or the end of a limit, is an exception with its last words.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import threading

from ..errors import InputError, UsageError
from ..records.check import check_record
from ..records.jsonl import dumps, loads
from . import process
from .calls import Result
from .process import Limits, ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..records.types import ToolRecord

_PLACE = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
START = 60.0
"""Seconds in which a source must say its tools."""


def records_of(name: str, said: Iterable[Any]) -> dict[str, ToolRecord]:
    """Return tools by name. Raises ToolError for what is none, and for a name that no vendor takes."""
    found: dict[str, ToolRecord] = {}
    for record in said:
        if not isinstance(record, dict):
            raise ToolError(f"{name}: a tool must be an object")
        record = {**record, "type": "tool"}  # whatever it says it is
        try:
            check_record(record)
        except InputError as error:
            raise ToolError(f"{name}: {error}") from None
        if not _NAME.fullmatch(record["name"]):
            raise ToolError(f"{name}: {record['name']!r} is no name of a tool: letters, digits, _ and -, at most 64")
        known: Any = {"type": "tool", "input_schema": {"type": "object", "properties": {}}, **record}
        found[record["name"]] = known
    return found


def program(word: str) -> str:
    """Return the absolute path of a program, which is looked for once. Raises UsageError."""
    found = shutil.which(word)
    if found is None:
        raise UsageError(f"{word}: no such file, and no command of that name; a template is 'NAME: COMMAND {{FIELD}}'")
    return os.path.abspath(found)


class Executable:
    """A program: it prints its tools for --llm-tools, and gets each call as JSON on stdin:
    {"name", "arguments"}. What it prints is the output; a status that is not 0 is an exception."""

    def __init__(self, name: str, argv: list[str], env: dict[str, str]) -> None:
        self.name = name
        self._argv = argv
        self._env = env
        self._over = threading.Event()
        self._tools: dict[str, ToolRecord] | None = None

    @property
    def tools(self) -> dict[str, ToolRecord]:
        """Return the tools that the program prints, a line of JSON each."""
        if self._tools is None:
            done = process.run([*self._argv, "--llm-tools"], b"", Limits(START), self._env, self._over)
            if done.ended or done.status:
                raise ToolError(f"{self.name} --llm-tools: {_failure(done)}")
            try:
                self._tools = records_of(self.name, [loads(line) for line in done.output.splitlines() if line.strip()])
            except InputError as error:
                raise ToolError(f"{self.name} --llm-tools: {error}") from None
        return self._tools

    def call(self, name: str, arguments: dict[str, Any], limits: Limits) -> Result:
        """Run the program once."""
        data = dumps({"name": name, "arguments": arguments}) + b"\n"
        return _result(process.run(self._argv, data, limits, self._env, self._over))

    def close(self) -> None:
        """End what runs."""
        self._over.set()


class Template:
    """A command whose fields are arguments of the call, each in its place, never through a shell."""

    def __init__(self, name: str, command: str, env: dict[str, str]) -> None:
        self.name = name
        self._env = env
        self._over = threading.Event()
        text, _, description = command.partition(" # ")
        try:
            self._argv = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"the template {name}: {error}") from None
        if not self._argv or _PLACE.search(self._argv[0]):
            raise UsageError(f"the template {name}: its first word is the program, and no field")
        self._argv[0] = program(self._argv[0])
        fields = [field for word in self._argv for field in _PLACE.findall(word) if field]
        properties = {field: {"type": "string"} for field in fields}
        schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        if fields:
            schema["required"] = list(properties)
        said = description.strip() or f"Runs: {text.strip()}"
        self.tools: dict[str, ToolRecord] = records_of(
            name, [{"name": name, "description": said, "input_schema": schema}]
        )

    def call(self, name: str, arguments: dict[str, Any], limits: Limits) -> Result:
        """Run the command once."""

        def filled(match: re.Match[str]) -> str:
            return str(arguments[match[1]]) if match[1] else match[0][0]

        argv = [self._argv[0], *[_PLACE.sub(filled, word) for word in self._argv[1:]]]
        if any("\0" in word for word in argv):
            raise ToolError("an argument has a NUL character, which no command can be given")
        return _result(process.run(argv, b"", limits, self._env, self._over))

    def close(self) -> None:
        """End what runs."""
        self._over.set()


def _failure(done: process.Done) -> str:
    """Return in words how a process failed, with its last words."""
    how = done.ended or process.how_ended(done.status)
    said = done.errors.decode(errors="replace").strip()
    return f"{how}: {said}" if said else how


def _result(done: process.Done) -> Result:
    exception = _failure(done) if done.ended or done.status else None
    try:
        return Result(done.output.decode(), exception)
    except UnicodeDecodeError as error:
        if done.ended and error.start > len(done.output) - 4:  # cut in the middle of a character
            return Result(done.output.decode(errors="ignore"), exception)
        if done.ended:  # a piece of a file is none
            return Result("", exception)
        from ..attachment import from_bytes

        return Result("", exception, [from_bytes(done.output)])
