"""A tool call: whether it may run, what it brings, and how often a loop runs calls.

Rules:
* A call with an `exception`, of a tool that was not offered, or with arguments that the tool's
  schema does not allow, is never run.
* What goes wrong with a call is in its result, as `exception`, for the model to read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..errors import InputError, LlmToolsError, RoundLimitError
from ..records.jsonl import dumps
from ..schema import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Protocol

    from ..records.types import Attachment, Part, ToolRecord

    class Outcome(Protocol):
        """What a call brought: a `Result`, or a ToolResult of the library."""

        @property
        def output(self) -> str:
            """What the model reads."""

        @property
        def exception(self) -> str | None:
            """What went wrong, None where nothing did."""

        @property
        def attachments(self) -> Sequence[Mapping[str, Any]]:
            """Files for the model."""


@dataclass(slots=True)
class Result:
    """What a call brings: text, attachments, and what went wrong if something did."""

    output: str = ""
    exception: str | None = None
    attachments: list[Attachment] = field(default_factory=list)

    def cut(self, longest: int) -> Result:
        """Return the result as far as it says no more than `longest` bytes; an attachment is whole
        or not there."""
        output = self.output.encode(errors="replace")
        room = longest - len(output)
        kept = []
        for item in self.attachments:
            size = len(item.get("content", ""))
            if size <= room:
                room -= size
                kept.append(item)
        if room >= 0 and len(kept) == len(self.attachments):
            return self
        cut = f"the output was cut after {longest} bytes"
        return Result(output[:longest].decode(errors="ignore"), cut, kept)


def why_not(call: Part, offered: Mapping[str, Any], runnable: Mapping[str, ToolRecord]) -> str | None:
    """Return why a call must not run, None where it may.

    offered: the tools that the model was offered; runnable: those that can be run here, with their
    schemas. A schema that cannot be checked here refuses nothing: whoever runs the tool checks.
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
        check(call["arguments"], schema, schema, "arguments")
        dumps(call["arguments"])
    except (InputError, RecursionError) as error:
        return f"the call was not run: {error}"
    except (TypeError, AttributeError, KeyError, re.error):
        return None
    return None


def result_part(name: str, call_id: str | None, result: Outcome) -> Part:
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
    """Return in words what a function raised."""
    if isinstance(error, LlmToolsError):
        return error.message
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def goes_on(calls: Sequence[object], rounds: int, limit: int | None, option: str) -> bool:
    """Return whether a reply with these calls is followed by another round of a tool loop.

    rounds: how many have run; limit: how many may, None for any number; option: what the user sets
    the limit by. A reply without calls that comes exactly at the limit is a success.
    Raises RoundLimitError where the rounds are used up.
    """
    if calls and limit is not None and rounds >= limit:
        raise RoundLimitError(f"the model still calls tools after {limit} rounds ({option})")
    return bool(calls)
