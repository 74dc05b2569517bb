"""How every command runs: its streams, signals and exit status, in one place.

Rules:
* No control character reaches a terminal: what a model, a server or a stream says cannot drive it.
* Only data on stdout, only words for people on stderr, one line for an error.
* A command that writes records and fails writes an `error` record, so that the next one
  knows. A reader of a failed stream ends with the stream's status. The failure is written to
  stderr once: the record names that stderr, and a reader with the same one stays silent.
* A reader that left is seen before anything is written, and the process dies of SIGPIPE.
  Death by a signal is by the signal itself. A second signal kills at once.
* Nothing is buffered: what is complete is written, all that is ready in one write.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
import time
from contextlib import contextmanager

from ..errors import (
    CancelledError,
    LlmToolsError,
    NoInputError,
    OutputError,
    TimedOutError,
    from_record,
)
from ..records.jsonl import Decoder, dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import NoReturn

    from ..records.conversation import Conversation
    from ..records.jsonl import Line
    from ..records.state import StreamState
    from ..records.types import ErrorRecord, Record

READ_SIZE = 1 << 18
STDIN_WAIT = 30.0
"""Seconds without a byte on stdin after which a filter gives up."""
TELL = 5.0
"""Seconds after which a person at a terminal learns what the command waits for."""
SIGNAL_GRACE = 1.0
"""Seconds for which a filter reads on after a signal."""
SIGNAL_POLL = 0.2
"""Seconds between two checks of the signals and of stdout's reader, while a call blocks."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StreamFailure(Exception):
    """The stream that was read had failed: `record` is its failure, which gives the exit status."""

    def __init__(self, record: ErrorRecord) -> None:
        super().__init__(record["message"])
        self.record = record


class Stuck(BaseException):
    """A signal came, and the rest of the work did not end in time."""


