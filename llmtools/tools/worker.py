"""Tools in a child process: the parent's side. `worker_main` describes the lines of the protocol.

Rules:
* The process lives from the first use to `close`, so that its state (a toolbox, an MCP server)
  lasts over the rounds of a loop. If it dies, the next call starts another.
* No call blocks on a pipe: one thread writes, one reads, and every wait has a timeout.
* Queues are `queue.Queue`: a `SimpleQueue` forgets its timeout when a signal handler runs (CPython 3.11).
* A call runs at most once. Only if the process ended before it took the call, the next process
  gets it.
* A process in which a call timed out may be stuck: it gets no more calls, and is ended as soon as
  no call waits for it.
"""

from __future__ import annotations

import queue
import subprocess
import threading
from contextlib import suppress
from itertools import count

from ..errors import InputError, error_classes
from ..records.jsonl import dumps, loads
from . import process
from .calls import Result
from .command import START_TIMEOUT, tools_by_name
from .process import KILL_DELAY, CallLimits, ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..records.types import ToolRecord
    from .logins import Login

    Replies = queue.Queue[Any]

GREETING_ID = 0
"""The number of the first line, which answers no call: it lists the tools."""
MAX_PROCESSES = 3
"""The most processes that get a call, one after the other, while each ends before it takes the call."""


class WorkerProcess:
    """One child process, from start to end, and the calls that wait for its replies.

    `greeting`: a queue for its first line. `is_over`: whether it takes no more calls.
    """

    def __init__(self, argv: list[str], env: dict[str, str], login: Login | None = None) -> None:
        settings = [] if login is None else [dumps(login.settings()) + b"\n"]
        self._login = login
        self._child = process.start(argv, env, stderr=None)
        self._lock = threading.Lock()
        self._waiting: dict[int, Replies] = {GREETING_ID: queue.Queue()}
        self._numbers = count(GREETING_ID + 1)
        self._last_taken = GREETING_ID  # the last call that the process has taken
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        for line in settings:
            self._lines.put(line)
        self.greeting = self._waiting[GREETING_ID]
        self.is_over = False
        self._listener = threading.Thread(target=self._read_replies, daemon=True)
        self._listener.start()
        for task in (self._write_calls, self._wait_for_exit):
            threading.Thread(target=task, daemon=True).start()

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._child.returncode is not None

    def send(self, call: dict[str, Any], timeout: float) -> dict[str, Any] | None:
        """Send a call and return its reply. Return {} if the process ended before the reply, None if
        it ended before it took the call."""
        replies: Replies = queue.Queue()
        with self._lock:
            if self.is_over:
                return None
            number = next(self._numbers)
            self._lines.put(dumps({"id": number, **call}) + b"\n")
            self._waiting[number] = replies
        try:
            reply: dict[str, Any] | None = replies.get(timeout=timeout)
            return reply
        except queue.Empty:
            with self._lock:
                self._waiting.pop(number, None)
                self.is_over = True
                is_idle = not self._waiting
            if is_idle:
                self.end()
            return {"output": "", "exception": f"timed out after {timeout:g} s"}

    def end(self, delay: float = 0) -> None:
        """Close the stdin of the process, and end it if it has not ended after `delay` seconds."""
        self._lines.put(None)
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(delay)
        process.stop(self._child)
        self._wake_all()

    def _wake_all(self, error: dict[str, Any] | None = None) -> None:
        """Give every waiting call its reply, as no more replies come: an error, or that the process ended."""
        with self._lock:
            self.is_over = True
            waiting, self._waiting = self._waiting, {}
        for number, replies in waiting.items():
            replies.put((error or {}) if number <= self._last_taken else None)

    def _read_replies(self) -> None:
        if self._child.stdout is None:
            return
        with suppress(OSError, InputError), self._child.stdout as lines:
            for line in lines:
                self._handle(loads(line))
        self._wake_all()

    def _handle(self, reply: dict[str, Any]) -> None:
        if "error" in reply:  # the process could not start, or cannot continue
            return self._wake_all(reply)
        if "login" in reply and self._login is not None:
            return self._login.keep(reply["login"])
        with self._lock:
            self._last_taken = reply.get("taken", self._last_taken)
            replies = self._waiting.pop(GREETING_ID if "tools" in reply else reply.get("id", -1), None)
            is_done = self.is_over and not self._waiting
        if replies is not None:
            replies.put(reply)
        if is_done:
            self._lines.put(None)
        return None

    def _write_calls(self) -> None:
        if self._child.stdin is None:
            return
        with suppress(OSError), self._child.stdin as pipe:
            while (line := self._lines.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def _wait_for_exit(self) -> None:
        """Wait for the process itself: a grandchild may keep its stdout open."""
        self._child.wait()
        self._lines.put(None)
        process.stop(self._child)
        self._listener.join(KILL_DELAY)
        self._wake_all()


class Worker:
    """A source whose tools run in a child process. login: what the process needs to log in at a server
    on the web, None for another source."""

    def __init__(self, name: str, argv: list[str], env: dict[str, str], login: Login | None = None) -> None:
        self.name = name
        self.notices: Sequence[str] = ()
        self._login = login
        self._argv = argv
        self._env = env
        self._lock = threading.Lock()
        self._processes: list[WorkerProcess] = []  # the last takes calls; those before it may still reply
        self._is_closed = False
        self._tools: dict[str, ToolRecord] | None = None

    @property
    def tools(self) -> dict[str, ToolRecord]:
        """The tools that the process lists. Raises ToolError."""
        if self._tools is None:
            self._running_process()
        return self._tools or {}

    def call(self, name: str, arguments: dict[str, Any], limits: CallLimits) -> Result:
        """Run a call in the process."""
        call = {"name": name, "arguments": arguments, "max_output": limits.max_output}
        reply = None
        for _ in range(MAX_PROCESSES):
            reply = self._running_process().send(call, limits.timeout)
            if reply is not None:
                break
        if not reply or "error" in reply:
            return Result(exception=reply["error"] if reply else f"the process of {self.name} ended")
        return Result(reply["output"], reply.get("exception"), reply.get("attachments", []))

    def close(self) -> None:
        """End the process. If it has listed its tools, it has `KILL_DELAY` to end by itself."""
        self._is_closed = True
        for each in reversed(self._processes):
            each.end(0 if self._tools is None or each.is_over else KILL_DELAY)

    def _running_process(self) -> WorkerProcess:
        """Return the process that takes calls; start one if there is none. Raises ToolError."""
        with self._lock:
            if not self._processes or self._processes[-1].is_over:
                old = [each for each in self._processes if not each.has_ended]
                self._processes = [*old, WorkerProcess(self._argv, self._env, self._login)]
                try:
                    self._tools = self._read_tools(self._processes[-1])
                except BaseException:
                    self._processes[-1].end()
                    raise
            return self._processes[-1]

    def _read_tools(self, worker: WorkerProcess) -> dict[str, ToolRecord]:
        if self._is_closed:  # checked after the process is in the list, where `close` looks for it
            raise ToolError(f"{self.name}: it is closed")
        try:
            reply = worker.greeting.get(timeout=START_TIMEOUT)
        except queue.Empty:
            raise ToolError(f"{self.name}: it did not list its tools in {START_TIMEOUT:g} s") from None
        if not reply:
            raise ToolError(f"{self.name}: it did not list its tools")
        if "error" in reply:
            error_class = error_classes().get(reply.get("code", ""), ToolError)
            raise error_class(f"{self.name}: {reply['error']}")
        self.notices = [f"{self.name}: {notice}" for notice in reply.get("notices", ())]
        return tools_by_name(self.name, reply["tools"])
