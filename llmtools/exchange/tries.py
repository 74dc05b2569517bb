"""One request over HTTP: its tries, and the waits between them. No I/O.

Rules:
* It yields wants (`http.request`). Their results, errors too, are sent back.
* A request is tried again before the first event only; with Limits.retry_stream also after it, with
  a `reset`. Every further try is a `notice`.
"""

from __future__ import annotations

import random

from ..errors import (
    CancelledError,
    KeyRefusedError,
    LlmToolsError,
    NoModelError,
    ProtocolError,
    QuotaError,
    TruncatedError,
    UsageError,
    setting_name,
)
from ..http import retry
from ..http.endpoint import is_local, split_url
from ..http.failure import retry_after
from ..http.request import Emit, Open, Sleep
from ..protocols import load
from ..records.build import notice
from .attempt import Attempt, Clock
from .fetched import with_fetched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..http.endpoint import Endpoint, Secret
    from ..http.request import HttpRequest, Limits
    from ..protocols import VendorProtocol
    from ..protocols.request import Request
    from ..records.conversation import Conversation
    from ..records.types import Record
    from .attempt import Wants


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
        return {} if self._last is None else self._endpoint.mask_all(self._last.decoder.known_end())

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
        raise UsageError(
            f"{setting_name('--await', 'reply_id')}: the protocol {protocol.SPEC.name} has no replies in the background"
        )
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
