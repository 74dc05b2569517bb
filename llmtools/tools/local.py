"""Functions as a source of tools: they run in this process, each call in its own thread.

Rules:
* A function that runs too long cannot be ended. Its call gets a result, and its thread runs on
  (it does not keep the process alive).
* A coroutine runs in its own event loop.
"""

from __future__ import annotations

import queue
import threading

from .calls import Result, describe_exception
from .function import call_sync, result_of, tool_record, values_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from ..records.types import ToolRecord
    from .process import CallLimits


class Functions:
    """Functions of this process, by name."""

    name = "functions"
    notices: Sequence[str] = ()

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        self._functions = {function.__name__: function for function in functions}
        self.tools: dict[str, ToolRecord] = {name: tool_record(each) for name, each in self._functions.items()}

    def call(self, name: str, arguments: dict[str, Any], limits: CallLimits) -> Result:
        """Run a call."""
        results: queue.Queue[Result] = queue.Queue()
        work = (results, self._functions[name], arguments, limits.max_output)
        threading.Thread(target=_run_function, args=work, daemon=True).start()
        try:
            return results.get(timeout=limits.timeout)
        except queue.Empty:
            return Result(exception=f"timed out after {limits.timeout:g} s")

    def close(self) -> None:
        """Do nothing: threads cannot be ended."""


def _run_function(
    results: queue.Queue[Result], function: Callable[..., Any], arguments: dict[str, Any], max_output: int
) -> None:
    try:
        results.put(result_of(call_sync(function, **values_of(function, arguments))).truncate(max_output))
    except BaseException as error:  # after SystemExit, too, the call needs its result
        results.put(Result(exception=describe_exception(error)))
