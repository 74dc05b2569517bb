"""Tool calls: whether one may run, what its result is, and how many rounds of them a loop runs.

Rules:
* A call does not run if it has an `exception`, if its tool was not offered, or if its arguments
  do not match the tool's schema.
* If a call fails, its result has the reason as `exception`, for the model to read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import InputError, LlmToolsError, RoundLimitError
from ..records.jsonl import dumps
from ..schema import SchemaError, SlowSchemaError, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Protocol

    from ..records.types import Attachment, Part, ToolRecord

    class ResultLike(Protocol):
        """The result of a call: a `Result`, or a ToolResult of the library."""

        @property
        def output(self) -> str:
            """The text for the model."""

        @property
        def exception(self) -> str | None:
            """Why the call failed; None if it did not."""

        @property
        def attachments(self) -> Sequence[Mapping[str, Any]]:
            """Files for the model."""


@dataclass(slots=True)
class Result:
    """The result of a call: text and attachments for the model, and why the call failed, if it did."""

    output: str = ""
    exception: str | None = None
    attachments: list[Attachment] = field(default_factory=list)

    def truncate(self, max_bytes: int) -> Result:
        """Return the result, its text and attachments no larger than `max_bytes` together. Text is
        cut; an attachment that does not fit is dropped."""
        output = self.output.encode(errors="replace")
        room = max_bytes - len(output)
        attachments = []
        for attachment in self.attachments:
            size = len(attachment.get("content", ""))
            if size <= room:
                room -= size
                attachments.append(attachment)
        if room >= 0 and len(attachments) == len(self.attachments):
            return self
        exception = f"the output was cut after {max_bytes} bytes"
        return Result(output[:max_bytes].decode(errors="ignore"), exception, attachments)


def refusal_reason(call: Part, offered: Mapping[str, Any], runnable: Mapping[str, ToolRecord]) -> str | None:
    """Return why a call must not run; None if it may.

    offered: the tools that the model was offered. runnable: the tools that we can run, with their
    schemas. A schema that we cannot check refuses nothing: the tool checks its arguments itself.
    """
    name = call["name"]
    if call.get("exception") is not None:
        return f"the call was not run: {call['exception']}"
    if name not in offered:
        return f"the tool {name} was not offered"
    if name not in runnable:
        return f"the tool {name} cannot be run here"
    schema = runnable[name].get("input_schema", {})
    try:
        dumps(call["arguments"])
        check(call["arguments"], schema, "arguments")
    except SlowSchemaError as error:  # the arguments may be made for that
        return f"the call was not run: the schema of its arguments {error.message}"
    except SchemaError:
        return None
    except InputError as error:
        return f"the call was not run: {error}"
    return None


def result_part(name: str, call_id: str | None, result: ResultLike) -> Part:
    """Return the `tool_result` part that answers a call."""
    part: Part = {"type": "tool_result", "name": name, "output": result.output}
    if call_id is not None:
        part["tool_call_id"] = call_id
    if result.exception is not None:
        part["exception"] = result.exception
    if result.attachments:
        part["attachments"] = [dict(attachment) for attachment in result.attachments]
    return part


def describe_exception(error: BaseException) -> str:
    """Return a text for an exception that a function raised: `ValueError: no such city`."""
    if isinstance(error, LlmToolsError):
        return error.message
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def has_next_round(calls: Sequence[object], rounds: int, limit: int | None, option: str) -> bool:
    """Return whether a tool loop runs another round after a reply with these calls.

    rounds: the number of rounds so far. limit: the most rounds that may run, None for any number.
    option: the name of the option that sets the limit, for the message. A reply without calls ends
    the loop, also exactly at the limit. Raises RoundLimitError if there are calls at the limit.
    """
    if calls and limit is not None and rounds >= limit:
        raise RoundLimitError(f"the model still calls tools after {limit} rounds ({option})")
    return bool(calls)
