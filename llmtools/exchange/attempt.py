"""One try of a request over HTTP: it is sent, and the answer is read. No I/O.

Rules:
* It yields wants (`http.request`). Their results, errors too, are sent back.
* Reading stops at the terminal event: a server may keep the connection open.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import LlmToolsError, ProtocolError, TimedOutError, TruncatedError, setting_name
from ..http.failure import rate_limits, request_id
from ..http.request import READ, Emit, Open
from ..records.fold import TEXT_KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from ..http.request import HttpRequest, Limits
    from ..protocols import BackgroundDecoding, VendorProtocol
    from ..protocols.request import Request
    from ..records.types import Record

    Wants = Generator[Any, Any, None]

ERROR_BODY = 1 << 20
"""The most bytes of an error body that are read."""
WHOLE_BODY = 256 << 20
"""The most bytes of an answer that is not streamed."""


class Clock:
    """The deadlines of one response."""

    def __init__(self, limits: Limits, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._now = monotonic
        self.begun = monotonic()
        self._event = self._progress = self.begun

    def age(self) -> float:
        """Return the seconds since the first try began."""
        return self._now() - self.begun

    def restart(self) -> None:
        """Restart the limits between events: the head of the answer came, or content."""
        self._event = self._progress = self._now()

    def saw_event(self) -> None:
        """Restart the limit between events only: an event without content came."""
        self._event = self._now()

    def check(self, is_silent: bool = False) -> TimedOutError | None:
        """Return the failure of the limit that is exceeded, None for none."""
        now, limits = self._now(), self._limits
        if limits.total is not None and now - self.begun >= limits.total:
            return TimedOutError(
                f"the reply took longer than {limits.total:g} s ({setting_name('--timeout', 'limits.total')})"
            )
        if is_silent or now - self._event >= limits.idle:
            return TimedOutError(
                f"no event came for {limits.idle:g} s ({setting_name('--idle-timeout', 'limits.idle')})"
            )
        if now - self._progress >= limits.progress:
            return TimedOutError(f"no content came for {limits.progress:g} s")
        return None


class Attempt:
    """One try: it sends the request and reads the answer.

    failure: its failure. decoder: that of the answer. status: that of an answer that is an error.
    is_answered: whether the head of another answer came. is_stream: whether the answer is a stream.
    """

    def __init__(self, protocol: VendorProtocol, request: Request, opening: Open, clock: Clock) -> None:
        self.decoder = protocol.Decoder(opening.endpoint.name, request.quirks)
        self._protocol = protocol
        self._request = request
        self._opening = opening
        self._clock = clock
        self.is_stream = request.stream and not request.reply_id
        self.is_answered = False
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.has_content = False
        self.failure: LlmToolsError | None = None

    def run(self) -> Wants:
        """Yield the wants of the try."""
        answer = yield self._opening
        if isinstance(answer, LlmToolsError):
            self.failure = answer
            return
        self.headers, self.is_answered = answer.headers, answer.status < 300
        self._clock.restart()
        encoding = answer.headers.get("content-encoding", "").lower()
        if answer.status < 300 and answer.status not in (200, 201):
            self.failure = ProtocolError(f"the server answered with status {answer.status} and without an answer")
            return
        if answer.status >= 300:
            body = yield from self._body(ERROR_BODY)
            self.status = answer.status
            body = body if encoding in ("identity", "") else b""
            self.failure = self._protocol.error_of(answer.status, answer.headers, body)
            return
        if encoding not in ("identity", ""):
            self.failure = ProtocolError(f"the answer is compressed ({encoding}), which was not requested")
        elif self.is_stream:
            yield from self._stream()
        else:
            body = yield from self._body(min(WHOLE_BODY, self._opening.limits.size))
            if self.failure is None:
                yield from self._emit(self.decoder.body(body))

    def again(self, request: HttpRequest, *, is_stream: bool) -> Wants:
        """Yield the wants of another request, which goes on with the same reply."""
        self._opening = replace(self._opening, request=request)
        self.is_stream, self.is_answered, self.status, self.failure = is_stream, False, None, None
        self.background.reopen()
        yield from self.run()

    @property
    def background(self) -> BackgroundDecoding:
        """The decoder of a reply that the server may write in the background."""
        return self.decoder  # type: ignore[return-value]

    @property
    def background_id(self) -> str:
        """The id of a reply that the server goes on with, "" if it does not."""
        return self.background.background_id if self._protocol.SPEC.background_path else ""

    def _stream(self) -> Wants:
        decoder, seen, size, longest = self.decoder, 0, 0, self._opening.limits.size
        late: LlmToolsError | None = None
        while True:
            data = late or (yield READ)
            size += len(data) if isinstance(data, bytes) else 0
            if size > longest:
                data = ProtocolError(f"the reply is longer than {longest / (1 << 20):g} MiB")
            is_last = not data or isinstance(data, LlmToolsError)
            records = decoder.feed(data) if isinstance(data, bytes) and data else decoder.eof()
            is_over = yield from self._emit(records)
            if size > longest or (isinstance(data, LlmToolsError) and self._is_cut()):
                self.failure = data  # the reason why it is cut off
            if is_over or is_last:
                return
            if decoder.seen != seen:
                seen = decoder.seen
                self._clock.saw_event()
            late = self._clock.check()

    def _is_cut(self) -> bool:
        """Return whether the reply is cut off, perhaps in the middle of an event."""
        is_half_event = self.has_content and isinstance(self.failure, ProtocolError)
        return is_half_event or isinstance(self.failure, TruncatedError)

    def _emit(self, records: list[Record]) -> Generator[Any, Any, bool]:
        """Emit records; return whether they end the answer."""
        self.failure = self.decoder.failure
        if records:
            self.has_content = True
            records[0], records[-1] = self._with_headers(records[0]), self._with_headers(records[-1])
            records = self._without_keys(records)
            yield Emit(records)
            self._clock.restart()
        return self.failure is not None or (bool(records) and records[-1]["type"] == "end")

    def _without_keys(self, records: list[Record]) -> list[Record]:
        """Return records without the key, which a server may repeat in an id or a name. A plain chunk is the
        model's own text."""
        mask = self._opening.endpoint.mask_all
        return [r if len(r) == 3 and r["type"] in TEXT_KINDS else mask(r) for r in records]

    def _with_headers(self, record: Record) -> Record:
        """Return a `start` with the request id, an `end` with the rate limits, another record as it is."""
        if record["type"] == "start" and (name := request_id(self.headers)):
            return {**record, "request_id": name}
        if record["type"] == "end" and (limits := rate_limits(self.headers, self._protocol.SPEC.rate_limits)):
            details, issuer = record.get("details", {}), self._opening.endpoint.name
            return {**record, "details": {**details, issuer: {**details.get(issuer, {}), "rate_limits": limits}}}
        return record

    def _body(self, longest: int) -> Generator[Any, Any, bytes]:
        body = bytearray()
        while len(body) < longest:
            data = yield READ
            if isinstance(data, LlmToolsError):
                self.failure = data
                break
            if not data:
                return bytes(body)
            body += data
            self.failure = self._clock.check()
            if self.failure is not None:
                break
        else:
            self.failure = ProtocolError(f"the answer is longer than {longest >> 20} MiB")
        return bytes(body[:longest])
