"""Pending calls to results: what may run, run side by side, told in the order of the calls.

Rules:
* Every call gets one result, whatever happens: one that may not or cannot run, fails, or takes
  too long is told to the model by `exception`, and the conversation stays valid.
* A call with an `exception`, of a tool that this stream did not offer, or with arguments that
  the tool's schema does not allow, is never run.
* The results are a response of the role `tool`: every part is announced first, in the order of
  the calls, so that each can then come as soon as it is there.
"""

from __future__ import annotations

import os
import queue
import re
import time
from concurrent.futures import ThreadPoolExecutor

from ..errors import CancelledError, InputError, LlmToolsError
from ..exchange.exchange import now
from ..records.fold import Fold
from ..records.jsonl import dumps
from ..schema import check
from .function import Result
from .process import Limits, ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..records.types import Part, Record, ToolRecord
    from .toolset import Toolset


JOBS = 8
TICK = 0.1
"""Seconds between two looks at whether to go on."""


def refusal(call: Part, offered: Mapping[str, ToolRecord], tools: Toolset) -> str | None:
    """Return why a call must not run, None where it may."""
    name = call["name"]
    if "exception" in call:
        return f"the call was not run: {call['exception']}"
    if name not in offered:
        return f"no tool {name} was offered"
    if name not in tools.owners:
        return f"nothing here runs the tool {name}"
    schema = tools.records[name].get("input_schema", {})
    try:
        check(call["arguments"], schema, schema, "arguments")
        dumps(call["arguments"])
    except (InputError, RecursionError) as error:
        return f"the call was not run: {error}"
    except (TypeError, AttributeError, KeyError, re.error):
        return None  # a schema that cannot be checked here: whoever runs the tool does it
    return None


def run(call: Part, tools: Toolset, limits: Limits) -> Result:
    """Run one call; what goes wrong is in the result."""
    try:
        return tools.owners[call["name"]].call(call["name"], call["arguments"], limits)
    except LlmToolsError as error:
        return Result(exception=error.message)


def part_of(call: Part, result: Result) -> Part:
    """Return the `tool_result` part that answers a call."""
    part: Part = {
        "type": "tool_result",
        "name": call["name"],
        "output": result.output,
        "tool_call_id": call["tool_call_id"],
    }
    if result.exception is not None:
        part["exception"] = result.exception
    if result.attachments:
        part["attachments"] = result.attachments
    return part


class Round:
    """The running of the pending calls of one message. `message` is there at the end."""

    def __init__(
        self,
        calls: list[Part],
        offered: Mapping[str, ToolRecord],
        tools: Toolset,
        limits: Limits | None = None,
        *,
        jobs: int = JOBS,
    ) -> None:
        self._calls = calls
        self._offered = offered
        self._tools = tools
        self._limits = limits or Limits()
        self._jobs = jobs
        self._waiting = set(range(len(calls)))
        self._fold = Fold()
        self._done: queue.Queue[tuple[int, Result]] = queue.Queue()
        self._begun = time.monotonic()
        self._id = f"tools_{os.urandom(12).hex()}"
        self._pool: ThreadPoolExecutor | None = None
        self.message: Record | None = None

    def batches(self, wait: Callable[[], object] | None = None) -> Iterator[list[Record]]:
        """Yield the records of the response: `start`, the parts, each result as it comes, the
        message, `end`. `wait` is called again and again while nothing comes; where it, or who
        approves, raises, `end` has the rest to tell."""
        start = {"type": "start", "response_id": self._id, "role": "tool", "created": now()}
        yield self._folded([start, *[self._event(place, Result()) for place in range(len(self._calls))]])
        try:
            self._start()
            while self._waiting:
                if wait is not None:
                    wait()
                try:
                    place, result = self._done.get(timeout=TICK)
                except queue.Empty:
                    continue
                yield self._told(place, result)
        finally:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
        yield self.end()

    def end(self) -> list[Record]:
        """Return the last records. A call that has no result is told so, and the response is
        cancelled then."""
        records = []
        while not self._done.empty():
            records += self._told(*self._done.get())
        status = (
            {"status": "cancelled", "exit_status": CancelledError.exit_status} if self._waiting else {"status": "ok"}
        )
        for place in sorted(self._waiting):
            records += self._told(place, Result("", "cancelled"))
        timing = {"total": round(time.monotonic() - self._begun, 3)}
        end = {"type": "end", "response_id": self._id, **status, "timing": timing}
        self._fold.feed(end)
        self.message = dict(self._fold.message())
        return [*records, self.message, end]

    def _folded(self, records: list[Record]) -> list[Record]:
        for record in records:
            self._fold.feed(record)
        return records

    def _told(self, place: int, result: Result) -> list[Record]:
        self._waiting.discard(place)
        return self._folded([self._event(place, result)])

    def _event(self, place: int, result: Result) -> Record:
        call = self._calls[place]
        if result.attachments:
            return {"type": "part", "part_index": place, "part": part_of(call, result)}
        exception = {} if result.exception is None else {"exception": result.exception}
        named = {"tool_call_id": call["tool_call_id"], "tool_name": call["name"]}
        return {"type": "tool_result", "chunk": result.output, "part_index": place, **named, **exception}

    def _start(self) -> None:
        """Have the calls run that may; a person is asked before any of them does."""
        allowed = []
        for place, call in enumerate(self._calls):
            why = refusal(call, self._offered, self._tools)
            try:
                if why is not None:
                    raise ToolError(why)
                allowed.append((place, self._tools.approved(call)))
            except ToolError as error:
                self._done.put((place, Result(exception=error.message)))
        self._pool = ThreadPoolExecutor(self._jobs)
        for place, call in allowed:
            self._pool.submit(self._run, place, call)

    def _run(self, place: int, call: Part) -> None:
        try:
            result = run(call, self._tools, self._limits)
        except Exception as error:  # a bug of ours must not leave a call without its result
            result = Result(exception=f"{type(error).__name__}: {error}")
        if call["arguments"] != self._calls[place]["arguments"]:
            told = f"The user changed the arguments to {dumps(call['arguments']).decode()}."
            result.output = f"{told}\n{result.output}"
        self._done.put((place, result))
