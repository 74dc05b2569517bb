"""A round of tool calls: runs the pending calls of a message side by side, and yields their results.

Rules:
* Every call gets exactly one result. If it may not run, cannot run, fails or takes too long, the
  result has an `exception` for the model, and the conversation stays valid.
* The results are a response of the role `tool`. Every part is announced first, in the order of
  the calls, so that a result can be written as soon as it is ready.
"""

from __future__ import annotations

import os
import queue
import time
from concurrent.futures import ThreadPoolExecutor

from ..errors import CancelledError, LlmToolsError
from ..records.build import rfc3339
from ..records.fold import Fold
from ..records.jsonl import dumps
from .calls import Result, result_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..records.types import Part, Record


JOBS = 8
"""How many calls run at once, unless the user says otherwise."""
WAIT_INTERVAL = 0.1
"""The seconds between two calls of `wait` while no result is ready."""


class Round:
    """Runs the pending calls of one message. `message` is the tool message, None until the end.

    allow: returns the call that may run, as the user edited it; raises LlmToolsError if the call may
    not run. run: runs one call; a failure is in the result. jobs: how many run at once.
    """

    def __init__(
        self, calls: list[Part], allow: Callable[[Part], Part], run: Callable[[Part], Result], *, jobs: int = JOBS
    ) -> None:
        self._calls = calls
        self._allow = allow
        self._run_call = run
        self._jobs = jobs
        self._waiting = set(range(len(calls)))
        self._fold = Fold()
        self._ready: queue.Queue[tuple[int, Result]] = queue.Queue()
        self._start_time = time.monotonic()
        self._id = f"tools_{os.urandom(12).hex()}"
        self._pool: ThreadPoolExecutor | None = None
        self.message: Record | None = None

    def batches(self, wait: Callable[[], object] | None = None) -> Iterator[list[Record]]:
        """Yield the records of the response: `start`, the parts, each result when it is ready, the
        message, `end`. `wait` is called repeatedly until a result is ready. If it or the approval
        raises, call `end` for the remaining records."""
        start = {"type": "start", "response_id": self._id, "role": "tool", "created": rfc3339()}
        yield self._fold_records([start, *[self._event(index, Result()) for index in range(len(self._calls))]])
        try:
            self._start()
            while self._waiting:
                if wait is not None:
                    wait()
                try:
                    index, result = self._ready.get(timeout=WAIT_INTERVAL)
                except queue.Empty:
                    continue
                yield self._answer(index, result)
        finally:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
        yield self.end()

    def end(self) -> list[Record]:
        """Return the last records. If a call has no result yet, its result is `cancelled`, and so is
        the status of the response."""
        records = []
        while not self._ready.empty():
            records += self._answer(*self._ready.get())
        status = (
            {"status": "cancelled", "exit_status": CancelledError.exit_status} if self._waiting else {"status": "ok"}
        )
        for index in sorted(self._waiting):
            records += self._answer(index, Result("", "cancelled"))
        timing = {"total": round(time.monotonic() - self._start_time, 3)}
        end = {"type": "end", "response_id": self._id, **status, "timing": timing}
        self._fold.feed(end)
        self.message = dict(self._fold.message())
        return [*records, self.message, end]

    def _fold_records(self, records: list[Record]) -> list[Record]:
        for record in records:
            self._fold.feed(record)
        return records

    def _answer(self, index: int, result: Result) -> list[Record]:
        self._waiting.discard(index)
        return self._fold_records([self._event(index, result)])

    def _event(self, index: int, result: Result) -> Record:
        call = self._calls[index]
        if result.attachments:
            part = result_part(call["name"], call["tool_call_id"], result)
            return {"type": "part", "part_index": index, "part": part}
        exception = {} if result.exception is None else {"exception": result.exception}
        identity = {"tool_call_id": call["tool_call_id"], "tool_name": call["name"]}
        return {"type": "tool_result", "chunk": result.output, "part_index": index, **identity, **exception}

    def _start(self) -> None:
        """Start the calls that may run. The user answers every question before the first call runs."""
        allowed = []
        for index, call in enumerate(self._calls):
            try:
                allowed.append((index, self._allow(call)))
            except CancelledError:
                raise
            except LlmToolsError as error:
                self._ready.put((index, Result(exception=error.message)))
        self._pool = ThreadPoolExecutor(self._jobs)
        for index, call in allowed:
            self._pool.submit(self._run, index, call)

    def _run(self, index: int, call: Part) -> None:
        try:
            result = self._run_call(call)
        except Exception as error:  # after a bug of ours, too, the call needs its result
            result = Result(exception=f"{type(error).__name__}: {error}")
        if call["arguments"] != self._calls[index]["arguments"]:
            change = f"The user changed the arguments to {dumps(call['arguments']).decode()}."
            result.output = f"{change}\n{result.output}"
        self._ready.put((index, result))
