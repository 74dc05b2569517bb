"""One request and the response to it, as the records of a stream.

Rules:
* A provider says what it has: events, `end`, pauses; or it raises. The `Exchange` makes
  of that the records of one response, in their order: start, events, error, message, end.
* What came before a failure is kept: the message is assembled from it, whatever happens.
* A failure before the first event is an `error` outside any response.
* A reply that the model pauses is continued by a further response (`Exchange.continued`).
"""

from __future__ import annotations

import os
import time
from dataclasses import replace

from ..errors import (
    CancelledError,
    FilteredError,
    InputError,
    LlmToolsError,
    NoModelError,
    PausedError,
    ProtocolError,
    RefusedError,
    TruncatedError,
    UsageError,
    from_record,
)
from ..protocols.request import (
    READ,
    Fetch,
    Limits,
    Request,
)
from ..records.conversation import Conversation
from ..records.fold import Fold
from ..records.jsonl import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator
    from typing import Any

    from ..protocols.request import Endpoint
    from ..records.types import Message, Record

    Provider = Callable[[Conversation, Request], Iterator[Any]]

BUILT_IN = ("echo", "replay/FILE")


def resolve(model: str) -> tuple[str, Provider]:
    """Return the provider's name and the function that plays the model `model`.

    Raises NoModelError for a name that no one knows.
    """
    if model == "echo":
        from . import echo

        return "echo", echo.reply
    kind, slash, path = model.partition("/")
    if kind == "replay" and slash:
        from . import replay

        return "replay", lambda conversation, request: replay.reply(path, conversation, request)
    known = " and ".join(BUILT_IN)
    raise NoModelError(f"no model is named {model!r}; there are {known}, and --base-url for any server")


def over_http(endpoint: Endpoint, limits: Limits, reading: Callable[[Any], None]) -> Provider:
    """Return the function that asks an endpoint; `reading` is told of the decoder of each try."""
    import random

    from ..providers.names import is_local, protocol_module, split_url
    from .fetched import fetched
    from .tries import converse

    module = protocol_module(endpoint.protocol)
    is_public = not is_local(split_url(endpoint.base_url)[1])

    def play(conversation: Conversation, request: Request) -> Iterator[Any]:
        said = conversation.messages
        messages = yield from fetched(said, endpoint.protocol, request.quirks, is_public=is_public)
        whole = Conversation([*conversation.tools.values(), *messages])  # type: ignore[list-item]
        yield from converse(
            whole,
            request,
            module,
            (endpoint, limits),
            monotonic=time.monotonic,
            random=random.random,
            reading=reading,
        )

    return play


def notice(code: str, message: str) -> Record:
    """Return a `notice` record."""
    return {"type": "notice", "code": code, "message": message}


def now() -> str:
    """Return the time in UTC as RFC 3339 has it, to the millisecond."""
    seconds = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1000):03d}Z"


def _fetch(want: Fetch) -> bytes | LlmToolsError:
    from ..http.transport import fetch

    try:
        return fetch(want.url, is_public=want.is_public)
    except LlmToolsError as error:
        return error


