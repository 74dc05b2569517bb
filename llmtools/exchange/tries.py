"""One request over HTTP: the tries, the waits and the reading of the answer. No I/O.

Rules:
* It yields wants (`http.request`). Their results, errors too, are sent back.
* A request is tried again before the first event only; with Limits.retry_stream also after it, with
  a `reset`. Every further try is a `notice`.
* Reading stops at the terminal event: a server may keep the connection open.
"""

from __future__ import annotations

import random
from dataclasses import replace

from ..errors import (
    CancelledError,
    KeyRefusedError,
    LlmToolsError,
    NoModelError,
    ProtocolError,
    QuotaError,
    TimedOutError,
    TruncatedError,
    UsageError,
)
from ..http import retry
from ..http.endpoint import is_local, split_url
from ..http.failure import rate_limits, request_id, retry_after
from ..http.request import READ, Emit, Open, Sleep
from ..protocols import load
from ..records.build import notice
from .fetched import with_fetched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from ..http.endpoint import Endpoint, Secret
    from ..http.request import HttpRequest, Limits
    from ..protocols import BackgroundDecoding, VendorProtocol
    from ..protocols.request import Request
    from ..records.conversation import Conversation
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
            return TimedOutError(f"the reply took longer than {limits.total:g} s (--timeout)")
        if is_silent or now - self._event >= limits.idle:
            return TimedOutError(f"no event came for {limits.idle:g} s (--idle-timeout)")
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
            body = yield from self._body(WHOLE_BODY)
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
        decoder, seen = self.decoder, 0
        late: LlmToolsError | None = None
        while True:
            data = late or (yield READ)
            is_last = not data or isinstance(data, LlmToolsError)
            records = decoder.feed(data) if isinstance(data, bytes) and data else decoder.eof()
            is_over = yield from self._emit(records)
            if isinstance(data, LlmToolsError) and self._is_cut():
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
            yield Emit(records)
            self._clock.restart()
        return self.failure is not None or (bool(records) and records[-1]["type"] == "end")

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


class Tries:
    """The player of a model at an endpoint: one request, tried again after a passing failure.

    monotonic: a clock, in seconds. random: returns numbers from 0 up to 1.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits,
        *,
        monotonic: Callable[[], float],
        random: Callable[[], float] = random.random,
    ) -> None:
        self.provider = endpoint.name
        self._endpoint = endpoint
        self._limits = limits
        self._monotonic = monotonic
        self._random = random
        self._last: Attempt | None = None

    def known_end(self) -> dict[str, Any]:
        """Return the fields of `end` that the last try knows, also for a reply that is cut off."""
        return {} if self._last is None else self._last.decoder.known_end()

    @property
    def background_id(self) -> str:
        """The id of a reply that the server goes on with, "" if it does not."""
        return "" if self._last is None else self._last.background_id

    def stop(self) -> Open:
        """Return the request that stops the reply that the server goes on with."""
        from .background import stop_request

        return stop_request(load(self._endpoint.protocol).SPEC, self.background_id, self._endpoint)

    def play(self, conversation: Conversation, request: Request) -> Wants:
        """Yield wants: of the files to fetch, then of the tries. Raises the failure of the last try."""
        protocol = load(self._endpoint.protocol)
        is_public = not is_local(split_url(self._endpoint.base_url)[1])
        fetched = with_fetched(conversation.messages, protocol.SPEC, request.quirks, is_public=is_public)
        messages = yield from fetched
        yield from self._ask(protocol, conversation.with_messages(messages), request)

    def _ask(self, protocol: VendorProtocol, conversation: Conversation, request: Request) -> Wants:
        endpoint, limits = self._endpoint, self._limits
        http_request, notices = _http_request(protocol, conversation, request)
        if notices:
            yield Emit(notices)
        clock = Clock(limits, self._monotonic)
        tries = 0
        while True:
            tries += 1
            attempt = self._last = Attempt(protocol, request, Open(http_request, endpoint, limits), clock)
            yield from attempt.run()
            if attempt.background_id:
                from .background import follow

                yield from follow(attempt, protocol.SPEC, clock, limits)
            failure = attempt.failure
            if failure is None:
                return
            _explain(failure, endpoint)
            wait = _wait(attempt, failure, tries, clock.age(), self._random(), limits)
            if wait is None or attempt.background_id:
                raise _with_server_wait(failure)
            if attempt.has_content:
                yield Emit([{"type": "reset", "reason": failure.message}])
            message = f"{failure.message.rstrip('.')}; trying again in {wait:.1f} s ({tries} of {limits.retries})"
            yield Emit([notice("retry", message)])
            yield Sleep(wait)


def _http_request(
    protocol: VendorProtocol, conversation: Conversation, request: Request
) -> tuple[HttpRequest, list[Record]]:
    """Return the request for a reply, or for one that the server writes already; and notices."""
    if not request.reply_id:
        return protocol.encode(conversation, request)
    if not protocol.SPEC.background_path:
        raise UsageError(f"--await: the protocol {protocol.SPEC.name} has no replies in the background")
    from .background import reply_request

    return reply_request(protocol.SPEC, request.reply_id), []


def _explain(failure: LlmToolsError, endpoint: Endpoint) -> None:
    """Name the server of a failure and what the user can do, and mask the secrets that the server repeats."""
    failure.details.setdefault("server", split_url(endpoint.base_url)[2])
    message = failure.message
    if isinstance(failure, NoModelError) and endpoint.pull:
        message = f"{message.rstrip('.')} ({endpoint.pull})"
    is_forbidden = failure.details.get("http_status") == 403  # the key is right, and may not use the model
    if isinstance(failure, KeyRefusedError) and not isinstance(failure, QuotaError) and not is_forbidden:
        message = _message_about_key(message, endpoint.key)
    failure.message = endpoint.mask(message)
    failure.args = (failure.message,)


def _message_about_key(message: str, key: Secret | None) -> str:
    if key is None:
        return f"{message.rstrip('.')} (no key was sent)"
    return f"the key from {key.source} was refused: {message}" if key.source else message


def _with_server_wait(failure: LlmToolsError) -> LlmToolsError:
    """Return the failure with the wait that the server asks for in its message."""
    seconds = failure.details.get("retry_after")
    if seconds and f"{seconds:.10g}" not in failure.message:
        failure.message += f" (the server asks to wait {seconds:.10g} s)"
    return failure


def _wait(
    attempt: Attempt, failure: LlmToolsError, tries: int, elapsed: float, chance: float, limits: Limits
) -> float | None:
    """Return the seconds until the next try, None to give up."""
    if isinstance(failure, (CancelledError, ProtocolError)) or (attempt.has_content and not limits.retry_stream):
        return None
    must_retry = attempt.headers.get("x-should-retry") == "true"
    may_retry = failure.details.get("retryable", attempt.status is not None or isinstance(failure, _TRANSIENT))
    if not (must_retry or may_retry):
        return None
    headers, seconds = attempt.headers, failure.details.get("retry_after")
    if seconds and retry_after(headers) is None:  # the vendor sends it in the body
        headers = {**headers, "retry-after": f"{seconds:g}"}
    budget = retry.BUDGET if limits.total is None else min(retry.BUDGET, limits.total)
    return retry.delay(
        tries, attempt.status, headers, elapsed=elapsed, random=chance, retries=limits.retries, budget=budget
    )


_TRANSIENT = (TruncatedError,)
"""The failures without a status that are worth another try. Those of a connection have `retryable`."""
