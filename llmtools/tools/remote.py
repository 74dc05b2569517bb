"""Tools that a child process holds: the parent's side of what `worker` tells.

Rules:
* The process lives from the first use to `close`, so that what it keeps (a toolbox, an MCP server)
  lives over the rounds of a loop; one that died is started again for the next call.
* No call waits for a pipe: a thread writes, a thread reads, and a limit of time always holds.
* Queues are `queue.Queue`: a `SimpleQueue` forgets its timeout where a signal's handler runs (CPython 3.11).
* A process in which a call timed out is ended as soon as nobody else's call is lost with it.
"""

from __future__ import annotations

import queue
import subprocess
import threading
import time
from contextlib import suppress
from itertools import count

from ..errors import InputError
from ..jsonl import dumps, loads
from . import process
from .command import START, records_of
from .function import Result
from .process import GRACE, LINGER, Limits, ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..types import ToolRecord

    Place = queue.Queue[Any]

GREETING = 0
"""The number of the line that no call asks for: the tools."""


class Life:
    """One process, from its start to its end, and those who wait for what it says."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self._child = process.start(argv, env, stderr=None)
        self._lock = threading.Lock()
        self._waiting: dict[int, Place] = {GREETING: queue.Queue()}
        self._numbers = count(GREETING + 1)
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self.greeting = self._waiting[GREETING]
        self.is_over = False
        self._is_stuck = False  # whether a call that nobody waits for may run on in it
        for task in (self._listen, self._feed, self._watch):
            threading.Thread(target=task, daemon=True).start()

    def ask(self, value: dict[str, Any]) -> tuple[int, Place] | None:
        """Send a call; return its number and where its answer will be, None if it was not sent
        because the process is over. The answer is None where the process ends before it."""
        with self._lock:
            if self.is_over:
                return None
            number, place = next(self._numbers), queue.Queue()  # type: ignore[var-annotated]
            self._waiting[number] = place
        self._lines.put(dumps({"id": number, **value}) + b"\n")
        return number, place

    def forget(self, number: int) -> bool:
        """Wait for this answer no more; return whether the process is to be ended now, as nobody
        else waits, and from now on nobody will."""
        with self._lock:
            self._waiting.pop(number, None)
            self._is_stuck = True
            self.is_over = self.is_over or not self._waiting
            return not self._waiting

    def end(self, patience: float = 0) -> None:
        """End the process, whose stdin is closed first, so that it can go by itself."""
        self._lines.put(None)
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(patience)
        process.stop(self._child)
        self._release()

    def _release(self) -> None:
        """Wake all who wait: nothing more comes."""
        with self._lock:
            self.is_over = True
            waiting, self._waiting = self._waiting, {}
        for place in waiting.values():
            place.put(None)

    def _listen(self) -> None:
        if self._child.stdout is None:
            return
        with suppress(OSError, InputError), self._child.stdout as lines:
            for line in lines:
                value = loads(line)
                with self._lock:
                    place = self._waiting.pop(value.get("id", GREETING), None)
                    is_last = self._is_stuck and not self._waiting
                    self.is_over = self.is_over or is_last or "last" in value
                if place is not None:
                    place.put(value)
                if is_last:
                    self._lines.put(None)
        self._release()

    def _feed(self) -> None:
        if self._child.stdin is None:
            return
        with suppress(OSError), self._child.stdin as pipe:
            while (line := self._lines.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def _watch(self) -> None:
        """See the end of a process whose stdout something else keeps open."""
        self._child.wait()
        time.sleep(LINGER)
        self._lines.put(None)
        process.stop(self._child)
        self._release()


class Worker:
    """Tools that a child process holds."""

    def __init__(self, name: str, argv: list[str], env: dict[str, str]) -> None:
        self.name = name
        self._argv = argv
        self._env = env
        self._lock = threading.Lock()
        self._life: Life | None = None
        self._tools: dict[str, ToolRecord] | None = None

    @property
    def tools(self) -> dict[str, ToolRecord]:
        """Return the tools that the process says it has. Raises ToolError."""
        if self._tools is None:
            self._ready()
        return self._tools or {}

    def call(self, name: str, arguments: dict[str, Any], limits: Limits) -> Result:
        """Run a call in the process."""
        asked = None
        while asked is None:
            life = self._ready()
            asked = life.ask({"name": name, "arguments": arguments, "max_output": limits.max_output})
        number, place = asked
        try:
            said = place.get(timeout=limits.timeout)
        except queue.Empty:
            if life.forget(number):
                life.end()
            return Result(exception=f"timed out after {limits.timeout:g} s")
        if said is None:
            return Result(exception=f"the process of {self.name} ended")
        return Result(said["output"], said.get("exception"), said.get("attachments", []))

    def close(self) -> None:
        """End the process; one that has said its tools has a moment to go by itself."""
        if self._life is not None:
            self._life.end(GRACE if self._tools is not None else 0)

    def _ready(self) -> Life:
        """Return the process, started where there is none. Raises ToolError."""
        with self._lock:
            if self._life is None or self._life.is_over:
                self._life = Life(self._argv, self._env)
                try:
                    self._tools = self._told(self._life)
                except BaseException:
                    self._life.end()
                    raise
            return self._life

    def _told(self, life: Life) -> dict[str, ToolRecord]:
        try:
            said = life.greeting.get(timeout=START)
        except queue.Empty:
            raise ToolError(f"{self.name}: it did not say its tools in {START:g} s") from None
        if said is None:
            raise ToolError(f"{self.name}: it did not say its tools")
        if "error" in said:
            raise ToolError(f"{self.name}: {said['error']}")
        return records_of(self.name, said["tools"])
