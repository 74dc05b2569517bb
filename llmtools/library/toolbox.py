"""The tools of a prompt from Python: functions, objects with methods, and records of others.

Rules:
* A function is a tool by its name, type hints and docstring (`tools.function`). Each public method
  of a Toolbox is one, as Class_method. A record (a dict) is offered, but not run here.
* Without asyncio, calls run one after the other in the calling thread, as a function with its own
  database connection needs. In asyncio they run at the same time, plain functions in threads.
* Every call gets its result, in the order of the calls. What goes wrong is its `exception`, and in its
  output, for the model to read. Only PauseChain comes through.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MethodType
from typing import Any

from ..errors import InputError
from ..records.build import deep_copy
from ..tools.calls import Result, refusal_reason
from ..tools.function import await_if_needed, call_async, call_sync, methods_of, result_of, tool_record, values_of
from .calls import CancelToolCall, PauseChain, ToolCall, ToolOutput, ToolResult, output_of_exception
from .files import Attachment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
    from typing import TypeAlias

    Given: TypeAlias = "Callable[..., Any] | Tool | Toolbox | type[Toolbox] | Mapping[str, Any]"
    Before: TypeAlias = "Callable[[Tool | None, ToolCall], Awaitable[None] | None]"
    After: TypeAlias = "Callable[[Tool, ToolCall, ToolResult], Awaitable[None] | None]"
    Run: TypeAlias = "Callable[..., Coroutine[Any, Any, Any]]"

CALL = "llm_tool_call"
"""A parameter of this name gets the ToolCall itself; the model does not see it."""


@dataclass
class Tool:
    """A tool whose name, description or schema differ from those of its function, `implementation`.

    A tool without a function is offered, but not run here.

        llmtools.Tool.function(upper, name="capitals").record()["name"]  # "capitals"
    """

    name: str
    description: str | None = None
    input_schema: dict[str, Any] = field(default_factory=dict)
    implementation: Callable[..., Any] | None = None
    whole_record: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    """The `tool` record that it was made from, such as that of a vendor's own tool; None for a function."""

    def __post_init__(self) -> None:
        if hasattr(self.input_schema, "model_json_schema"):  # a pydantic model
            self.input_schema = self.input_schema.model_json_schema()

    @classmethod
    def function(cls, function: Callable[..., Any], name: str | None = None, description: str | None = None) -> Tool:
        """Return a function as a tool.

        Raises InputError for a function with positional-only parameters.
        """
        record = tool_record(function, name)
        schema = record["input_schema"]
        schema["properties"].pop(CALL, None)
        if CALL in schema.get("required", ()):
            schema["required"].remove(CALL)
        return cls(record["name"], description or record.get("description"), schema, function)

    def record(self) -> dict[str, Any]:
        """Return the `tool` record."""
        if self.whole_record is not None:
            return {**self.whole_record}
        description = {"description": self.description} if self.description else {}
        return {"type": "tool", "name": self.name, **description, "input_schema": self.input_schema}


class Toolbox:
    """Tools that share an object: each public method of a subclass is a tool.

    class Notes(llmtools.Toolbox):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def keep(self, note: str) -> str:
            "Keep a note."
            self.notes.append(note)
            return "kept"

    model.prompt("…", tools=[Notes()])
    """

    _added: tuple[Tool, ...] = ()
    _is_prepared = False

    def tools(self) -> list[Tool]:
        """Return the tools: the methods, by the names that the model sees, and those that were added."""
        return [*(Tool.function(method, name) for name, method in methods_of(self).items()), *self._added]

    def add_tool(self, tool: Tool | Callable[..., Any], pass_self: bool = False) -> None:
        """Add a function or a Tool; with `pass_self` the function gets this object first.

        box = llmtools.Toolbox()
        box.add_tool(upper)
        [tool.name for tool in box.tools()]  # ["upper"]
        """
        if not isinstance(tool, Tool):
            tool = Tool.function(MethodType(tool, self) if pass_self else tool)
        self._added = (*self._added, tool)

    def prepare(self) -> None:
        """Prepare the toolbox, once, before its first use: a subclass may override it, to call `add_tool`."""

    async def prepare_async(self) -> None:
        """As `prepare`, for asyncio."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Functions that are called before and after each call."""

    before: Before | None = None
    after: After | None = None


