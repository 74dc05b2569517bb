"""The tools of a prompt from Python: functions, objects with methods, and records of others.

Rules:
* A function is a tool by its name, type hints and docstring (`tools.function`). Each public method
  of a Toolbox is one, as Class_method. A record (a dict) is offered, and run by nobody here.
* Calls run side by side: coroutines in an event loop, functions in threads. Every call gets its
  result, in the order of the calls; what goes wrong is told to the model by `exception`.
"""

from __future__ import annotations

import inspect
from typing import Any

from .errors import LlmToolsError
from .schema import check
from .tools.function import Result, result_of, tool_record, values_of
from .values import Attachment, ToolCall, ToolResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .types import ToolRecord


class Toolbox:
    """A group of tools that share an object: each public method of a subclass is one.

    class Notes(llmtools.Toolbox):
        def __init__(self) -> None:
            self.kept: list[str] = []

        def keep(self, note: str) -> str:
            "Keep a note."
            self.kept.append(note)
            return "kept"

    model.prompt("…", tools=[Notes()])
    """

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return the methods that are tools, by the names that the model sees."""
        names = [name for kind in type(self).__mro__ if kind not in (Toolbox, object) for name in vars(kind)]
        found = {name: getattr(self, name) for name in dict.fromkeys(names) if not name.startswith("_")}
        return {f"{type(self).__name__}_{name}": method for name, method in found.items() if callable(method)}


class Tool:
    """A function as a tool, where its name, description or schema are not to be its own."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        input_schema: dict[str, Any] | None = None,
    ) -> None:
        self.function = function
        self.record: ToolRecord = tool_record(function, name)
        if description is not None:
            self.record["description"] = description
        if input_schema is not None:
            self.record["input_schema"] = input_schema


class Tools:
    """The tools of a prompt. `records` are what the model is offered."""

    def __init__(self, given: Iterable[Any] = ()) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self._functions: dict[str, Callable[..., Any]] = {}
        for each in given:
            self._add(each)

    def _add(self, given: Any) -> None:
        if isinstance(given, dict):
            self.records[given["name"]] = {**given, "type": "tool"}
            return
        if isinstance(given, type) and issubclass(given, Toolbox):
            given = given()
        if isinstance(given, Toolbox):
            for name, method in given.functions().items():
                self._keep(Tool(method, name=name))
            return
        self._keep(given if isinstance(given, Tool) else Tool(given))

    def _keep(self, tool: Tool) -> None:
        name = tool.record["name"]
        self.records[name] = dict(tool.record)
        self._functions[name] = tool.function

    def run(self, calls: list[ToolCall]) -> list[ToolResult]:
        """Run calls; return their results in the order of the calls."""
        if any(inspect.iscoroutinefunction(self._functions.get(call.name)) for call in calls):
            from asyncio import run

            return run(self.arun(calls))
        if len(calls) < 2:
            return [_told(call, self._run(call)) for call in calls]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(len(calls)) as pool:
            return [_told(call, result) for call, result in zip(calls, pool.map(self._run, calls), strict=True)]

    async def arun(self, calls: list[ToolCall]) -> list[ToolResult]:
        """As `run`, in asyncio."""
        from asyncio import gather

        results = await gather(*[self._arun(call) for call in calls])
        return [_told(call, result) for call, result in zip(calls, results, strict=True)]

    def _values(self, call: ToolCall) -> tuple[Callable[..., Any], dict[str, Any]]:
        """Return the function of a call, and its arguments. Raises LlmToolsError."""
        function = self._functions.get(call.name)
        if function is None:
            known = "was not offered" if call.name not in self.records else "cannot be run here"
            raise LlmToolsError(f"the tool {call.name} {known}")
        schema = self.records[call.name]["input_schema"]
        check(call.arguments, schema, schema, "arguments")
        return function, values_of(function, call.arguments)

    def _run(self, call: ToolCall) -> Result:
        try:
            function, values = self._values(call)
            return result_of(function(**values))
        except Exception as error:
            return _failed(error)

    async def _arun(self, call: ToolCall) -> Result:
        from asyncio import to_thread

        try:
            function, values = self._values(call)
            if inspect.iscoroutinefunction(function):
                return result_of(await function(**values))
            return result_of(await to_thread(function, **values))
        except Exception as error:
            return _failed(error)


def _failed(error: Exception) -> Result:
    if isinstance(error, LlmToolsError):
        return Result(exception=error.message)
    return Result(exception=f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _told(call: ToolCall, result: Result) -> ToolResult:
    attachments = [Attachment(attachment) for attachment in result.attachments]
    return ToolResult(call.name, result.output, call.tool_call_id, result.exception, attachments)
