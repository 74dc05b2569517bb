"""Child processes that run tools, and their limits.

Rules:
* A child gets its arguments as they are, never through a shell. Of the environment it gets only
  the variables of `ENVIRONMENT` and those that the user adds, so no provider's key.
* A child leads its own session: its whole process group can be ended with it, and it cannot ask
  on our terminal. When the call is over, every process of the group is ended.
* A limit of time or output ends the group: SIGTERM, and SIGKILL after `KILL_DELAY`.
* A call is over when its process has ended, even if a grandchild keeps stdout open.
* A small shell (`GUARD`) waits for the end of this process and then ends what still runs, so that
  SIGKILL to us leaves no tool, and no COMMAND of a loop, behind.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

from ..errors import LlmToolsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import IO

ENVIRONMENT = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""The variables that every tool gets: those that the MCP SDK passes on, the locale, the time zone, TMPDIR."""

KILL_DELAY = 2.0
"""The seconds between SIGTERM and SIGKILL."""
DRAIN_TIME = 0.2
"""The seconds for which we still read the output of a process that has ended."""
POLL_INTERVAL = 0.05
"""The seconds between two looks at a process and its limits."""
GUARD = """
running=
while read -r sign target; do
    if [ "$sign" = + ]; then
        running="$running $target"
    else
        rest=
        for each in $running; do [ "$each" = "$target" ] || rest="$rest $each"; done
        running=$rest
    fi
done
for target in $running; do
    case $target in
    -*) kill -s KILL -- "$target" ;;
    *) kill -s TERM "$target" && late="$late $target" ;;
    esac
done
[ -z "$late" ] || sleep 2
for target in $late; do kill -s KILL "$target"; done
"""
"""Reads `+ TARGET` for what starts and `- TARGET` for what ends. TARGET is the id of a process, or -ID of a
process group. At the end of its input it ends what is left: a group at once, a process with SIGTERM first."""
MAX_ERRORS = 4096
"""How many bytes of stderr, the last ones, are kept for the message of a failed call."""


class ToolError(LlmToolsError):
    """A tool failed or could not run. The model reads the message, and the conversation continues."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long a call may run, in seconds, and how much it may print, in bytes."""

    timeout: float = 120.0
    max_output: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that has ended. `status`: the exit status, negative for a signal. `end_reason`: why
    we ended it, "" if it ended by itself."""

    status: int
    output: bytes
    errors: bytes
    end_reason: str = ""


class Children:
    """The running child processes, to end them all on a signal, or when this process ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard: subprocess.Popen[bytes] | None = None
        self.is_over = False

    def add(self, child: subprocess.Popen[bytes]) -> None:
        """Add a process that was started. After `end` it is killed at once."""
        with self._lock:
            self._running.add(child)
            self._notify_guard(b"+", -child.pid)
            is_over = self.is_over
        if is_over:
            _signal_group(child, signal.SIGKILL)

    def remove(self, child: subprocess.Popen[bytes]) -> None:
        """Remove a process that has ended."""
        with self._lock:
            self._running.discard(child)
            self._notify_guard(b"-", -child.pid)

    def watch(self, child: subprocess.Popen[bytes]) -> None:
        """End a process that leads no group if SIGKILL ends us."""
        self.start_guard()
        with self._lock:
            self._notify_guard(b"+", child.pid)

    def unwatch(self, child: subprocess.Popen[bytes]) -> None:
        """Forget a process that was watched and has ended."""
        with self._lock:
            self._notify_guard(b"-", child.pid)

    def end(self, delay: float = KILL_DELAY) -> None:
        """End every process, and every process that starts from now on: SIGTERM, and SIGKILL after
        `delay` seconds."""
        with self._lock:
            self.is_over = True
            running = list(self._running)
        for child in running:
            _signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + delay
        while any(child.poll() is None for child in running) and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL)
        for child in running:
            _signal_group(child, signal.SIGKILL)

    def start_guard(self) -> None:
        """Start the guard if it does not run yet. Call it before the first child starts."""
        null = subprocess.DEVNULL
        with self._lock, contextlib.suppress(OSError):
            if self._guard is None:
                argv = ["/bin/sh", "-c", GUARD]
                self._guard = subprocess.Popen(
                    argv, stdin=subprocess.PIPE, stdout=null, stderr=null, cwd="/", env={}, start_new_session=True
                )

    def _notify_guard(self, sign: bytes, target: int) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(OSError):
                os.write(self._guard.stdin.fileno(), b"%b %d\n" % (sign, target))


