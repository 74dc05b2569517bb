"""The limits of a connection: on the time and the bytes of each phase, whatever a server drips.

The HTTP client limits the time of each read, so that a byte every few seconds is never late. Here a phase has
one limit: the request is taken, the head of the response comes, the next bytes of the body come. The streams
of the client are wrapped, blocking and for asyncio.

Rules:
* A read waits in short slices. A slice that took much longer than it should was a suspension of the process
  (Ctrl-Z, a laptop that sleeps): that time does not count, here and in `active_time`.
* A limit that is exceeded raises a LlmToolsError, which passes through the client.
"""

from __future__ import annotations

import time

from ..errors import LlmToolsError, ProtocolError, TimedOutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SLICE = 2.0
"""The most seconds of one wait."""
_PIECE = 1 << 16
"""The most bytes that are written between two looks at the clock."""
_SLOWEST = 100_000
"""The bytes that a server takes in a second, at least."""
MOST_HEAD = 1 << 20
"""The most bytes of the head of a response, with those of interim responses (1xx) before it."""


class _Suspensions:
    """How long this process was suspended: seconds in all, and the end of the last suspension."""

    def __init__(self) -> None:
        self._total = 0.0
        self._until = 0.0

    def add(self, begin: float, end: float) -> None:
        """Take a suspension, which several connections may notice."""
        begin = max(begin, self._until)
        if end > begin:
            self._total += end - begin
            self._until = end

    def active_time(self) -> float:
        """Return the seconds of a monotonic clock that stands while the process is suspended."""
        return time.monotonic() - self._total


_SUSPENSIONS = _Suspensions()
active_time = _SUSPENSIONS.active_time


class Watch:
    """The phase of a connection and its limits.

    `open` begins a request, `read` the wait for bytes of the body. Both replace the phase before.
    """

    def __init__(self) -> None:
        self._host = ""
        self._seconds = self._send_seconds = self._head_seconds = 0.0
        self._until = 0.0
        self._phase = ""
        self._bytes = 0

    def open(self, host: str, size: int, *, send: float, head: float) -> None:
        """Begin a request with a body of `size` bytes. send: seconds for the request, beside those that the size
        takes. head: seconds from then to the whole head of the response."""
        self._host, self._bytes = host, 0
        self._send_seconds, self._head_seconds = send + size / _SLOWEST, head
        self._begin("send", self._send_seconds)

    def read(self, seconds: float) -> None:
        """Begin the wait for bytes of the body."""
        self._begin("body", seconds)

    def _begin(self, phase: str, seconds: float) -> None:
        self._phase, self._seconds, self._until = phase, seconds, active_time() + seconds

    def will_write(self) -> float:
        """Return the seconds that are left for writing. Raises TimedOutError."""
        if self._phase == "head":  # the request behind that to a proxy
            self._begin("send", self._send_seconds)
        return self._time_left()

    def will_read(self) -> float:
        """Return the seconds of the next wait. Raises TimedOutError."""
        if self._phase == "send":
            self._begin("head", self._head_seconds)
        return min(self._time_left(), _SLICE)

    def has_read(self, data: bytes) -> bytes:
        """Take bytes that came; return them. Raises ProtocolError for a head that is too long."""
        self._bytes += len(data)
        if self._phase == "head" and self._bytes > MOST_HEAD:
            raise ProtocolError(f"{self._host}: the head of the response is longer than {MOST_HEAD >> 20} MiB")
        return data

    def _time_left(self) -> float:
        left = self._until - active_time()
        if left <= 0:
            raise self.failure()
        return left

    def failure(self) -> LlmToolsError:
        """Return the failure of the phase whose time is over."""
        seconds = f"{self._seconds:.3g} s"
        if self._phase == "send":
            return TimedOutError(f"{self._host}: the request was not taken within {seconds}", retryable=True)
        if self._phase == "head" and self._bytes:
            message = f"{self._host}: the head of the response did not end within {seconds}"
            return TimedOutError(message, retryable=True)
        return TimedOutError(f"{self._host}: nothing came for {seconds}", retryable=self._phase == "head")


def _note_wait(begin: float, seconds: float) -> None:
    """Take the end of a wait that began at `begin` and should have taken `seconds` at most. If the process was
    suspended in it, none of it counts: the bytes may be about to come."""
    now = time.monotonic()
    if now - begin > seconds + _SLICE:
        _SUSPENSIONS.add(begin, now)


class WatchedStream:
    """A stream of the HTTP client, blocking. `late` is what it raises when it has waited too long."""

    def __init__(self, stream: Any, watch: Watch, late: type[Exception]) -> None:
        self._stream, self._watch, self._late = stream, watch, late

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes."""
        while True:
            seconds, begin = self._watch.will_read(), time.monotonic()
            try:
                return self._watch.has_read(self._stream.read(max_bytes, seconds))
            except self._late:
                _note_wait(begin, seconds)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write bytes."""
        for start in range(0, len(buffer), _PIECE):
            try:
                self._stream.write(buffer[start : start + _PIECE], self._watch.will_write())
            except self._late:
                raise self._watch.failure() from None

    def start_tls(self, *arguments: Any, **options: Any) -> WatchedStream:
        """Return the stream over TLS."""
        return WatchedStream(self._stream.start_tls(*arguments, **options), self._watch, self._late)

    def get_extra_info(self, info: str) -> Any:
        """Return what the client asks about the stream."""
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class WatchedBackend:
    """Opens the streams of the HTTP client, blocking."""

    def __init__(self, backend: Any, watch: Watch, late: type[Exception]) -> None:
        self._backend, self._watch, self._late = backend, watch, late

    def connect_tcp(self, *arguments: Any, **options: Any) -> WatchedStream:
        """Return a connection."""
        return WatchedStream(self._backend.connect_tcp(*arguments, **options), self._watch, self._late)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._backend.sleep(seconds)


class AsyncWatchedStream:
    """Like WatchedStream, for asyncio."""

    def __init__(self, stream: Any, watch: Watch, late: type[Exception]) -> None:
        self._stream, self._watch, self._late = stream, watch, late

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes."""
        while True:
            seconds, begin = self._watch.will_read(), time.monotonic()
            try:
                return self._watch.has_read(await self._stream.read(max_bytes, seconds))
            except self._late:
                _note_wait(begin, seconds)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write bytes."""
        for start in range(0, len(buffer), _PIECE):
            try:
                await self._stream.write(buffer[start : start + _PIECE], self._watch.will_write())
            except self._late:
                raise self._watch.failure() from None

    async def start_tls(self, *arguments: Any, **options: Any) -> AsyncWatchedStream:
        """Return the stream over TLS."""
        return AsyncWatchedStream(await self._stream.start_tls(*arguments, **options), self._watch, self._late)

    def get_extra_info(self, info: str) -> Any:
        """Return what the client asks about the stream."""
        return self._stream.get_extra_info(info)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()


class AsyncWatchedBackend:
    """Like WatchedBackend, for asyncio."""

    def __init__(self, backend: Any, watch: Watch, late: type[Exception]) -> None:
        self._backend, self._watch, self._late = backend, watch, late

    async def connect_tcp(self, *arguments: Any, **options: Any) -> AsyncWatchedStream:
        """Return a connection."""
        return AsyncWatchedStream(await self._backend.connect_tcp(*arguments, **options), self._watch, self._late)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._backend.sleep(seconds)
