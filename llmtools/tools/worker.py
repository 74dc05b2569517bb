"""Tools that a child process holds: the parent's side of what `worker` tells.

Rules:
* The process lives from the first use to `close`, so that what it keeps (a toolbox, an MCP server)
  lives over the rounds of a loop; one that died is started again for the next call.
* No call waits for a pipe: a thread writes, a thread reads, and a limit of time always holds.
* Queues are `queue.Queue`: a `SimpleQueue` forgets its timeout where a signal's handler runs (CPython 3.11).
* A call is run once: only where the process ends before it has taken the call, the next one gets it.
* A process in which a call timed out may be stuck: it gets no more calls, and is ended as soon as
  nobody waits for it.
"""

from __future__ import annotations

import queue
import subprocess
import threading
from contextlib import suppress
from itertools import count

from ..errors import InputError
from ..records.jsonl import dumps, loads
from . import process
from .calls import Result
from .command import START, records_of
from .process import GRACE, Limits, ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..records.types import ToolRecord

    Place = queue.Queue[Any]

GREETING = 0
"""The number of the line that no call asks for: the tools."""
TRIES = 3
"""How many processes a call is sent to, where one after the other leaves before it takes it."""


class Life:
    """One process, from its start to its end, and those who wait for what it says."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self._child = process.start(argv, env, stderr=None)
        self._lock = threading.Lock()
        self._waiting: dict[int, Place] = {GREETING: queue.Queue()}
        self._numbers = count(GREETING + 1)
        self._taken = GREETING  # the last call that the process has taken
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self.greeting = self._waiting[GREETING]
        self.is_over = False  # whether it takes no more calls
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        for task in (self._feed, self._watch):
            threading.Thread(target=task, daemon=True).start()

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended."""
        return self._child.returncode is not None

    def ask(self, value: dict[str, Any], timeout: float) -> dict[str, Any] | None:
        """Send a call; return its answer, {} where the process ended before it, None where it
        ended before it took the call."""
        place: Place = queue.Queue()
        with self._lock:
            if self.is_over:
                return None
            number = next(self._numbers)
            self._lines.put(dumps({"id": number, **value}) + b"\n")
            self._waiting[number] = place
        try:
            said: dict[str, Any] | None = place.get(timeout=timeout)
            return said
        except queue.Empty:
            with self._lock:
                self._waiting.pop(number, None)
                self.is_over = True
                is_idle = not self._waiting
            if is_idle:
                self.end()
            return {"output": "", "exception": f"timed out after {timeout:g} s"}

    def end(self, patience: float = 0) -> None:
        """End the process, whose stdin is closed first, so that it can go by itself."""
        self._lines.put(None)
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(patience)
        process.stop(self._child)
        self._release()

    def _release(self, said: dict[str, Any] | None = None) -> None:
        """Wake all who wait: nothing more comes."""
        with self._lock:
            self.is_over = True
            waiting, self._waiting = self._waiting, {}
        for number, place in waiting.items():
            place.put((said or {}) if number <= self._taken else None)

    def _listen(self) -> None:
        if self._child.stdout is None:
            return
        with suppress(OSError, InputError), self._child.stdout as lines:
            for line in lines:
                self._hear(loads(line))
        self._release()

    def _hear(self, said: dict[str, Any]) -> None:
        if "error" in said:  # it could not begin, or go on
            return self._release(said)
        with self._lock:
            self._taken = said.get("taken", self._taken)
            place = self._waiting.pop(GREETING if "tools" in said else said.get("id", -1), None)
            is_done = self.is_over and not self._waiting
        if place is not None:
            place.put(said)
        if is_done:
            self._lines.put(None)
        return None

    def _feed(self) -> None:
        if self._child.stdin is None:
            return
        with suppress(OSError), self._child.stdin as pipe:
            while (line := self._lines.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def _watch(self) -> None:
        """See the end of the process, whose stdout something else may keep open."""
        self._child.wait()
        self._lines.put(None)
        process.stop(self._child)
        self._listener.join(GRACE)
        self._release()


class Worker:
    """Tools that a child process holds."""

    def __init__(self, name: str, argv: list[str], env: dict[str, str]) -> None:
        self.name = name
        self._argv = argv
        self._env = env
        self._lock = threading.Lock()
        self._lives: list[Life] = []  # the last takes calls, those before it still answer some
        self._is_closed = False
        self._tools: dict[str, ToolRecord] | None = None

    @property
    def tools(self) -> dict[str, ToolRecord]:
        """Return the tools that the process says it has. Raises ToolError."""
        if self._tools is None:
            self._ready()
        return self._tools or {}

    def call(self, name: str, arguments: dict[str, Any], limits: Limits) -> Result:
        """Run a call in the process."""
        asked = {"name": name, "arguments": arguments, "max_output": limits.max_output}
        said = None
        for _ in range(TRIES):
            said = self._ready().ask(asked, limits.timeout)
            if said is not None:
                break
        if not said or "error" in said:
            return Result(exception=said["error"] if said else f"the process of {self.name} ended")
        return Result(said["output"], said.get("exception"), said.get("attachments", []))

    def close(self) -> None:
        """End the process; one that has said its tools has a moment to go by itself."""
        self._is_closed = True
        for life in reversed(self._lives):
            life.end(0 if self._tools is None or life.is_over else GRACE)

    def _ready(self) -> Life:
        """Return the process, started where there is none. Raises ToolError."""
        with self._lock:
            if not self._lives or self._lives[-1].is_over:
                self._lives = [*(life for life in self._lives if not life.is_gone), Life(self._argv, self._env)]
                try:
                    self._tools = self._told(self._lives[-1])
                except BaseException:
                    self._lives[-1].end()
                    raise
            return self._lives[-1]

    def _told(self, life: Life) -> dict[str, ToolRecord]:
        if self._is_closed:  # now that `close` would see it, too
            raise ToolError(f"{self.name}: it is closed")
        try:
            said = life.greeting.get(timeout=START)
        except queue.Empty:
            raise ToolError(f"{self.name}: it did not say its tools in {START:g} s") from None
        if not said:
            raise ToolError(f"{self.name}: it did not say its tools")
        if "error" in said:
            raise ToolError(f"{self.name}: {said['error']}")
        return records_of(self.name, said["tools"])
