"""Calls of tools and their results, and the exceptions that a tool or a hook may raise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..tools.calls import Result, describe_exception, result_part
from .files import Attachment
from .parts import Part


class CancelToolCall(Exception):  # as llm calls it
    """Raise it in `before_call` to skip a call; the model reads why.

    def before_call(tool, call):
        if call.name == "delete":
            raise llmtools.CancelToolCall("nothing is deleted here")
    """


class PauseChain(Exception):
    """Raise it in a tool to leave the call open: the chain ends with this exception.

    `tool_call` is the call, `tool_results` are the results of the other calls. To continue later, call
    `model.chain(messages=…)` with the messages so far: it runs the open calls first.

        def delete(path: str) -> str:
            raise llmtools.PauseChain(f"{path}: wait for a yes")
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.tool_call: ToolCall | None = None
        self.tool_results: list[ToolResult] = []


@dataclass(slots=True)
class ToolCall:
    """A call of the model that this program runs. A call with `exception` is not run: its arguments
    were cut off or are not JSON. Its id is its own in the whole conversation: one that the model gave
    none is `~…`.

        response.tool_calls()[0].arguments  # {"text": "panda"}
    """

    name: str
    arguments: dict[str, Any]
    tool_call_id: str | None = None
    exception: str | None = None


@dataclass(slots=True)
class ToolResult:
    """The result of a call: `output` for the model to read, `exception` (the exception itself) if it failed.

    response.reply(tool_results=[llmtools.ToolResult("upper", "PANDA", tool_call_id=call.tool_call_id)])
    """

    name: str
    output: str
    attachments: list[Attachment] = field(default_factory=list)
    tool_call_id: str | None = None
    instance: Any = None
    """The Toolbox whose method ran, None for another tool."""
    exception: Exception | str | None = None

    def part(self) -> Part:
        """Return the `tool_result` part. What only repeats the exception is no output."""
        error = self.exception
        output = "" if error is not None and self.output == output_of_exception(error) else self.output
        reason = _reason_of(error) if isinstance(error, Exception) else error
        result = Result(output, reason, [dict(each) for each in self.attachments])  # type: ignore[misc]
        return Part.from_dict(result_part(self.name, self.tool_call_id, result))


def output_of_exception(error: Exception | str) -> str:
    """Return the output of a call that failed: `Error: no such city`."""
    return f"{'Cancelled' if isinstance(error, CancelToolCall) else 'Error'}: {error}"


def _reason_of(error: Exception) -> str:
    return f"cancelled: {error}" if isinstance(error, CancelToolCall) else describe_exception(error)


@dataclass(slots=True)
class ToolOutput:
    """The return value of a tool that has files for the model beside its output.

    def chart(data: list[int]) -> llmtools.ToolOutput:
        return llmtools.ToolOutput("drawn", [llmtools.Attachment(content=drawn(data))])
    """

    output: Any = None
    attachments: list[Attachment] = field(default_factory=list)
