"""Plain functions as a source: they run in this process, each call in a thread of its own.

Rules:
* Nothing can end a function that runs too long: the call is told so, and its thread is left
  behind (it does not keep the process alive).
* A coroutine runs in an event loop of its own.
"""

from __future__ import annotations

import queue
import threading

from .calls import Result, describe_exception
from .function import call_now, result_of, tool_record, values_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..records.types import ToolRecord
    from .process import Limits


class Functions:
    """Functions of this process, by name."""

    name = "functions"

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        self._functions = {function.__name__: function for function in functions}
        self.tools: dict[str, ToolRecord] = {name: tool_record(each) for name, each in self._functions.items()}

    def call(self, name: str, arguments: dict[str, Any], limits: Limits) -> Result:
        """Run a call."""
        place: queue.Queue[Result] = queue.Queue()
        work = (place, self._functions[name], arguments, limits.max_output)
        threading.Thread(target=_run, args=work, daemon=True).start()
        try:
            return place.get(timeout=limits.timeout)
        except queue.Empty:
            return Result(exception=f"timed out after {limits.timeout:g} s")

    def close(self) -> None:
        """There is nothing to end."""


def _run(place: queue.Queue[Result], function: Callable[..., Any], arguments: dict[str, Any], max_output: int) -> None:
    try:
        place.put(result_of(call_now(function, **values_of(function, arguments))).cut(max_output))
    except BaseException as error:  # SystemExit, too, must not leave a call without its result
        place.put(Result(exception=describe_exception(error)))
