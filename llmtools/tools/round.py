"""Pending calls to results: what may run, run side by side, told in the order of the calls.

Rules:
* Every call gets one result, whatever happens: one that may not or cannot run, fails, or takes
  too long is told to the model by `exception`, and the conversation stays valid.
* The results are a response of the role `tool`: every part is announced first, in the order of
  the calls, so that each can then come as soon as it is there.
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
TICK = 0.1
"""Seconds between two looks at whether to go on."""


class Round:
    """The running of the pending calls of one message. `message` is there at the end.

    allow: returns a call as it may run, raises LlmToolsError where it may not. run: runs one call;
    what goes wrong is in its result. jobs: how many run at once.
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
        self._done: queue.Queue[tuple[int, Result]] = queue.Queue()
        self._begun = time.monotonic()
        self._id = f"tools_{os.urandom(12).hex()}"
        self._pool: ThreadPoolExecutor | None = None
        self.message: Record | None = None

    def batches(self, wait: Callable[[], object] | None = None) -> Iterator[list[Record]]:
        """Yield the records of the response: `start`, the parts, each result as it comes, the
        message, `end`. `wait` is called again and again while nothing comes; where it, or who
        approves, raises, `end` has the rest to tell."""
        start = {"type": "start", "response_id": self._id, "role": "tool", "created": rfc3339()}
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
                yield self._answer(place, result)
        finally:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
        yield self.end()

    def end(self) -> list[Record]:
        """Return the last records. A call that has no result is told so, and the response is
        cancelled then."""
        records = []
        while not self._done.empty():
            records += self._answer(*self._done.get())
        status = (
            {"status": "cancelled", "exit_status": CancelledError.exit_status} if self._waiting else {"status": "ok"}
        )
        for place in sorted(self._waiting):
            records += self._answer(place, Result("", "cancelled"))
        timing = {"total": round(time.monotonic() - self._begun, 3)}
        end = {"type": "end", "response_id": self._id, **status, "timing": timing}
        self._fold.feed(end)
        self.message = dict(self._fold.message())
        return [*records, self.message, end]

    def _folded(self, records: list[Record]) -> list[Record]:
        for record in records:
            self._fold.feed(record)
        return records

    def _answer(self, place: int, result: Result) -> list[Record]:
        self._waiting.discard(place)
        return self._folded([self._event(place, result)])

    def _event(self, place: int, result: Result) -> Record:
        call = self._calls[place]
        if result.attachments:
            part = result_part(call["name"], call["tool_call_id"], result)
            return {"type": "part", "part_index": place, "part": part}
        exception = {} if result.exception is None else {"exception": result.exception}
        named = {"tool_call_id": call["tool_call_id"], "tool_name": call["name"]}
        return {"type": "tool_result", "chunk": result.output, "part_index": place, **named, **exception}

    def _start(self) -> None:
        """Start the calls that may run; a person is asked before any of them runs."""
        allowed = []
        for place, call in enumerate(self._calls):
            try:
                allowed.append((place, self._allow(call)))
            except CancelledError:
                raise
            except LlmToolsError as error:
                self._done.put((place, Result(exception=error.message)))
        self._pool = ThreadPoolExecutor(self._jobs)
        for place, call in allowed:
            self._pool.submit(self._run, place, call)

    def _run(self, place: int, call: Part) -> None:
        try:
            result = self._run_call(call)
        except Exception as error:  # a bug of ours must not leave a call without its result
            result = Result(exception=f"{type(error).__name__}: {error}")
        if call["arguments"] != self._calls[place]["arguments"]:
            change = f"The user changed the arguments to {dumps(call['arguments']).decode()}."
            result.output = f"{change}\n{result.output}"
        self._done.put((place, result))
