"""Child processes that run tools, and their limits.

Rules:
* A child gets its arguments as they are, never through a shell; of the environment only
  what `ENVIRONMENT` names and what the user adds: no key of a provider's.
* It leads a session of its own, so that all it started can be ended with it, and no terminal
  can be asked. What it leaves running is ended when the call is over.
* A limit of time or output ends the whole group: SIGTERM, and SIGKILL two seconds later.
* A grandchild that keeps stdout open holds nothing up: the call is over when its process is.
* Should this process be killed, a shell of a few lines that waits for its end (`GUARD`) ends what
  still runs.
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
"""The variables that a tool gets: those of the MCP SDK, and what texts and times depend on."""

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""
LINGER = 0.2
"""Seconds for which the output of a process that has ended is waited for."""
TICK = 0.05
GUARD = """
groups=
while read -r sign group; do
    if [ "$sign" = + ]; then
        groups="$groups $group"
    else
        rest=
        for each in $groups; do [ "$each" = "$group" ] || rest="$rest $each"; done
        groups=$rest
    fi
done
for group in $groups; do kill -s KILL -- "-$group"; done
"""
"""Reads which process groups begin and end; at the end of its input it ends those that are left."""
ERRORS = 4096
"""How many bytes of its last words on stderr a call is told with."""


class ToolError(LlmToolsError):
    """A tool that could not be run, or failed; the model is told, and the conversation goes on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one call may take, in seconds, and how much it may say, in bytes."""

    timeout: float = 120.0
    max_output: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Done:
    """How a process ended: `status` as wait(2) tells it (negative for a signal), and why it
    was ended, if it was."""

    status: int
    output: bytes
    errors: bytes
    ended: str = ""


class Children:
    """The processes that run now, so that a signal, or the end of this process, ends them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard: subprocess.Popen[bytes] | None = None
        self.is_over = False

    def add(self, child: subprocess.Popen[bytes]) -> None:
        """Take a process in; it is ended at once where all are."""
        with self._lock:
            self._running.add(child)
            self._tell(b"+", child)
            is_over = self.is_over
        if is_over:
            _signal(child, signal.SIGKILL)

    def remove(self, child: subprocess.Popen[bytes]) -> None:
        """Forget a process that has ended."""
        with self._lock:
            self._running.discard(child)
            self._tell(b"-", child)

    def end(self, grace: float = GRACE) -> None:
        """End every process, and every one that starts from now on."""
        with self._lock:
            self.is_over = True
            running = list(self._running)
        for child in running:
            _signal(child, signal.SIGTERM)
        until = time.monotonic() + grace
        while any(child.poll() is None for child in running) and time.monotonic() < until:
            time.sleep(TICK)
        for child in running:
            _signal(child, signal.SIGKILL)

    def watch(self) -> None:
        """Start the guard, where it does not run: before the first child does."""
        null = subprocess.DEVNULL
        with self._lock, contextlib.suppress(OSError):
            if self._guard is None:
                argv = ["/bin/sh", "-c", GUARD]
                self._guard = subprocess.Popen(
                    argv, stdin=subprocess.PIPE, stdout=null, stderr=null, cwd="/", env={}, start_new_session=True
                )

    def _tell(self, sign: bytes, child: subprocess.Popen[bytes]) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(OSError):
                os.write(self._guard.stdin.fileno(), b"%b %d\n" % (sign, child.pid))


CHILDREN = Children()


def how_ended(status: int) -> str:
    """Return in words how a process ended, by its status as wait(2) tells it."""
    return f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"


def environment(names: Iterable[str] = ()) -> dict[str, str]:
    """Return what a tool gets of the environment, `names` with it."""
    found = {name: os.environ[name] for name in (*ENVIRONMENT, *names) if name in os.environ}
    return {name: value for name, value in found.items() if not value.startswith("()")}  # a shell's function


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def start(argv: Sequence[str], env: dict[str, str], *, stderr: int | None = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """Start a process that leads a session of its own. Raises ToolError."""
    CHILDREN.watch()
    try:
        child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=env, start_new_session=True
        )
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise ToolError(f"{argv[0]}: {said}") from None
    CHILDREN.add(child)
    return child


def stop(child: subprocess.Popen[bytes], *, grace: float = GRACE) -> int:
    """End a process and all that it started; return how it ended."""
    if child.poll() is None:
        _signal(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace)
    _signal(child, signal.SIGKILL)
    status = child.wait()
    CHILDREN.remove(child)
    return status


class _Reader:
    """Feeds a process and takes what it says, within its limits."""

    def __init__(
        self, child: subprocess.Popen[bytes], data: bytes, limits: Limits, over: threading.Event | None
    ) -> None:
        self.output = bytearray()
        self.errors = bytearray()
        self._child = child
        self._data = memoryview(data)
        self._limits = limits
        self._over = over
        self._until = time.monotonic() + limits.timeout
        self._selector = selectors.DefaultSelector()

    def run(self) -> str:
        """Do it; return why the process has to be ended, "" where it ended by itself."""
        self._register(self._child.stdout, selectors.EVENT_READ)
        self._register(self._child.stderr, selectors.EVENT_READ)
        self._register(self._child.stdin, selectors.EVENT_WRITE)
        gone: float | None = None
        with self._selector:
            while True:
                self._wait()
                now = time.monotonic()
                if len(self.output) > self._limits.max_output:
                    return f"the output was cut after {self._limits.max_output} bytes"
                if gone is None and self._child.poll() is not None:
                    gone = now
                if gone is not None and (now - gone > LINGER or not self._selector.get_map()):
                    return ""
                if gone is None and self._over is not None and self._over.is_set():
                    return "cancelled"
                if gone is None and now > self._until:
                    return f"timed out after {self._limits.timeout:g} s"

    def _wait(self) -> None:
        """Feed and take what can be, for a tick at most."""
        if self._selector.get_map():
            for key, _ in self._selector.select(TICK):
                self._step(key.fileobj)  # type: ignore[arg-type]
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(TICK)

    def _register(self, pipe: IO[bytes] | None, event: int) -> None:
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, event)

    def _step(self, pipe: IO[bytes]) -> None:
        if pipe is self._child.stdin:
            return self._feed(pipe)
        data = os.read(pipe.fileno(), 1 << 16)
        if not data:
            self._selector.unregister(pipe)
        elif pipe is self._child.stdout:
            self.output += data
        else:
            self.errors = (self.errors + data)[-ERRORS:]

    def _feed(self, pipe: IO[bytes]) -> None:
        try:
            self._data = self._data[os.write(pipe.fileno(), self._data[: 1 << 16]) :]
        except BrokenPipeError:  # it does not want to read it
            self._data = memoryview(b"")
        if not self._data:
            self._selector.unregister(pipe)
            pipe.close()


def run(
    argv: Sequence[str], data: bytes, limits: Limits, env: dict[str, str], over: threading.Event | None = None
) -> Done:
    """Run a process with `data` on its stdin, to its end, or that of its limits, or until `over`.

    Raises ToolError where it cannot be started.
    """
    child = start(argv, env)
    try:
        reader = _Reader(child, data, limits, over)
        ended = reader.run()
    finally:
        status = stop(child)
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
    return Done(status, bytes(reader.output[: limits.max_output]), bytes(reader.errors), ended)