class Tools:
    """The tools of a prompt. `records` are what the model is offered."""

    def __init__(self, given: Iterable[Given] = ()) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self._tools: dict[str, Tool] = {}
        self._boxes: list[Toolbox] = []
        for each in given:
            self._add(each)

    def tools(self) -> list[Tool]:
        """Return the tools. One that was given as a record has no function."""
        return [self._tools.get(name) or _tool_of(record) for name, record in self.records.items()]

    def _add(self, given: Given) -> None:
        if isinstance(given, Mapping):
            self.records[given["name"]] = {**given, "type": "tool"}
            return
        if isinstance(given, type) and issubclass(given, Toolbox):
            given = given()
        if isinstance(given, Toolbox):
            self._boxes.append(given)
            self._keep(given.tools())
        elif isinstance(given, Tool):
            self._keep([given])
        else:
            self._keep([Tool.function(given)])

    def _keep(self, tools: Iterable[Tool]) -> None:
        for tool in tools:
            self.records[tool.name] = tool.record()
            self._tools[tool.name] = tool

    def _boxes_to_prepare(self) -> list[Toolbox]:
        return [box for box in self._boxes if not box._is_prepared]

    def prepare(self) -> None:
        """Prepare every toolbox, once."""
        for box in self._boxes_to_prepare():
            box.prepare()
            box._is_prepared = True
        for box in self._boxes:
            self._keep(box.tools())

    async def prepare_async(self) -> None:
        """As `prepare`, in asyncio."""
        for box in self._boxes_to_prepare():
            await box.prepare_async()
            box._is_prepared = True
        for box in self._boxes:
            self._keep(box.tools())

    def run(self, calls: Sequence[ToolCall], hooks: Hooks | None = None) -> list[ToolResult]:
        """Run calls, one after the other; return their results. Raises PauseChain where one raises it."""
        results: list[ToolResult] = []
        for call in calls:
            try:
                self._ask(call, hooks or Hooks(), _call_now, _call_now).send(None)
            except StopIteration as end:  # nothing in it waits: _call_now does
                results.append(end.value)
            except PauseChain as pause:
                pause.tool_call, pause.tool_results = call, results
                raise
        return results

    async def arun(self, calls: Sequence[ToolCall], hooks: Hooks | None = None) -> list[ToolResult]:
        """As `run`, in asyncio and at the same time. If one call pauses, the others are finished first."""
        from asyncio import gather

        waiting = [self._ask(call, hooks or Hooks(), call_async, _in_loop) for call in calls]
        ran = await gather(*waiting, return_exceptions=True)
        results = [result for result in ran if isinstance(result, ToolResult)]
        for call, result in zip(calls, ran, strict=True):
            if isinstance(result, PauseChain):
                result.tool_call, result.tool_results = call, results
            if isinstance(result, BaseException):
                raise result
        return results

    async def _ask(self, call: ToolCall, hooks: Hooks, run: Run, tell: Run) -> ToolResult:
        """Run a call with `run`, and the hooks with `tell`; return its result."""
        tool = self._tools.get(call.name)
        if hooks.before is not None:
            try:
                await tell(hooks.before, tool, call)
            except CancelToolCall as reason:
                return _failed_result(call, reason)
        try:
            function, values = self._values(call)
            result = _result(await run(function, **values))
            files = [Attachment.from_dict(attachment) for attachment in result.attachments]
            box = getattr(function, "__self__", None)
            instance = box if isinstance(box, Toolbox) else None
            outcome = ToolResult(call.name, result.output, files, call.tool_call_id, instance, result.exception)
        except PauseChain:
            raise
        except Exception as error:
            outcome = _failed_result(call, error)
        if hooks.after is not None and tool is not None:
            await tell(hooks.after, tool, call, outcome)
        return outcome

    def _values(self, call: ToolCall) -> tuple[Callable[..., Any], dict[str, Any]]:
        """Return the function of a call, and its arguments. Raises InputError for a call that must not run."""
        functions = {name: tool.implementation for name, tool in self._tools.items() if tool.implementation is not None}
        runnable: Any = {name: self._tools[name].record() for name in functions}
        part = {"name": call.name, "arguments": call.arguments, "exception": call.exception}
        if why := refusal_reason(part, self.records, runnable):
            raise InputError(why)
        function = functions[call.name]
        values = values_of(function, call.arguments)
        takes_call = CALL in inspect.signature(function).parameters
        return function, {**values, CALL: call} if takes_call else values


def _tool_of(record: Mapping[str, Any]) -> Tool:
    return Tool(record["name"], record.get("description"), record.get("input_schema", {}), whole_record=record)


async def _call_now(function: Callable[..., Any], *given: Any, **values: Any) -> Any:
    return call_sync(function, *given, **values)


async def _in_loop(function: Callable[..., Any], *given: Any, **values: Any) -> Any:
    return await await_if_needed(function(*given, **values))


def _failed_result(call: ToolCall, error: Exception) -> ToolResult:
    return ToolResult(call.name, output_of_exception(error), tool_call_id=call.tool_call_id, exception=error)


def _result(value: Any) -> Result:
    """Return the result that a return value of a function stands for, with its attachments."""
    if isinstance(value, Attachment):
        value = ToolOutput(attachments=[value])
    if not isinstance(value, ToolOutput):
        return result_of(deep_copy(value))
    result = result_of(value.output)
    files: list[Any] = [*result.attachments, *(attachment.to_dict() for attachment in value.attachments)]
    return Result(result.output, result.exception, files)