class Exchange:
    """One request and the response to it, as the records of a stream.

    `batches` (or `abatches`) makes them; then `failure` says how it ended (None where it
    ended well) and `message` is what came, None where nothing did.

        conversation = llmtools.Conversation([llmtools.user("hi")])
        exchange = llmtools.Exchange(conversation, llmtools.Request("echo"))
        records = [record for batch in exchange.batches() for record in batch]
        records[-1]["type"]  # "end"
    """

    def __init__(
        self,
        conversation: Conversation,
        request: Request,
        endpoint: Endpoint | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self.provider: str
        if endpoint is None:
            self.provider, play = resolve(request.model)
            said = [message for message in conversation.messages if message["parts"]]
            conversation = Conversation([*conversation.tools.values(), *said])  # type: ignore[list-item]
        else:
            self.provider, play = endpoint.name, over_http(endpoint, self._limits, self._is_read_by)
        self.request = request
        self._conversation = conversation
        self._endpoint = endpoint
        self.failure: LlmToolsError | None = None
        self.message: Message | None = None
        self._decoder: Any = None
        self._steps: Any = play(conversation, request)
        self._connection: Any = None
        self._fold = Fold()
        self._start: Record | None = None
        self._end: Record | None = None
        self._begun = time.monotonic()
        self._first: float | None = None
        self._is_over = False

    def batches(self, sleep: Callable[[float], object] = time.sleep) -> Generator[list[Record], None, None]:
        """Yield the records, those that are ready at the same moment together.

        A LlmToolsError raised in here, by `sleep` or by a signal's handler, ends the
        response as it says; the last records still come.
        """
        answer: Any = None
        try:
            while (want := self._next(answer)) is not None:
                answer = None
                if type(want) is list:
                    if records := self._take(want):
                        yield records
                elif type(want) is float:
                    sleep(want)
                elif type(want) is Fetch:
                    answer = _fetch(want)
                elif want is READ:
                    answer = self._read()
                else:
                    answer = self._connected(want).open(want)
        except LlmToolsError as error:
            self.failure = self.failure or error
        finally:
            if self._connection is not None:
                self._connection.close()
        if records := self._finish():
            yield records

    def _read(self) -> Any:
        try:
            return self._connection.read()
        except LlmToolsError as error:  # a signal's handler raised it: what came may be a whole reply
            return error

    def dry_run(self) -> tuple[bytes, list[Record]]:
        """Return the HTTP request that would be sent, as a JSON object of method, url, headers
        and body, the key masked; and the notices of what it cannot say.

        Raises UsageError for a model that is not asked over HTTP.
        """
        notices: list[Record] = []
        want = self._next(None)
        while type(want) is list or type(want) is Fetch:
            notices += want if type(want) is list else []
            want = self._next(_fetch(want) if type(want) is Fetch else None)
        if want is None or type(want) is float:
            raise UsageError(f"--dry-run: {self.request.model} is not asked over HTTP")
        from ..providers.names import key_header

        endpoint, request = want.endpoint, want.request
        masked = {} if endpoint.key is None else key_header(endpoint, "***")
        shown = {"method": "POST", "url": endpoint.url(request.path)}
        headers = {**request.headers, **dict.fromkeys(endpoint.headers, "***"), **masked}
        return dumps({**shown, "headers": headers, "body": loads(request.body)}), notices

    async def abatches(self) -> AsyncGenerator[list[Record], None]:
        """As `batches`, for asyncio; a task that is cancelled closes its connection."""
        from ..http.transport import async_sleep, in_thread

        answer: Any = None
        try:
            while (want := self._next(answer)) is not None:
                answer = None
                if type(want) is list:
                    if records := self._take(want):
                        yield records
                elif type(want) is float:
                    await async_sleep(want)
                elif type(want) is Fetch:
                    answer = await in_thread(_fetch, want)
                elif want is READ:
                    answer = await self._connection.read()
                else:
                    answer = await self._connected(want, is_async=True).open(want)
        except LlmToolsError as error:
            self.failure = self.failure or error
        finally:
            if self._connection is not None:
                await self._connection.close()
        if records := self._finish():
            yield records

    def _next(self, answer: Any) -> Any:
        """Return what the provider wants next, None where it is done."""
        if self.failure is not None:
            return None
        try:
            return self._steps.send(answer)
        except StopIteration:
            return None

    def _connected(self, want: Any, *, is_async: bool = False) -> Any:
        if self._connection is None:
            from ..http import transport

            self._connection = transport.AsyncConnection() if is_async else transport.Connection()
        return self._connection

    def cancel(self, error: LlmToolsError) -> list[Record]:
        """End the response here, from outside; return its last records, none where it is over.
        A reply whose end has come is whole.

        conversation = llmtools.Conversation([llmtools.user("hi")])
        exchange = llmtools.Exchange(conversation, llmtools.Request("echo"))
        exchange.cancel(llmtools.errors.CancelledError("enough"))[0]["type"]  # "error"
        """
        if self._is_over:
            return []
        if self._end is None:
            self.failure = self.failure or error
        return self._finish()

    def continued(self) -> Exchange | None:
        """Return the exchange that goes on with a reply which the model paused.

        None where it did not pause, and where it failed: as it does after Limits.pauses.
        """
        if self.failure is not None or not self._is_paused or self.message is None:
            return None
        said = self._conversation
        came = [self.message] if self.message["parts"] else []
        conversation = Conversation([*said.tools.values(), *said.messages, *came])  # type: ignore[list-item]
        limits = replace(self._limits, pauses=self._limits.pauses - 1)
        if limits.total is not None:
            limits = replace(limits, total=max(limits.total - (time.monotonic() - self._begun), 0.001))
        return Exchange(conversation, self.request, self._endpoint, limits)

    @property
    def _is_paused(self) -> bool:
        return self._end is not None and self._end.get("finish_reason") == "pause"

    def _is_read_by(self, decoder: Any) -> None:
        self._decoder = decoder

    def _take(self, events: list[Record]) -> list[Record]:
        records: list[Record] = []
        for event in events:
            kind = event["type"]
            if kind == "end":
                self._end = event
            elif kind == "error":
                self.failure = from_record(event)  # type: ignore[arg-type]
                break
            elif kind == "start":
                records.append(self._open(event))
            else:
                if "part_index" in event and self._first is None:
                    self._first = time.monotonic()
                    if self._start is None:
                        records.append(self._open({}))
                self._feed(event)
                records.append(event)
                if kind == "reset":
                    self._start = self._end = None
        return records

    def _feed(self, event: Record) -> None:
        try:
            self._fold.feed(event)
        except InputError as error:
            raise ProtocolError(f"{self.provider}: {error.message}") from None

    def _open(self, event: Record) -> Record:
        start = {
            "type": "start",
            "response_id": event.get("response_id") or f"resp_{os.urandom(12).hex()}",
            "model": self.request.model,
            "provider": self.provider,
            "created": now(),
        }
        if asked := self.request.record():
            start["request"] = asked
        rest = {name: value for name, value in event.items() if name not in start}
        self._start = {**start, **rest}
        self._fold.feed(self._start)
        return self._start

    def _finish(self) -> list[Record]:
        self._is_over = True
        self.failure = self.failure or self._verdict()
        records: list[Record] = []
        if self._start is None and self._end is not None:
            records.append(self._open({}))
        if self.failure is not None and (self._start is None or not isinstance(self.failure, CancelledError)):
            record: Record = dict(self.failure.to_record())
            records.append(record)
            self._fold.feed(record)
        if self._start is None:
            return records
        end = self._end_record(self._start["response_id"])
        if end.get("finish_reason") == "length":
            records.append(notice("length", "the answer stopped at the length limit"))
        if self.failure is None and self._is_paused:
            records.append(notice("pause", "the model paused; it is asked to go on"))
        self._fold.feed(end)
        self.message = self._fold.message()
        return [*records, self.message, end]  # type: ignore[list-item]

    def _verdict(self) -> LlmToolsError | None:
        """What the end that came says of the answer, where nothing failed before."""
        if self._end is None:
            return TruncatedError(f"{self.provider}: the reply was cut off before its end")
        reason = self._end.get("finish_reason")
        if reason == "refusal":
            return RefusedError("the model refused")
        if reason == "content_filter":
            return FilteredError("a content filter took the answer")
        if reason == "pause" and self._limits.pauses <= 0:
            return PausedError(f"{self.provider}: the model paused and did not go on")
        return None

    def _end_record(self, response_id: str) -> Record:
        failure = self.failure
        end: Record = {"type": "end", "response_id": response_id, "status": "ok"}
        if failure is not None:
            end["status"] = failure.code if isinstance(failure, (CancelledError, TruncatedError)) else "error"
            end["exit_status"] = failure.exit_status
        end["finish_reason"] = "stop" if failure is None else "error"
        heard = self._decoder.heard() if self._decoder is not None else {}  # by a reply that was cut off, too
        said = {**heard, **(self._end or {})}
        end.update({name: value for name, value in said.items() if name not in ("type", "status")})
        elapsed = time.monotonic() - self._begun
        timing = {"total": round(elapsed, 3)}
        if self._first is not None:
            timing = {"first": round(self._first - self._begun, 3), **timing}
        end["timing"] = timing
        return end
