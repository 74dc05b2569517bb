"""Commands as tools: executables that list their own tools, and command templates.

Rules:
* Nothing goes through a shell. An executable reads a call as JSON from stdin. In a template each
  field becomes an argument, or a piece of one.
* The stdout of a command is the output of the call, or an attachment if it is not text. If the
  status is not 0, or a limit was reached, the exception has the end of stderr.
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
from .process import CallLimits, ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ..records.types import ToolRecord

_TEMPLATE_FIELD = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
START_TIMEOUT = 60.0
"""The seconds in which a source must list its tools."""


def tools_by_name(source: str, values: Iterable[Any]) -> dict[str, ToolRecord]:
    """Return the tools that a source lists, checked, by name.

    Raises ToolError for a value that is not a tool, and for a name that vendors do not accept.
    """
    tools: dict[str, ToolRecord] = {}
    for value in values:
        if not isinstance(value, dict):
            raise ToolError(f"{source}: a tool must be an object")
        value = {**value, "type": "tool"}  # whatever type it names
        try:
            check_record(value)
        except InputError as error:
            raise ToolError(f"{source}: {error}") from None
        if not _TOOL_NAME.fullmatch(value["name"]):
            raise ToolError(f"{source}: {value['name']!r} is not a tool name: letters, digits, _ and -, at most 64")
        tool: Any = {"type": "tool", "input_schema": {"type": "object", "properties": {}}, **value}
        tools[value["name"]] = tool
    return tools


def find_program(word: str) -> str:
    """Return the absolute path of a program, so that later calls run the same file. Raises UsageError."""
    path = shutil.which(word)
    if path is None:
        raise UsageError(f"{word}: no such file, and no command of that name; a template is 'NAME: COMMAND {{FIELD}}'")
    return os.path.abspath(path)


class Executable:
    """A program that prints its tools with --llm-tools. Each call starts it once, with
    {"name", "arguments"} on stdin; its stdout is the output. A status other than 0 is an exception."""

    notices: Sequence[str] = ()

    def __init__(self, name: str, argv: list[str], env: dict[str, str]) -> None:
        self.name = name
        self._argv = argv
        self._env = env
        self._cancel = threading.Event()
        self._tools: dict[str, ToolRecord] | None = None

    @property
    def tools(self) -> dict[str, ToolRecord]:
        """The tools that the program prints, a line of JSON each. Raises ToolError."""
        if self._tools is None:
            limits = CallLimits(START_TIMEOUT)
            completed = process.run_command([*self._argv, "--llm-tools"], b"", limits, self._env, self._cancel)
            if completed.end_reason or completed.status:
                raise ToolError(f"{self.name} --llm-tools: {_describe_failure(completed)}")
            try:
                values = [loads(line) for line in completed.output.splitlines() if line.strip()]
                self._tools = tools_by_name(self.name, values)
            except InputError as error:
                raise ToolError(f"{self.name} --llm-tools: {error}") from None
        return self._tools

    def call(self, name: str, arguments: dict[str, Any], limits: CallLimits) -> Result:
        """Run the program once."""
        data = dumps({"name": name, "arguments": arguments}) + b"\n"
        return _process_result(process.run_command(self._argv, data, limits, self._env, self._cancel))

    def close(self) -> None:
        """End the running calls."""
        self._cancel.set()


class CommandTemplate:
    """A command line with fields. The arguments of a call fill the fields, without a shell."""

    notices: Sequence[str] = ()

    def __init__(self, name: str, command: str, env: dict[str, str]) -> None:
        self.name = name
        self._env = env
        self._cancel = threading.Event()
        text, _, comment = command.partition(" # ")
        try:
            self._argv = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"the template {name}: {error}") from None
        if not self._argv or _TEMPLATE_FIELD.search(self._argv[0]):
            raise UsageError(f"the template {name}: the first word must be the program, not a field")
        self._argv[0] = find_program(self._argv[0])
        fields = [field for word in self._argv for field in _TEMPLATE_FIELD.findall(word) if field]
        properties = {field: {"type": "string"} for field in fields}
        schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        if fields:
            schema["required"] = list(properties)
        description = comment.strip() or f"Runs: {text.strip()}"
        self.tools: dict[str, ToolRecord] = tools_by_name(
            name, [{"name": name, "description": description, "input_schema": schema}]
        )

    def call(self, name: str, arguments: dict[str, Any], limits: CallLimits) -> Result:
        """Run the command once."""

        def value_of_field(match: re.Match[str]) -> str:
            return str(arguments[match[1]]) if match[1] else match[0][0]

        argv = [self._argv[0], *[_TEMPLATE_FIELD.sub(value_of_field, word) for word in self._argv[1:]]]
        if any("\0" in word for word in argv):
            raise ToolError("an argument contains a NUL character, which a command cannot receive")
        return _process_result(process.run_command(argv, b"", limits, self._env, self._cancel))

    def close(self) -> None:
        """End the running calls."""
        self._cancel.set()


def _describe_failure(completed: process.Completed) -> str:
    """Return how a process failed, and the end of its stderr."""
    how = completed.end_reason or process.describe_status(completed.status)
    stderr = completed.errors.decode(errors="replace").strip()
    return f"{how}: {stderr}" if stderr else how


def _process_result(completed: process.Completed) -> Result:
    exception = _describe_failure(completed) if completed.end_reason or completed.status else None
    try:
        return Result(completed.output.decode(), exception)
    except UnicodeDecodeError as error:
        if completed.end_reason and error.start > len(completed.output) - 4:  # cut in the middle of a character
            return Result(completed.output.decode(errors="ignore"), exception)
        if completed.end_reason:  # a cut file is of no use
            return Result("", exception)
        from ..attachment import from_bytes

        return Result("", exception, [from_bytes(completed.output)])
