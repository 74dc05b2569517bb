"""The answers of MCP servers over HTTP, mended in their bytes, wherever they are cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

pytest.importorskip("httpx2")

import httpx2  # after it is known to be here

from llmtools.tools.mcp_http import MendedBody  # where httpx2 is

GOOD = b'{"id":3,"result":{},"jsonrpc":"2.0"}'
ODD = b'{"id":3,"result":{},"error":null}'
EVENTS = b": hi\r\nid: 1\ndata: \n\nevent: message\ndata: " + ODD + b"\n\ndata: {\ndata: }\n\ndata: end"
MENDED = b": hi\r\nid: 1\ndata: \n\nevent: message\ndata: " + GOOD + b"\n\ndata: {\ndata: }\n\ndata: end"


class Pieces(httpx2.AsyncByteStream):
    def __init__(self, data: bytes, size: int) -> None:
        self.pieces = [data[start : start + size] for start in range(0, len(data), size)]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


def read(data: bytes, size: int, *, is_events: bool) -> bytes:
    async def collect() -> bytes:
        return b"".join([piece async for piece in MendedBody(Pieces(data, size), is_events=is_events)])

    return asyncio.run(collect())


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_bodies(size: int) -> None:
    assert read(EVENTS, size, is_events=True) == MENDED
    assert read(ODD, size, is_events=False) == GOOD
    assert read(b'{"error": "invalid_grant"}', size, is_events=False) == b'{"error": "invalid_grant"}'
    assert read(b"[" + ODD + b"," + ODD + b"]", size, is_events=False) == b"[" + GOOD + b"," + GOOD + b"]"
    assert read(b"", size, is_events=False) == b""
