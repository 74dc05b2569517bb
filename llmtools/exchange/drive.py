"""Carries out the wants of an exchange: sleeps, connects, reads and downloads.

`drive` and `adrive` are the same loop, blocking and for asyncio.
"""

from __future__ import annotations

import time

from ..errors import InternalError, LlmToolsError
from ..http.request import Emit, Fetch, Fetched, Open, Read, Sleep
from ..records.jsonl import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from typing import Any, Protocol

    from ..http.request import Want
    from ..http.transport import AsyncConnection, Connection
    from ..records.types import Record
    from .response_records import ResponseRecords

    class WantSource(Protocol):
        """A source of wants, such as an exchange."""

        def next_want(self, answer: Any) -> Want | None:
            """Take the answer to the last want; return the next one, None at the end."""

        def fail(self, error: LlmToolsError) -> None:
            """Take an error that a want ended with; the last records still follow."""


def _fetch_url(want: Fetch) -> Fetched | LlmToolsError:
    from ..http.transport import fetch

    try:
        return fetch(want.url, is_public=want.is_public)
    except LlmToolsError as error:
        return error


def send(opening: Open) -> LlmToolsError | None:
    """Send a request whose answer has nothing to say; return the failure, None for success."""
    connection = _connection()
    try:
        answer = connection.open(opening)
        if isinstance(answer, LlmToolsError):
            return answer
        if answer.status >= 300:
            from ..http.failure import failure_from_response

            body = connection.read()
            return failure_from_response(answer.status, answer.headers, body if isinstance(body, bytes) else b"")
        return None
    finally:
        connection.close()


def _connection() -> Connection:
    from ..http.transport import Connection

    return Connection()


def _async_connection() -> AsyncConnection:
    from ..http.transport import AsyncConnection

    return AsyncConnection()


def drive(source: WantSource, sleep: Callable[[float], object] = time.sleep) -> Generator[list[Record], None, None]:
    """Yield the records of a source, in batches: those that are ready at the same moment.

    A LlmToolsError that `sleep` or the handler of a signal raises ends the response with that error;
    the last records still follow.
    """
    connection: Connection | None = None
    answer: Any = None
    try:
        while (want := source.next_want(answer)) is not None:
            answer = None
            try:
                if isinstance(want, Emit):
                    yield want.records
                elif isinstance(want, Read):
                    answer = connection.read() if connection is not None else b""
                elif isinstance(want, Sleep):
                    sleep(want.seconds)
                elif isinstance(want, Fetch):
                    answer = _fetch_url(want)
                else:
                    connection = connection or _connection()
                    answer = connection.open(want)
            except LlmToolsError as error:
                if isinstance(want, Read):
                    answer = error  # the bytes before it may be a complete reply
                else:
                    source.fail(error)
    finally:
        if connection is not None:
            connection.close()


async def adrive(source: WantSource) -> AsyncGenerator[list[Record], None]:
    """As `drive`, for asyncio. Cancelling the task closes the connection."""
    from asyncio import sleep, to_thread

    connection: AsyncConnection | None = None
    answer: Any = None
    try:
        while (want := source.next_want(answer)) is not None:
            answer = None
            try:
                if isinstance(want, Emit):
                    yield want.records
                elif isinstance(want, Read):
                    answer = await connection.read() if connection is not None else b""
                elif isinstance(want, Sleep):
                    await sleep(want.seconds)
                elif isinstance(want, Fetch):
                    answer = await to_thread(_fetch_url, want)
                else:
                    connection = connection or _async_connection()
                    answer = await connection.open(want)
            except LlmToolsError as error:
                if isinstance(want, Read):
                    answer = error  # the bytes before it may be a complete reply
                else:
                    source.fail(error)
    finally:
        if connection is not None:
            await connection.close()


def dry_run(response: ResponseRecords) -> tuple[bytes, list[Record]]:
    """Return the HTTP request that would be sent, as a JSON object of method, url, headers and body,
    the key masked; and the notices before it. Nothing is downloaded: a text stands for a file at a URL,
    with a notice. Raises the failure of the response.
    """
    from ..http.endpoint import without_password
    from ..records.build import notice

    notices: list[Record] = []
    want = response.next_want(None)
    while isinstance(want, (Emit, Fetch)) and response.failure is None:
        if isinstance(want, Emit):
            notices += want.records
            want = response.next_want(None)
        else:
            shown = without_password(want.url)
            notices.append(notice("not_fetched", f"{shown} would be downloaded; a text stands for it here"))
            want = response.next_want(Fetched(f"(the content of {shown})".encode()))
    if not isinstance(want, Open):
        raise response.failure or InternalError("the player of an endpoint opened no request")
    endpoint, request = want.endpoint, want.request
    headers = {**request.headers, **dict.fromkeys(endpoint.headers, "***"), **endpoint.key_header(is_masked=True)}
    head = {"method": request.method, "url": endpoint.url(request.path), "headers": headers}
    return dumps({**head, "body": loads(request.body)}), notices