CHILDREN = Children()


def describe_status(status: int) -> str:
    """Return how a process ended, as text. A negative status is the number of a signal."""
    return f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"


def environment(names: Iterable[str] = ()) -> dict[str, str]:
    """Return the environment of a tool: the variables of `ENVIRONMENT`, and `names`."""
    variables = {name: os.environ[name] for name in (*ENVIRONMENT, *names) if name in os.environ}
    return {name: value for name, value in variables.items() if not value.startswith("()")}  # a shell's function


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def start(argv: Sequence[str], env: dict[str, str], *, stderr: int | None = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """Start a process that leads its own session. Raises ToolError."""
    CHILDREN.start_guard()
    try:
        child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=env, start_new_session=True
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ToolError(f"{argv[0]}: {reason}") from None
    CHILDREN.add(child)
    return child


def stop(child: subprocess.Popen[bytes], *, delay: float = KILL_DELAY) -> int:
    """End a process and its group; return its status. `delay`: the seconds between SIGTERM and SIGKILL."""
    if child.poll() is None:
        _signal_group(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(delay)
    _signal_group(child, signal.SIGKILL)
    status = child.wait()
    CHILDREN.remove(child)
    return status


class _ProcessIO:
    """Writes the stdin of a process and reads its stdout and stderr, within its limits."""

    def __init__(
        self, child: subprocess.Popen[bytes], data: bytes, limits: CallLimits, cancel: threading.Event | None
    ) -> None:
        self.output = bytearray()
        self.errors = bytearray()
        self._child = child
        self._data = memoryview(data)
        self._limits = limits
        self._cancel = cancel
        self._deadline = time.monotonic() + limits.timeout
        self._selector = selectors.DefaultSelector()

    def run(self) -> str:
        """Write and read until the process ends or must be ended. Return why it must be ended, "" if
        it ended by itself."""
        self._register(self._child.stdout, selectors.EVENT_READ)
        self._register(self._child.stderr, selectors.EVENT_READ)
        self._register(self._child.stdin, selectors.EVENT_WRITE)
        ended_at: float | None = None
        with self._selector:
            while True:
                self._wait()
                now = time.monotonic()
                if len(self.output) > self._limits.max_output:
                    return f"the output was cut after {self._limits.max_output} bytes"
                if ended_at is None and self._child.poll() is not None:
                    ended_at = now
                if ended_at is not None and (now - ended_at > DRAIN_TIME or not self._selector.get_map()):
                    return ""
                if ended_at is None and self._cancel is not None and self._cancel.is_set():
                    return "cancelled"
                if ended_at is None and now > self._deadline:
                    return f"timed out after {self._limits.timeout:g} s"

    def _wait(self) -> None:
        """Write and read what is ready, for `POLL_INTERVAL` at most."""
        if self._selector.get_map():
            for key, _ in self._selector.select(POLL_INTERVAL):
                self._step(key.fileobj)  # type: ignore[arg-type]
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(POLL_INTERVAL)

    def _register(self, pipe: IO[bytes] | None, event: int) -> None:
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, event)

    def _step(self, pipe: IO[bytes]) -> None:
        if pipe is self._child.stdin:
            return self._write(pipe)
        data = os.read(pipe.fileno(), 1 << 16)
        if not data:
            self._selector.unregister(pipe)
        elif pipe is self._child.stdout:
            self.output += data
        else:
            self.errors = (self.errors + data)[-MAX_ERRORS:]

    def _write(self, pipe: IO[bytes]) -> None:
        try:
            self._data = self._data[os.write(pipe.fileno(), self._data[: 1 << 16]) :]
        except BrokenPipeError:  # the process does not read its stdin
            self._data = memoryview(b"")
        if not self._data:
            self._selector.unregister(pipe)
            pipe.close()


def run_command(
    argv: Sequence[str], data: bytes, limits: CallLimits, env: dict[str, str], cancel: threading.Event | None = None
) -> Completed:
    """Run a process with `data` on its stdin until it ends, a limit is reached, or `cancel` is set.

    Raises ToolError if the process cannot start.
    """
    child = start(argv, env)
    try:
        pipes = _ProcessIO(child, data, limits, cancel)
        end_reason = pipes.run()
    finally:
        status = stop(child)
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
    return Completed(status, bytes(pipes.output[: limits.max_output]), bytes(pipes.errors), end_reason)