class Process:
    """The streams and signals of one command.

    writes_records: whether a failure is written to stdout too. quiet, verbose: -q and -v. status:
    the exit status of a command that raises nothing.
    """

    def __init__(self, name: str, *, writes_records: bool) -> None:
        self.name = name
        self.writes_records = writes_records
        self.status = 0
        self.quiet = False
        self.verbose = False
        self.signal: int | None = None
        self._raises = False  # whether a signal is an exception right now
        self._until: float | None = None  # when what may be interrupted must be over
        self.is_cut = False  # whether a signal ended the reading before the end
        self._deadline: float | None = None
        self._closed = [descriptor for descriptor in (0, 1, 2) if _open_on_null(descriptor)]
        self._has_half_line = False  # whether a write to stdout failed: a record would not begin a line
        self._awake = -1

    def is_terminal(self, descriptor: int) -> bool:
        """Whether a descriptor is a terminal."""
        return descriptor not in self._closed and os.isatty(descriptor)

    def visible(self, text: str) -> bytes:
        """Return text for stdout, with control characters made visible on a terminal."""
        if self.is_terminal(1):
            from ..terminal import visible

            text = visible(text)
        return text.encode(errors="replace")

    # Signals

    def handle_signals(self) -> None:
        """Handle the signals that end a command, except those ignored at entry (nohup)."""
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._awake = reader
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGALRM, self._on_alarm)
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            self.die(number)
        self.signal = number
        self._deadline = time.monotonic() + SIGNAL_GRACE
        signal.setitimer(signal.ITIMER_REAL, SIGNAL_POLL, SIGNAL_POLL)
        if self._raises:
            raise self.cancellation()

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        """Raise what a tick of the clock finds: stdout blocks after a signal, its reader left, the time is over."""
        if self._deadline is not None and time.monotonic() >= self._deadline + SIGNAL_GRACE:
            raise Stuck
        if self._raises and self._has_lost_reader():
            self._raises = False
            raise CancelledError("the reader left")
        if self._raises and self._until is not None and time.monotonic() >= self._until:
            self._raises = False
            raise TimedOutError("the reply took longer than --timeout allows")

    @contextmanager
    def interruptible(self, until: float | None = None) -> Iterator[None]:
        """While this is open, a signal raises CancelledError, and so does stdout's reader when it leaves;
        at `until` (of time.monotonic()) it raises TimedOutError."""
        self._raises, self._until = True, until
        signal.setitimer(signal.ITIMER_REAL, SIGNAL_POLL, SIGNAL_POLL)
        try:
            if self.signal is not None:
                raise self.cancellation()
            yield
        finally:
            self._raises = False
            if self.signal is None:
                signal.setitimer(signal.ITIMER_REAL, 0)

    def _has_lost_reader(self) -> bool:
        poll = select.poll()
        poll.register(1, 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))

    @property
    def signal_age(self) -> float:
        """How many seconds ago the signal came; -1 without a signal."""
        return -1 if self._deadline is None else time.monotonic() - self._deadline + SIGNAL_GRACE

    def cancellation(self) -> CancelledError:
        """Return the error of the signal that came."""
        return CancelledError(f"cancelled by {signal.Signals(self.signal or signal.SIGTERM).name}")

    def die(self, number: int) -> NoReturn:
        """Die of a signal, as if it had never been handled."""
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
        os._exit(128 + number)

    def sleep(self, seconds: float) -> None:
        """Sleep. Raises CancelledError at a signal, BrokenPipeError when stdout's reader leaves."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.signal is not None:
                raise self.cancellation()
            self._poll(left)

    def _poll(self, seconds: float | None, watched: int | None = None) -> bool:
        """Wait; return whether the watched descriptor can be read. Raises BrokenPipeError when stdout's
        reader leaves."""
        poll = select.poll()
        if watched is not None:
            poll.register(watched, select.POLLIN)
        poll.register(1, 0)
        poll.register(self._awake, select.POLLIN)
        ready = dict(poll.poll(None if seconds is None else max(seconds, 0) * 1000))
        if self._awake in ready:
            os.read(self._awake, 64)
        if 1 in ready and ready[1] & (select.POLLERR | select.POLLHUP):
            raise BrokenPipeError(errno.EPIPE, "stdout's reader left")
        return watched in ready

    # Output

    def check_stdout(self) -> None:
        """Refuse a closed stdout, before anything is sent. Raises OutputError, BrokenPipeError."""
        if 1 in self._closed:
            raise OutputError("stdout is closed")
        self._poll(0)

    def write(self, data: bytes, descriptor: int = 1) -> None:
        """Write all of `data`. Raises BrokenPipeError, OutputError."""
        if descriptor == 1 and 1 in self._closed:
            raise OutputError("stdout is closed")
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(descriptor, view) :]
            except BlockingIOError:
                select.select([], [descriptor], [])
            except BrokenPipeError:
                raise
            except OSError as error:
                self._has_half_line = self._has_half_line or descriptor == 1
                raise OutputError(f"write error: {error.strerror}") from None

    def write_lines(self, lines: list[bytes]) -> None:
        """Write lines, each with its newline; lines that are not large go out in one write. Lines for people
        are `visible` already; those of JSON are made so here, on a terminal."""
        if self.is_terminal(1):
            from ..terminal import visible_json

            lines = [visible_json(line) for line in lines]
        if sum(map(len, lines)) < READ_SIZE * 4:
            if lines:
                self.write(b"\n".join(lines) + b"\n")
            return
        for line in lines:
            self.write(line)
            self.write(b"\n")

    def write_records(self, records: list[Record]) -> None:
        """Write records of this command as lines. An `error` names the stderr that it is written to."""
        named = [{**each, "stderr": self.stderr_name()} if each["type"] == "error" else each for each in records]
        self.write_lines([dumps(record) for record in named])

    def report(self, failure: ErrorRecord) -> None:
        """Write the failure of the stream to stderr, unless it is there already, or somebody wanted it."""
        if failure.get("stderr") != self.stderr_name() and failure["code"] != CancelledError.code:
            self.say(from_record(failure).full_message())

    def stderr_name(self) -> str:
        """Return a name of the file that stderr is: the same in all processes that share it."""
        from hashlib import sha256

        status = os.fstat(2)
        return sha256(f"{os.uname().nodename}:{status.st_dev}:{status.st_ino}".encode()).hexdigest()[:16]

    def write_error(self, error: LlmToolsError) -> None:
        """Write an error as a record. A stdout that takes no more is not a failure: the exit status remains."""
        try:
            if not self._has_half_line:
                self.write_records([dict(error.to_record())])
        except OutputError:
            pass

    def say(self, text: str) -> None:
        """Write one line for people to stderr. An error of stderr is ignored."""
        from ..terminal import visible

        line = visible(" ".join(text.splitlines()))
        try:
            self.write(f"{self.name}: {line}\n".encode(errors="replace"), 2)
        except (OSError, OutputError):
            pass  # nobody reads it; the exit status remains

    # Input

    def stdin_kind(self) -> str:
        """Return what stdin is: "stream" (a pipe, socket or file), "terminal", or "none"
        (closed, /dev/null, or another device)."""
        if 0 in self._closed:
            return "none"
        mode = os.fstat(0).st_mode
        if stat.S_ISCHR(mode):
            return "terminal" if os.isatty(0) else "none"
        return "stream"

    def is_file(self) -> bool:
        """Whether stdin is a regular file."""
        return stat.S_ISREG(os.fstat(0).st_mode)

    def chunks(self, wait: float = 0, quiet: Callable[[], float | None] | None = None) -> Iterator[bytes]:
        """Yield the bytes of stdin as they come.

        Gives up with NoInputError where not one byte comes in `wait` seconds (0: never).
        Where `quiet` returns a number of seconds, b"" is yielded after so long without
        input. After a signal it reads on for at most SIGNAL_GRACE seconds.
        """
        left = max(os.fstat(0).st_size - os.lseek(0, 0, os.SEEK_CUR), 0) if self.is_file() else None
        begun = time.monotonic()
        tell = begun + TELL if self.is_terminal(2) and not self.quiet else None
        give_up = begun + wait if wait else None
        while left is None or left > 0:
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self.is_cut = True
                return
            pause = quiet() if quiet is not None else None
            limits = [limit for limit in (tell, give_up, self._deadline) if limit is not None]
            if pause is not None:
                limits.append(time.monotonic() + pause)
            if not self._poll(min(limits) - time.monotonic() if limits else None, 0):
                tell = self._idle(tell, give_up, wait)
                if pause is not None:
                    yield b""
                continue
            data = self._read(READ_SIZE if left is None else min(left, READ_SIZE))
            if data == b"":
                return
            if data is not None:
                tell = give_up = None
                left = None if left is None else left - len(data)
                yield data

    def follow(self, descriptor: int) -> Iterator[bytes]:
        """Yield what a child writes, until it ends, and b"" every SIGNAL_POLL while it is silent. After a signal
        it reads on for at most twice SIGNAL_GRACE."""
        while self._deadline is None or time.monotonic() < self._deadline + SIGNAL_GRACE:
            if not self._poll(SIGNAL_POLL, descriptor):
                yield b""
            elif data := os.read(descriptor, READ_SIZE):
                yield data
            else:
                return
        self.is_cut = True

    def _read(self, size: int) -> bytes | None:
        try:
            return os.read(0, size)
        except BlockingIOError:
            return None
        except OSError as error:
            raise OutputError(f"stdin: {error.strerror}") from None

    def _idle(self, tell: float | None, give_up: float | None, wait: float) -> float | None:
        """Report an idle stdin, or give up, when it is time; return when to report next."""
        moment = time.monotonic()
        if give_up is not None and moment >= give_up:
            raise NoInputError(f"nothing came on stdin in {wait:g} s (-n to go without it, --wait to wait longer)")
        if tell is not None and moment >= tell:
            self.say("waiting for a stream on stdin (-n goes without it)")
            return None
        return tell

    def batches(self, wait: float, quiet: Callable[[], float | None] | None = None) -> Iterator[list[Line]]:
        """Yield the records of stdin; those that came together are one list.

        Raises InputError, after the records before the wrong line have been yielded; the
        place in a file is put back then, for the one who reads it next.
        """
        decoder = Decoder()
        begun = os.lseek(0, 0, os.SEEK_CUR) if self.is_file() else None
        for data in self.chunks(wait, quiet):
            yield decoder.feed(data)
            if decoder.error:
                break
        yield decoder.eof()
        if decoder.error:
            if begun is not None:
                os.lseek(0, begun, os.SEEK_SET)
            raise decoder.error

    def copy(self, wait: float, state: StreamState, change: Callable[[Record, Conversation], Record]) -> None:
        """Pass the stream on as it comes, and add its records to `state`. `change` replaces each
        conversation record; one that failed is passed on unchanged, and sets `status`."""
        for lines in self.batches(wait):
            out = []
            for record, raw in lines:
                state.add(record)
                out.append(self._change_record(record, raw, change) if record["type"] == "conversation" else raw)
            self.write_lines(out)

    def _change_record(self, record: Record, raw: bytes, change: Callable[[Record, Conversation], Record]) -> bytes:
        from ..records.conversation import conversation_of

        conversation = conversation_of(record)
        if conversation.failure is None:
            return dumps(change(record, conversation))
        self.status = self.status or conversation.failure["exit_status"]
        return raw


def _open_on_null(descriptor: int) -> bool:
    """Open a closed descriptor on /dev/null; return whether it was closed."""
    try:
        os.fstat(descriptor)
        return False
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != descriptor:
            os.dup2(opened, descriptor)
            os.close(opened)
        os.set_inheritable(descriptor, True)
        return True
