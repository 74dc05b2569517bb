"""Mends the answers of an MCP server over HTTP, before the SDK reads them, as `mcp_stdio` mends lines."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from ..records.jsonl import dumps
from .mcp_stdio import messages_of


class MendingTransport(httpx2.AsyncBaseTransport):
    """Sends requests with another transport, and mends what comes back: JSON, and events of JSON."""

    def __init__(self, transport: httpx2.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; return the response, mended."""
        response = await self._transport.handle_async_request(request)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("application/json", "text/event-stream") or "content-encoding" in response.headers:
            return response
        headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-length"]
        body = MendedBody(response.stream, is_events=kind == "text/event-stream")
        return httpx2.Response(response.status_code, headers=headers, stream=body, extensions=response.extensions)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


class MendedBody(httpx2.AsyncByteStream):
    """The body of a response, mended: a message as a whole, or the message of each event."""

    def __init__(self, stream: object, *, is_events: bool) -> None:
        assert isinstance(stream, httpx2.AsyncByteStream)  # noqa: S101  # of a transport for asyncio
        self._stream = stream
        self._is_events = is_events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rest = b""
        async for data in self._stream:
            rest += data
            if self._is_events and b"\n" in data:
                *lines, rest = rest.split(b"\n")
                yield b"".join([mend_line(line) + b"\n" for line in lines])
        yield mend_line(rest) if self._is_events else mend(rest)

    async def aclose(self) -> None:
        """Close the response."""
        await self._stream.aclose()


def mend(text: bytes) -> bytes:
    """Return a message, mended; a text that is something else as it is."""
    messages = messages_of(text)
    return dumps(messages[0] if len(messages) == 1 else messages) if messages else text


def mend_line(line: bytes) -> bytes:
    """Return a line of an event stream, with its message mended. A message over several lines stays as it is."""
    data = line.removeprefix(b"data:")
    mended = mend(data) if data != line else data
    return line if mended == data else b"data: " + mended
